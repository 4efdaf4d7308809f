"""Borders of the last step: where they lie, and whether a step, a blur or nothing is seen there."""

from __future__ import annotations

import functools

import cv2
import numpy as np
import pytest
import torch

from backend import sphere
from backend.charts import Chart, covering, sphere_charts
from backend.evaluation import arcs, borders, poles
from backend.evaluation.borders import border_arcs
from backend.windows import Window, layout
from tests.unit.test_metrics import texture

HEIGHT, WIDTH = 256, 512


def windows_of(charts: list[Chart], step: int = 11, wide: int = 16) -> list[Window]:
    return layout([(c.rows, c.columns, c.wrap) for c in charts], 16, True, step, (16, wide), finishing=True)


@functools.cache
def atlas(columns: int = 128) -> tuple[list[Chart], list[Window]]:
    charts = sphere_charts(columns, 16)
    return charts, windows_of(charts)


@functools.cache
def found(columns: int = 128) -> tuple[np.ndarray, np.ndarray]:
    known = border_arcs(*atlas(columns))
    assert known
    return known


def test_borders_of_a_flat_panorama_have_no_directions() -> None:
    plane = Chart("plane", 16, 64)
    assert border_arcs([plane], windows_of([plane])) is None


@pytest.mark.parametrize("columns", [128, 64])
def test_points_and_normals_are_perpendicular_unit_vectors_evenly_apart(columns: int) -> None:
    points, normals = found(columns)
    assert np.linalg.norm(points, axis=1) == pytest.approx(1)
    assert np.linalg.norm(normals, axis=1) == pytest.approx(1)
    assert (points * normals).sum(axis=1) == pytest.approx(0, abs=1e-9)
    near = points @ points.T - 2 * np.eye(len(points))
    apart = np.degrees(np.arccos(near.max(axis=1)))
    assert apart.min() >= 0.999
    assert np.quantile(apart, 0.95) < 1.6


@pytest.mark.parametrize("columns", [128, 64])
def test_charts_own_the_same_along_the_borders_between_them(columns: int) -> None:
    """Every direction where two charts own half has a border point near, and that point is in the middle."""
    charts, windows = atlas(columns)
    points, _ = found(columns)
    owned = torch.stack([w for _, _, w in covering(charts, sphere.erp_directions(361, 720).double())]).numpy()
    between = np.sort(owned, axis=0)[-1] < 0.55
    directions = sphere.erp_directions(361, 720).double().numpy()[between][::7]
    assert np.degrees(np.arccos((directions @ points.T).max(axis=1).clip(-1, 1))).max() < 4  # corners are left out
    at = torch.stack([w for _, _, w in covering(charts, torch.from_numpy(points))]).numpy()
    on_charts = np.sort(at, axis=0)[-1] < 0.9
    assert on_charts.any()
    assert at[:, on_charts].max() < 0.51


def test_windows_weigh_the_same_where_they_meet() -> None:
    """One wrapping chart: the borders are meridians where two neighbours' weights cross."""
    band = sphere_charts(64, 16)[0]
    windows = windows_of([band])
    known = border_arcs([band], windows)
    assert known
    yaw = np.degrees(np.arctan2(known[0][:, 0], known[0][:, 1]))
    weight = np.zeros((len(windows), 64))
    for i, window in enumerate(windows):
        weight[i, window.columns.index] = window.columns.weight
    owner = weight.argmax(axis=0)
    handovers = np.flatnonzero(owner != np.roll(owner, -1)) + 1.0
    expected = np.sort((handovers / 64 * 360 - 180 + 180) % 360 - 180)
    assert len(set(np.round(yaw))) == len(expected)
    assert np.abs((yaw[:, None] - expected + 180) % 360 - 180).min(axis=1).max() < 360 / 64  # within a cell
    assert np.abs(known[1][:, 2]).max() < 1e-6


def test_a_window_that_closes_the_circle_alone_meets_itself_once() -> None:
    known = border_arcs([Chart("erp", 16, 16, wrap=True)], layout([(16, 16, True)], 16, True, 3, (16, 16)))
    assert known
    yaw = np.degrees(np.arctan2(known[0][:, 0], known[0][:, 1]))
    assert len(yaw) > 100
    assert np.ptp(yaw) < 1


