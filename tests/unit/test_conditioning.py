"""Prompts by direction: every cell is fully shared out, the sky turns with its regions, and paint covers paint."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backend import sphere
from backend.charts import Chart
from backend.conditioning import Prompts, cap_share, encode_prompts, region_share
from backend.protocol import GenerateRequest, Region
from tests.oracle import Oracle

ERP = Chart("erp", 24, 48, wrap=True)
BAND = Chart("band", 20, 64, wrap=True, extent=1.0)
CHARTS = [ERP, BAND, *(Chart("cap", 18, 18, extent=0.88, sign=s) for s in (1, -1))]
YAWS = st.none() | st.floats(-360, 360)
REGIONS = st.builds(Region, YAWS, st.floats(-90, 90), st.floats(1, 180), st.sampled_from(["moon", "sun", "fog"]))


def prompts(*regions: Region) -> Prompts:
    return Prompts(["sky", *(object() for _ in regions)], "", regions)


def at(yaw_deg: float, pitch_deg: float) -> torch.Tensor:
    return sphere.direction(torch.tensor(math.radians(yaw_deg)), torch.tensor(math.radians(pitch_deg)))


@settings(deadline=None)
@given(st.lists(REGIONS, max_size=5), st.sampled_from(CHARTS))
def test_every_cell_is_shared_out_in_full(regions: list[Region], chart: Chart) -> None:
    shares = prompts(*regions).shares(chart)
    assert shares.shape == (len(regions) + 1, chart.rows, chart.columns)
    assert float(shares.min()) >= 0
    torch.testing.assert_close(shares.sum(0), torch.ones(chart.rows, chart.columns))


@settings(deadline=None)
@given(st.lists(REGIONS, min_size=1, max_size=4), st.sampled_from([ERP, BAND]), st.integers(0, 63))
def test_turning_the_regions_turns_the_shares(regions: list[Region], chart: Chart, columns: int) -> None:
    turn = columns * 360 / chart.columns
    turned = [r if r.yaw_deg is None else replace(r, yaw_deg=r.yaw_deg + turn) for r in regions]
    expected = prompts(*regions).shares(chart).roll(columns, dims=-1)
    torch.testing.assert_close(prompts(*turned).shares(chart), expected, atol=2e-3, rtol=0)


@settings(deadline=None)
@given(REGIONS, REGIONS)
def test_a_later_region_lies_over_an_earlier_one(under: Region, over: Region) -> None:
    both, alone = prompts(under, over).shares(ERP), prompts(over).shares(ERP)
    torch.testing.assert_close(both[2], alone[1])  # what is on top is not touched by what is below
    below = prompts(under).shares(ERP)[1]
    torch.testing.assert_close(both[1], below * (1 - alone[1]))


def test_contradictory_regions_at_one_place_are_the_last_of_them() -> None:
    regions = [Region(30, 10, 40, text) for text in ("storm", "clear sky", "fog")]
    shares = prompts(*regions).shares(ERP)
    middle = sphere.erp_directions(ERP.rows, ERP.columns) @ at(30, 10) > math.cos(math.radians(25))
    assert torch.equal(shares[3][middle], torch.ones(int(middle.sum())))


@given(
    st.floats(-180, 180), st.floats(-90, 90), st.floats(1, 170), st.floats(0, 180), st.floats(0, 2 * math.pi)
)  # fmt: skip
def test_a_cap_depends_on_nothing_but_the_distance(
    yaw: float, pitch: float, radius: float, far: float, around: float
) -> None:
    axis = at(yaw, pitch).double()
    side = torch.linalg.cross(axis, torch.tensor([0.3, -0.5, 0.81], dtype=torch.float64))
    side = side / side.norm()
    other = torch.linalg.cross(axis, side)
    away = math.radians(far)
    d = axis * math.cos(away) + math.sin(away) * (side * math.cos(around) + other * math.sin(around))
    feather = min(radius, max(5.0, radius / 4))
    t = min(1.0, max(0.0, (radius + feather - far) / (2 * feather)))
    assert float(cap_share(d.float(), yaw, pitch, radius)) == pytest.approx(t * t * (3 - 2 * t), abs=2e-3)


@pytest.mark.parametrize(
    ("region", "yaw", "pitch", "share"),
    [
        (Region(0, 0, 20, "x"), 0, 0, 1.0),
        (Region(0, 0, 20, "x"), 20, 0, 0.5),
        (Region(0, 0, 20, "x"), 26, 0, 0.0),
        (Region(0, 0, 3, "x"), 0, 0, 1.0),  # narrower than the least feather, yet all there in its middle
        (Region(0, 0, 3, "x"), 3, 0, 0.5),
        (Region(0, 0, 3, "x"), 6, 0, 0.0),
        (Region(175, 0, 20, "x"), -175, 0, 1.0),  # across the seam
        (Region(90, 90, 20, "x"), -90, 80, 1.0),  # any yaw is the zenith
        (Region(0, 0, 180, "x"), 180, 0, 1.0),  # everything
        (Region(None, 0, 10, "x"), 123, 0, 1.0),
        (Region(None, 0, 10, "x"), -50, 10, 0.5),
        (Region(None, 0, 10, "x"), -50, 16, 0.0),
        (Region(None, 60, 30, "x"), 10, 90, 1.0),  # a band that reaches the pole takes it in
        (Region(None, 60, 30, "x"), 10, 30, 0.5),
        (Region(None, -60, 30, "x"), 10, -90, 1.0),
        (Region(None, -60, 30, "x"), 10, 90, 0.0),
        (Region(None, 0, 90, "x"), 10, -90, 1.0),
    ],
)
def test_where_a_region_is(region: Region, yaw: float, pitch: float, share: float) -> None:
    assert float(region_share(region, at(yaw, pitch))) == pytest.approx(share, abs=1e-4)


def test_a_plane_is_all_the_skys_own() -> None:
    shares = prompts(Region(None, 0, 90, "x")).shares(Chart("plane", 4, 6))
    assert torch.equal(shares[0], torch.ones(4, 6))
    assert shares[1:].sum() == 0


class Counting(Oracle):
    def encode_text(self, texts: Sequence[str]) -> list[Any]:
        self.texts = list(texts)
        return [(text,) for text in texts]


def test_each_text_is_encoded_once_and_one_prompt_has_one_share() -> None:
    hole = GenerateRequest(
        prompt="fog",
        negative="storm",
        regions=(Region(None, 0, 40, "storm"), Region(0, 0, 15, "fog"), Region(90, 0, 15, "moon")),
    )
    model = Counting()
    found = encode_prompts(model, hole)
    assert sorted(model.texts) == ["fog", "moon", "storm"]
    assert found.encoded == [("fog",), ("storm",), ("fog",), ("moon",)]
    assert found.negative == ("storm",)
    shares = found.shares(ERP)
    assert shares[2].sum() == 0  # the second region is the sky's own prompt again
    middle = (ERP.rows // 2, ERP.columns // 2)
    assert shares[0][middle] == pytest.approx(1, abs=1e-4)
    torch.testing.assert_close(shares.sum(0), torch.ones(ERP.rows, ERP.columns))
