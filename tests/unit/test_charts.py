"""The atlas of the sphere: charts are invertible, cover everything, and agree with perspective views."""

from __future__ import annotations

import math

import pytest
import torch

from backend import sphere
from backend.charts import covering, ownership, sphere_charts

ATLASES = [sphere_charts(64, 16), sphere_charts(52, 16), sphere_charts(128, 16)]
CHARTS = [c for atlas in ATLASES for c in atlas]


@pytest.mark.parametrize("chart", CHARTS)
def test_coordinates_invert_directions(chart) -> None:
    u, v = sphere.grid(37, 41)
    d = chart.directions(u, v)
    torch.testing.assert_close(d.norm(dim=-1), torch.ones_like(u))
    back = chart.coordinates(d)
    torch.testing.assert_close(back[0], u, atol=2e-6, rtol=0)
    torch.testing.assert_close(back[1], v, atol=2e-6, rtol=0)


@pytest.mark.parametrize("atlas", ATLASES)
def test_every_direction_lies_well_inside_a_chart(atlas) -> None:
    d = sphere.erp_directions(90, 180)
    margins = torch.stack([c.margin(*c.coordinates(d)) for c in atlas])
    assert margins.amax(0).min() > 0.05
    torch.testing.assert_close(ownership(margins).sum(0), torch.ones(90, 180))
    assert all((w[c.margin(u, v) <= 0] == 0).all() for c, (u, v, w) in zip(atlas, covering(atlas, d), strict=True))


@pytest.mark.parametrize("pitch", [90.0, -90.0])
def test_a_cap_of_one_window_is_close_to_the_perspective_view_of_its_pole(pitch: float) -> None:
    cap = sphere_charts(64, 16)[1 if pitch > 0 else 2]
    view = cap.view(8, 8, 16, 0.1)
    angle = torch.tensor([math.radians(pitch)])
    expected = sphere.view_directions(torch.zeros(1), angle, torch.tensor([view.fov]), 16, 16)[0]
    apart = torch.rad2deg((cap.directions(*sphere.grid(16, 16)) * expected).sum(-1).clamp(-1, 1).acos())
    assert apart.max() < 8  # in the corners; a cell is 6 degrees wide
    assert apart.mean() < 4


@pytest.mark.parametrize("chart", ATLASES[-1])
def test_charts_keep_shapes(chart) -> None:
    """A small step right and a small step down are equally long on the sphere, and at right angles."""
    u, v = sphere.grid(9, 9)
    u, v, step = u * 0.9, v * 0.9, 1e-2
    d = chart.directions(u, v)
    right = chart.directions(u + step / chart.columns, v) - d
    down = chart.directions(u, v + step / chart.rows) - d
    ratio = right.norm(dim=-1) / down.norm(dim=-1)
    assert (ratio - 1).abs().max() < 0.05
    cosine = torch.nn.functional.cosine_similarity(right, down, dim=-1)
    assert cosine.abs().max() < 0.05


def test_windows_know_where_they_look() -> None:
    band, zenith, _ = sphere_charts(128, 16)
    middle = band.view(band.rows / 2, 3.0, 16, 0.1)
    assert middle.pitch == pytest.approx(0, abs=1e-6)
    assert middle.fov == pytest.approx(math.radians(45))
    assert band.view(8, 0, 16, 0.1).pitch > math.radians(25)
    assert zenith.view(18, 18, 16, 0.1).pitch == pytest.approx(math.pi / 2, abs=1e-3)
