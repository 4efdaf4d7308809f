"""Rendering in blocks is rendering whole, in bounded pieces."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from backend import decode, sphere
from backend.canvas import Canvas
from backend.charts import Chart, covering, sphere_charts
from backend.decode import Decoder, frames_at_once, haloed, tiles
from backend.fields import Fields
from backend.models.base import VideoModel
from backend.models.builtin import BuiltinModel
from backend.motion_guidance import upsample
from backend.render import BOX, Renderer, decode_frames, render
from tests.oracle import Oracle

ATLASES = {
    "fine": sphere_charts(96, 16),
    "wide": sphere_charts(64, 16),
    "equirectangular": [Chart("erp", 32, 64, wrap=True)],
    "plane": [Chart("plane", 24, 40)],
    "circular plane": [Chart("plane", 24, 40, wrap=True)],
}


class Counting(Oracle):
    """Remembers the size (n, rows, columns) of what it decoded and encoded, in cells."""

    def __init__(self) -> None:
        super().__init__()
        self.decoded: list[tuple[int, ...]] = []
        self.encoded: list[tuple[int, ...]] = []

    def decode(self, latents: Tensor) -> Tensor:
        self.decoded.append((len(latents), *latents.shape[-2:]))
        return super().decode(latents)

    def encode(self, frames: Tensor) -> Tensor:
        self.encoded.append((len(frames), *(n // 8 for n in frames.shape[-2:])))
        return super().encode(frames)


def latents_for(charts: Sequence[Chart], channels: int = 2, frames: int = 3) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(channels, frames, c.rows, c.columns, generator=generator) for c in charts]


def canvas_of(charts: Sequence[Chart], latents: Sequence[Tensor]) -> Canvas:
    return Canvas(list(charts), list(latents), True, 0.125)


@torch.inference_mode()
def rendered_whole(model: VideoModel, charts: list[Chart], latents: list[Tensor], height: int, width: int) -> Tensor:
    """The plain way: every chart decoded in one piece, all pixels read from it. (F, 3, height, width) in [0, 1]."""
    plane = charts[0].kind == "plane"
    parts = covering(charts, sphere.erp_directions(height, width)) if not plane else []
    parts = parts or [(*sphere.grid(height, width), torch.ones(height, width))]
    total = torch.zeros(latents[0].shape[1], 3, height, width)
    for chart, z, (u, v, share) in zip(charts, latents, parts, strict=True):
        z = z.transpose(0, 1)
        if chart.wrap:
            around = torch.arange(-model.halo, chart.columns + model.halo) % chart.columns
            side = model.halo * model.spec.ratio
            picture = model.decode(z[..., around])[..., side:-side]
        else:
            picture = model.decode(z)
        total += sphere.sample(picture, u, v, wrap=chart.wrap, mode="bicubic") * share
    return total.clamp(0, 1)


def rendered(model: VideoModel, charts: list[Chart], latents: list[Tensor], height: int, width: int) -> Tensor:
    frames = list(decode_frames(model, canvas_of(charts, latents), height, width, range(latents[0].shape[1])))
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2) / 255


@pytest.mark.parametrize("atlas", ATLASES)
@pytest.mark.parametrize("kept", [decode.KEPT_BYTES, 0])
def test_rendering_in_blocks_is_rendering_whole(atlas: str, kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "CELLS_AT_ONCE", 200)
    monkeypatch.setattr(decode, "KEPT_BYTES", kept)
    charts = ATLASES[atlas]
    latents, model = latents_for(charts), Counting()
    width = 192
    height = width * charts[0].rows // charts[0].columns if "plane" in atlas else width // 2
    ours = rendered(model, charts, latents, height, width)
    assert len(model.decoded) > 10, "it was cut into tiles"
    assert (ours - rendered_whole(Oracle(), charts, latents, height, width)).abs().max() < 1 / 255


def test_the_real_autoencoder_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """At full precision, with less than its whole halo left in every tile."""
    torch.set_num_threads(1)
    model = BuiltinModel("cpu")
    model.dtype = torch.float32
    model.autoencoder.float()
    charts = sphere_charts(64, 16)
    latents = latents_for(charts, channels=12, frames=1)
    monkeypatch.setattr(decode, "CELLS_AT_ONCE", 1100)
    assert all(len(tiles(c.rows, c.columns, c.wrap, model.halo)) > 1 for c in charts[:1])
    ours = rendered(model, charts, latents, 128, 256)
    assert (ours - rendered_whole(model, charts, latents, 128, 256)).abs().max() < 1.1 / 255


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 400), st.integers(1, 1200), st.booleans(), st.integers(0, 20))
def test_tiles_cover_a_chart_once_and_are_small_enough(rows: int, columns: int, wrap: bool, halo: int) -> None:
    seen = torch.zeros(rows, columns, dtype=torch.int)
    chart = Chart("plane", rows, columns, wrap=wrap)
    for tile in tiles(rows, columns, wrap, halo):
        seen[tile.rows.start : tile.rows.stop, tile.columns.start : tile.columns.stop] += 1
        assert haloed(tile, chart, halo).size <= decode.CELLS_AT_ONCE
    assert bool((seen == 1).all())


@pytest.mark.parametrize(("columns", "most"), [(64, 1.6), (128, 1.2), (256, 1.5), (512, 1.6), (1024, 1.6), (2048, 1.6)])
def test_halos_cost_little(columns: int, most: float) -> None:
    charts = sphere_charts(columns, 16)
    cells = sum(c.rows * c.columns for c in charts)
    decoded = sum(haloed(t, c, 12).size for c in charts for t in tiles(c.rows, c.columns, c.wrap, 12))
    assert decoded <= most * cells


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(list(ATLASES)), st.integers(1, 300), st.integers(1, 500), st.integers(300, 3000))
def test_blocks_cover_a_picture_once(atlas: str, height: int, width: int, cells: int) -> None:
    model, charts = Oracle(), ATLASES[atlas]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode, "CELLS_AT_ONCE", cells)
        at_once = frames_at_once(model, charts)
        target = Chart("plane" if "plane" in atlas else "erp", height, width)
        blocks = Renderer(Decoder(model, charts, [], at_once), target).blocks()
        seen = torch.zeros(height, width, dtype=torch.int)
        for block in blocks:
            seen[block.rows.start : block.rows.stop, block.columns.start : block.columns.stop] += 1
            assert at_once * block.size <= cells * 64
    assert bool((seen == 1).all())


def pieces(columns: int, frames: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The largest of everything that is on the device while a canvas is rendered and upsampled, in cells or pixels."""
    model, charts = Counting(), sphere_charts(columns, 16)
    boxes, blocks = [0], [0]
    read, make = Decoder.__call__, Renderer.__call__

    def reading(self: Decoder, chart: int, box: decode.Block, part: range) -> Tensor:
        boxes.append(box.size * len(part))
        return read(self, chart, box, part)

    def making(self: Renderer, block: decode.Block, part: range) -> Tensor:
        blocks.append(block.size * len(part))
        return make(self, block, part)

    monkeypatch.setattr(Decoder, "__call__", reading)
    monkeypatch.setattr(Renderer, "__call__", making)
    latents = latents_for(charts, frames=frames)
    for _ in render(model, canvas_of(charts, latents), 4 * columns, 8 * columns, [range(frames)]):
        pass
    for _ in upsample(model, Canvas(charts, latents, True, 0.1), sphere_charts(2 * columns, 16), Fields()):
        pass
    monkeypatch.undo()
    sizes = {"decoded": model.decoded, "encoded": model.encoded}
    return {k: max(map(math.prod, v)) for k, v in sizes.items()} | {"box": max(boxes), "block": max(blocks)}


