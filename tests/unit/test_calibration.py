"""Bands and intervals: plain statistics that the suite's verdicts rest on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from backend import sphere
from backend.evaluation import calibration
from backend.evaluation.calibration import RATIOS, bands, interval
from backend.evaluation.metrics import PASS
from tests.unit.test_metrics import texture


def test_an_interval_holds_the_true_mean_19_times_in_20() -> None:
    rng = np.random.default_rng(0)
    found = [interval(rng.normal(3, 2, 30).tolist()) for _ in range(200)]
    assert all(low <= mean <= high for mean, low, high in found)
    assert 0.88 < np.mean([low <= 3 <= high for _, low, high in found]) < 0.99


def test_an_interval_of_one_value_is_that_value_and_of_none_is_no_interval() -> None:
    assert interval([2.5]) == (2.5, 2.5, 2.5)
    with pytest.raises(ValueError):
        interval([])


def test_bands_narrow_with_the_number_of_skies_and_hold_what_passes() -> None:
    one, some, many = bands(1), bands(20), bands(80)
    assert {"seam", "seam_percentile", "border", "border_ratio", "pole.zenith", "pole_spectrum.nadir", "loop"} <= set(
        one
    )
    for name in one:
        assert one[name][1] >= some[name][1] >= many[name][1], name
        assert one[name][0] <= some[name][0] <= many[name][0], name
    for name in ("border_ratio", "pole.zenith", "pole.nadir"):
        assert 0.85 < many[name][0] < many[name][1] < 1.15, name
    assert 10 < many["border"][0] < many["border"][1] < 75
    assert some["loop"][0] == 0, "a step that is smaller than usual is no fault"


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Two sizes of which one lacks a figure; skies scatter evenly over a factor of two either way."""
    rng = np.random.default_rng(0)
    skies = np.exp(rng.uniform(-np.log(2), np.log(2), (200, 4))).tolist()
    sizes = {
        "512x256": {"figures": {"seam": [[9.0]], "loop": skies}},
        "1024x512": {"figures": {"seam": skies, "seam_percentile": [[50.0], [60.0]]}},
    }
    monkeypatch.setattr(calibration, "CALIBRATION", tmp_path / "c.json")
    (tmp_path / "c.json").write_text(json.dumps({"sizes": sizes}), encoding="utf-8")
    bands.cache_clear()
    yield tmp_path
    bands.cache_clear()


def test_a_band_is_of_the_geometric_mean_and_from_the_nearest_size(known: Path) -> None:
    assert bands(1)["seam"] == pytest.approx((0.5, 2), rel=0.1)
    error = np.log(4) / np.sqrt(12 * 25)
    assert np.log(bands(25)["seam"]) == pytest.approx([-1.96 * error, 1.96 * error], abs=0.06)
    assert bands(5, 512)["seam"] == (9, 9)
    assert bands(5, 1024)["loop"] == bands(5, 512)["loop"]
    assert bands(1)["seam_percentile"] == (50, 60)


def test_what_passes_around_one_is_averaged_as_logarithms() -> None:
    assert {name for name, (low, high) in PASS.items() if low < 1 < high} - RATIOS == {"flicker_line"}


def test_a_rendered_sky_is_measured_like_any_other_and_its_loop_is_a_step_like_any_other() -> None:
    """A seamless sphere in even motion, through a movie: no figure may say otherwise."""
    directions = sphere.erp_directions(64, 128).numpy()
    video = np.stack([texture(directions, 0, t / 40, fine=20) for t in range(16)])
    found = calibration.measure(video, 3, 0)
    assert {"seam", "border", "border_ratio", "pole.zenith", "loop", "flicker_line", "repetition"} <= set(found)
    assert all(len(values) == 3 for values in found.values())
    assert found["loop"] == pytest.approx([1] * 3, abs=0.2)
    assert np.mean(found["seam"]) == pytest.approx(1, abs=0.3)