def test_windows_at_other_times_add_no_borders() -> None:
    charts, _ = atlas()
    sizes = [(c.rows, c.columns, c.wrap) for c in charts]
    longer = border_arcs(charts, layout(sizes, 64, True, 11, (16, 16), finishing=True))
    assert longer
    assert np.array_equal(longer[0], found()[0])


@functools.cache
def sky(seed: int, fine: float = 60) -> np.ndarray:
    return cv2.cvtColor(texture(sphere.erp_directions(HEIGHT, WIDTH).numpy(), seed, fine=fine), cv2.COLOR_RGB2GRAY)


@functools.cache
def patches() -> np.ndarray:
    """Two grey levels more or less, by turns, for each window: nearly all borders are a step of four."""
    owners = borders._Owners(*atlas())
    number = owners(sphere.erp_directions(HEIGHT, WIDTH).double().numpy().reshape(-1, 3))[:, 0].astype(int)
    return (number % 2 * 4 - 2).reshape(HEIGHT, WIDTH)


@functools.cache
def blurred() -> np.ndarray:
    """A mask of what is within 4 pixels of a border."""
    directions = sphere.erp_directions(HEIGHT, WIDTH).numpy()
    points = found()[0].astype(np.float32)
    nearest = np.stack([(row @ points.T).max(axis=1) for row in directions])
    return nearest > np.cos(4 * np.pi / HEIGHT)


def test_borders_of_a_sky_without_any_are_inconspicuous() -> None:
    measured = np.array([arcs.border(sky(seed)[None], *found()) for seed in range(6)])
    assert ((measured[:, 0] > 2.5) & (measured[:, 0] < 97.5)).sum() >= 5
    assert 25 < measured[:, 0].mean() < 75
    assert measured[:, 1] == pytest.approx(1, abs=0.1)


def test_a_step_at_the_borders_stands_out_and_a_blur_too() -> None:
    for seed in range(2):
        quiet = sky(seed).astype(float) * 0.25 + 96
        percentile, ratio = arcs.border(quiet.astype(np.uint8)[None], *found())
        assert 2.5 < percentile < 97.5
        stepped = (quiet + patches()).astype(np.uint8)
        assert arcs.border(stepped[None], *found())[0] > 99
        assert arcs.border(stepped[None], *found())[1] > ratio + 0.1
        smooth = np.where(blurred(), cv2.GaussianBlur(sky(seed), (0, 0), 2), sky(seed))
        assert arcs.border(smooth[None], *found())[0] < 1


def test_a_step_elsewhere_is_not_a_step_at_the_borders() -> None:
    quiet = sky(0).astype(float) * 0.25 + 96
    aside = np.roll(patches(), round(WIDTH * 15 / 360), axis=1)
    assert arcs.border((quiet + aside).astype(np.uint8)[None], *found())[1] < 1.1


def test_a_pinched_pole_is_finer_than_other_directions() -> None:
    """Noise as fine as the rows, near one pole only."""
    pitch = 90 - (np.arange(HEIGHT) + 0.5) * 180 / HEIGHT
    noise = np.random.default_rng(0).normal(0, 8, (HEIGHT, WIDTH)) * (pitch > 75)[:, None]
    clean = [poles.pole_spectrum(sky(seed, 120)[None], sign * 90) for seed in range(3) for sign in (1, -1)]
    assert np.exp(np.log(clean).mean()) == pytest.approx(1, abs=0.3)
    pinched = (sky(0) + noise).clip(0, 255).astype(np.uint8)
    assert poles.pole_spectrum(pinched[None], 90) > 1.8
    assert poles.pole_spectrum(pinched[None], -90) == pytest.approx(poles.pole_spectrum(sky(0)[None], -90))


def test_plain_poles_are_like_any_other() -> None:
    assert poles.pole_spectrum(np.full((1, HEIGHT, WIDTH), 90, np.uint8), 90) == pytest.approx(1)