def test_what_is_on_the_device_does_not_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = 500
    for columns, frames in ((32, 2), (32, 20), (128, 2)):
        monkeypatch.setattr(decode, "CELLS_AT_ONCE", cells)
        sizes = pieces(columns, frames, monkeypatch)
        assert max(sizes["decoded"], sizes["encoded"]) <= cells
        assert sizes["block"] <= cells * 64
        assert sizes["box"] <= 1.1 * BOX * cells


def test_every_tile_is_decoded_once_for_all_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "CELLS_AT_ONCE", 1000)
    model, charts = Counting(), ATLASES["fine"]
    for _ in render(model, canvas_of(charts, latents_for(charts, frames=1)), 512, 1024, [range(1)]):
        pass
    assert len(model.decoded) == sum(len(tiles(c.rows, c.columns, c.wrap, model.halo)) for c in charts)


def test_upsampling_keeps_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A canvas that shows the height above the horizon shows it again on the finer atlas, all around."""
    monkeypatch.setattr("backend.motion_guidance.SHARPEN", 0.0)  # which would steepen the oracle's blocky picture
    old, new = sphere_charts(64, 16), sphere_charts(128, 16)
    heights = [c.directions(*sphere.grid(c.rows, c.columns))[..., 2] for c in old]
    canvas = Canvas(old, [h.expand(2, 6, -1, -1).clone() for h in heights], True, 0.125)
    for chart, clean in zip(new, upsampled(canvas, new), strict=True):
        assert clean.shape == (2, 6, chart.rows, chart.columns)
        expected = chart.directions(*sphere.grid(chart.rows, chart.columns))[..., 2]
        assert (clean[0, 5] - expected).abs().mean() < 0.02


@pytest.mark.parametrize("atlas", ["wide", "plane", "circular plane"])
def test_upsampling_in_tiles_is_upsampling_whole(atlas: str, monkeypatch: pytest.MonkeyPatch) -> None:
    old = ATLASES[atlas]
    new = sphere_charts(128, 16) if atlas == "wide" else [Chart("plane", 48, 80, wrap=old[0].wrap)]
    canvas = Canvas(old, latents_for(old), True, 0.125)
    whole = upsampled(canvas, new)
    monkeypatch.setattr(decode, "CELLS_AT_ONCE", 300)
    for a, b in zip(upsampled(canvas, new), whole, strict=True):
        torch.testing.assert_close(a, b, atol=2e-4, rtol=1e-4)


def upsampled(canvas: Canvas, charts: list[Chart]) -> list[Tensor]:
    upsampling = upsample(Oracle(), canvas, charts, Fields())
    while True:
        try:
            next(upsampling)
        except StopIteration as finished:
            return finished.value


def test_rendering_wraps_around() -> None:
    charts = ATLASES["circular plane"]
    latents = latents_for(charts)
    picture = rendered(Oracle(), charts, latents, 24 * 8, 40 * 8)
    turned = rendered(Oracle(), charts, [z.roll(5, -1) for z in latents], 24 * 8, 40 * 8)
    torch.testing.assert_close(turned, picture.roll(5 * 8, -1), atol=1.1 / 255, rtol=0)


def test_frames_come_out_in_order_and_size() -> None:
    charts = ATLASES["fine"]
    latents = [torch.full((2, 9, c.rows, c.columns), 0.0) for c in charts]
    for z in latents:
        z += torch.linspace(-2, 2, 9)[None, :, None, None]
    frames = list(decode_frames(Oracle(), canvas_of(charts, latents), 64, 128, range(9)))
    assert [f.shape for f in frames] == [(64, 128, 3)] * 9
    means = [f.mean() for f in frames]
    assert means == sorted(means)
    assert all(f.std() < 1 for f in frames)


def test_progress_of_rendering_ends_with_all_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "CELLS_AT_ONCE", 300)
    charts = ATLASES["fine"]
    pieces = list(render(Oracle(), canvas_of(charts, latents_for(charts)), 128, 256, [range(3)]))
    assert [p.done for p in pieces] == list(range(1, pieces[-1].total + 1))
    assert sum(len(p.frames) for p in pieces) == 3
    assert len(pieces) >= 6, "more often than once a frame"
