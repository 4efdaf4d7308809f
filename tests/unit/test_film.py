"""Clips: windows over time with a lead, loops that close, tiles that go together, on models that are exact."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from backend.canvas import Canvas, white_noise
from backend.charts import Chart, sphere_charts
from backend.conditioning import Prompts
from backend.decode import Block, tiles
from backend.denoise import Schedule, denoise
from backend.encode import encode_film, shown_by
from backend.fields import Fields
from backend.film import Film, share, shown
from backend.models.sparing import Sparing
from backend.motion_guidance import upsample
from backend.render import decode_frames
from backend.sizes import frames_of, latents_of, stride_of, window_of
from backend.windows import over_time
from tests.temporal import RATIO, SPEC, TIME, Temporal

RING = [Chart("plane", 8, 32, wrap=True)]


def noise_for(charts: list[Chart], frames: int, seed: int = 0) -> list[Tensor]:
    return white_noise(charts, 2, frames, torch.Generator().manual_seed(seed))


def denoised(model: Temporal, noise: list[Tensor], charts: list[Chart] = RING, loop: bool = True, steps: int = 4):
    canvas = Canvas(charts, [n.clone() for n in noise], loop, 0.1)
    schedule = Schedule(model.sigmas(4)[: steps + 1], [1.0] * steps)
    generator = torch.Generator().manual_seed(9)

    def fresh() -> list[Tensor]:
        return white_noise(charts, 2, canvas.frames, generator)

    list(denoise(model, canvas, Prompts(["anything"], ""), schedule, fresh=fresh))
    return canvas.latents


# --- windows over time


@given(st.integers(1, 200), st.booleans(), st.integers(1, 8), st.integers(0, 1), st.integers(2, 30), st.integers(0, 30))
def test_a_film_is_whole_latents_and_no_shorter(frames: int, loop: bool, ratio: int, lead: int, long: int, least: int):
    clips = replace(SPEC, time_ratio=ratio, lead=lead, frames=long, least_frames=min(least, long))
    latents, stride = latents_of(frames, loop, clips), stride_of(frames, loop, clips)
    assert frames_of(latents, loop, clips) >= frames * stride
    window = window_of(latents, loop, clips)
    assert (clips.least_frames or long) <= window <= long
    if loop:
        assert frames_of(latents, True, clips) == frames * stride
        shorter = [s for s in range(1, stride) if s * frames % ratio == 0]
        assert all(s * frames // ratio + lead < max(clips.least_frames or long, lead + 1) for s in shorter)
    elif latents > max(clips.least_frames or long, lead + 1):
        assert frames_of(latents - 1, False, clips) < frames


@given(st.integers(3, 60), st.integers(3, 12), st.floats(0, 0.99), st.booleans(), st.booleans())
def test_each_latent_is_written_and_leads_are_not(length: int, window: int, shift: float, loop: bool, last: bool):
    window = min(window, length + loop)
    spans = over_time(length, window, 1, shift, loop, last)
    weight = torch.zeros(length)
    for span in spans:
        assert len(span.index) == window
        assert torch.equal(span.index, (span.index[0] + torch.arange(window)) % length)
        assert bool(span.weight[0] > 0) == (not loop and int(span.index[0]) == 0)
        weight.index_add_(0, span.index, span.weight)
    assert weight.min() > 0.99


def test_a_lead_never_reaches_the_canvas() -> None:
    for loop in (True, False):
        noise = noise_for(RING, 11)
        right, wrong = (denoised(Temporal(lead_error=e), noise, loop=loop)[0] for e in (0.0, 1.0))
        apart = (right - wrong).abs().amax((0, 2, 3))
        assert apart[1:].max() == 0
        assert (apart[0] == 0) == loop, "the first latent of a clip that ends is its own"


def test_all_windows_have_one_shape() -> None:
    for loop, length in ((True, 11), (False, 11), (True, 3), (False, 3), (True, 4)):
        model = Temporal()
        denoised(model, noise_for(RING, length), loop=loop)
        assert model.shapes == {(2, min(5, length + loop), 8, 8)}


def test_turning_the_ring_turns_the_result() -> None:
    """In longitude and in time: two windows of four latents, and four of eight cells."""
    noise = noise_for(RING, 8)
    straight = denoised(Temporal(lead_error=0.3), noise, steps=3)[0]
    for by, axis in ((8, 3), (4, 1)):
        turned = denoised(Temporal(lead_error=0.3), [n.roll(by, axis) for n in noise], steps=3)[0]
        torch.testing.assert_close(turned, straight.roll(by, axis))


@pytest.mark.parametrize("solver", ["multistep", "euler", "renoise"])
def test_batching_does_not_change_a_bit(solver: str) -> None:
    charts = sphere_charts(32, 8)
    noise = noise_for(charts, 8)
    results = [denoised(Temporal(window_batch=n, solver=solver), noise, charts) for n in (1, 7)]
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


# --- decoding


def film_of(
    model: Temporal | Sparing, latents: list[Tensor], charts: list[Chart], loop: bool, **more: int
) -> np.ndarray:
    canvas = replace(Canvas(charts, latents, loop, 0.1), **more)
    count = frames_of(latents[0].shape[1], loop, model.spec) // canvas.stride
    height, width = charts[0].rows * RATIO, charts[0].columns * RATIO
    return np.stack(list(decode_frames(model, canvas, height, width, range(count)))).astype(float)


def test_a_loop_closes_where_around_covers_the_memory_and_not_otherwise() -> None:
    """Decoded from another latent on, a ring is the same film from there on; what is missing shows, as expected."""
    z = noise_for(RING, 6)[0]
    for around, memory, closed in (((2, 0), 2, True), ((4, 0), 3, True), ((1, 0), 3, False)):
        model = Temporal(memory=memory, around=around)
        straight = film_of(model, [z], RING, True)
        turned = film_of(model, [z.roll(-2, 1)], RING, True)
        apart = np.abs(turned - np.roll(straight, -2 * TIME, 0))
        if closed:
            assert len(straight) == 6 * TIME
            assert apart.max() <= 1
        else:  # the fourth latent back counts an eighth of the newest: .1 * z / 16 of the picture
            assert 1 < apart.max() <= 255 * 0.1 * float(z.abs().max()) * 2 * (1 / 8 + 1 / 16) / 2 * 2


def test_a_loop_closes_however_long_the_decoder_remembers() -> None:
    """Where the beginning is decoded again after the end: what is missing of the past then fades in instead."""
    slow = 1 + 0.2 * torch.cos(2 * torch.pi * torch.arange(12) / 12)
    z = [slow[None, :, None, None].expand(2, 12, 8, 32).contiguous()]
    whole = film_of(Temporal(memory=9, around=(9, 0)), z, RING, True)

    def missing(meet: int) -> np.ndarray:
        film = film_of(Temporal(memory=9, around=(1, 0), meet=meet), z, RING, True)
        assert len(film) == 12 * TIME
        return np.abs(film - whole).max((1, 2, 3))

    assert missing(0)[0] > 5
    assert missing(2)[0] <= 2 and np.abs(np.diff(missing(2))).max() <= 2


def test_what_fades_is_all_of_a_frame() -> None:
    spec = Temporal(around=(1, 0), meet=2).spec
    found = shown(range(0, 24, 3), 6, True, spec)
    assert [f for _, f, _ in found] == sorted(f for _, f, _ in found)
    total = [sum(own for place, _, own in found if place == k) for k in range(8)]
    assert total == pytest.approx([1] * 8)
    assert [place for place, f, _ in found if f >= 1 + 24] == [0, 1, 2]
    assert all(own == 1 for _, _, own in shown(range(21), 6, False, spec))


def test_a_clip_that_ends_begins_with_its_lead() -> None:
    z = noise_for(RING, 6)[0]
    model = Temporal()
    whole = torch.cat(list(model.decode_clip(torch.cat([z] * 3, 3))))  # so that its middle has all neighbours
    expected = whole[..., 32 * RATIO : 64 * RATIO].permute(0, 2, 3, 1) * 255
    ours = film_of(model, [z], RING, False)
    assert len(ours) == 1 + 5 * TIME
    assert np.abs(ours - expected.numpy()).max() <= 1


def test_tiles_share_every_pixel() -> None:
    for chart in (Chart("plane", 20, 30, wrap=True), Chart("plane", 20, 30), Chart("plane", 6, 5, wrap=True)):
        for cells in (40, 60, 100, 400):
            total = torch.zeros(chart.rows, chart.columns)
            for tile in tiles(chart.rows, chart.columns, chart.wrap, 3, cells):
                side = 3 if chart.wrap else 0
                around = Block(
                    range(max(0, tile.rows.start - 3), min(chart.rows, tile.rows.stop + 3)),
                    range(max(-side, tile.columns.start - 3) if not chart.wrap else tile.columns.start - 3,
                          tile.columns.stop + 3 if chart.wrap else min(chart.columns, tile.columns.stop + 3)),
                )  # fmt: skip
                rows = torch.tensor(around.rows)[:, None]
                columns = torch.tensor(around.columns) % chart.columns
                total.index_put_((rows, columns), share(tile, around, chart, 1.5), accumulate=True)
            torch.testing.assert_close(total, torch.ones_like(total))


@pytest.mark.parametrize("cells", [64, 100, 10_000])
def test_tiles_come_out_as_the_whole(cells: int) -> None:
    charts = sphere_charts(32, 8)
    latents = noise_for(charts, 4)
    whole = film_of(Temporal(clip_cells=10_000), latents, charts, True)
    assert np.abs(film_of(Temporal(clip_cells=cells), latents, charts, True) - whole).max() <= 3


def test_a_movie_may_show_some_frames_only() -> None:
    z = noise_for(RING, 6)
    every = film_of(Temporal(), z, RING, True)
    assert np.array_equal(film_of(Temporal(), z, RING, True, stride=3), every[::3])
    canvas = Canvas(RING, z, True, 0.1, stride=2)
    later = list(decode_frames(Temporal(), canvas, 8 * RATIO, 32 * RATIO, range(4, 9)))
    assert np.array_equal(np.stack(later), every[8:18:2])


def test_a_film_may_be_in_files(tmp_path: Path) -> None:
    canvas = Canvas(RING, noise_for(RING, 6), True, 0.1)
    shown, fields = range(24), Fields(tmp_path, memory_bytes=0)
    in_memory = list(decode_frames(Temporal(decode_noise=0.1), canvas, 64, 256, shown))
    in_files = list(decode_frames(Temporal(decode_noise=0.1), canvas, 64, 256, shown, fields))
    assert all(np.array_equal(a, b) for a, b in zip(in_memory, in_files, strict=True))
    assert not list(tmp_path.iterdir())


def test_cancelling_closes_the_decoder() -> None:
    model = Temporal()
    film = Film(model, Canvas(RING, noise_for(RING, 8), True, 0.1), range(32), Fields())
    developing = film.develop()
    next(developing)
    next(developing)
    assert model.decoding == 1
    developing.close()
    assert model.decoding == 0


class Crowded(Temporal):
    """Has no room for clips of more than so many cells, and says so only after some frames."""

    def __init__(self, cells: int, **changes: int) -> None:
        super().__init__(**changes)
        self.cells, self.tried = cells, list[int]()

    def decode_clip(self, latents: Tensor) -> Generator[Tensor, None, None]:
        size = latents.shape[2] * latents.shape[3]
        self.tried.append(size)
        for number, frames in enumerate(super().decode_clip(latents)):
            if number == 5 and size > self.cells:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
            yield frames

    def encode_clip(self, frames: Tensor) -> Tensor:
        if frames.shape[2] * frames.shape[3] > self.cells * RATIO**2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return super().encode_clip(frames)


def test_tiles_that_do_not_fit_are_cut_and_go_on() -> None:
    z = noise_for(RING, 8)
    crowded = Crowded(100, clip_cells=400)
    model = Sparing(Sparing(crowded), most_windows=1)
    ours = film_of(model, z, RING, True)
    assert np.abs(ours - film_of(Temporal(clip_cells=400), z, RING, True)).max() <= 3
    assert crowded.tried[-1] <= 100 < max(crowded.tried)
    with pytest.raises(torch.OutOfMemoryError):
        film_of(Sparing(Crowded(20)), z, RING, True)


def test_noise_for_the_decoder_is_the_seeds() -> None:
    z = noise_for(RING, 4)
    films = [
        film_of(Temporal(decode_noise=n), z, RING, True, seed=s) for n, s in ((0, 1), (0.1, 1), (0.1, 1), (0.1, 2))
    ]
    assert np.array_equal(films[1], films[2])
    assert not np.array_equal(films[2], films[3])
    assert 0 < np.abs(films[0] - films[1]).mean() < 3


# --- encoding


def encoded(model: Temporal | Sparing, pictures: Tensor, count: int, loop: bool, chart: Chart = RING[0]) -> Tensor:
    """Of pictures (n, 3, height, width)."""

    def picture(block: Block, frames: range) -> Tensor:
        rows, columns = torch.tensor(block.rows)[:, None], torch.tensor(block.columns) % pictures.shape[3]
        return pictures[frames.start : frames.stop, :, rows, columns]

    encoding = encode_film(model, [chart], [picture], count, 3, Fields(), "read", loop=loop)
    while True:
        try:
            next(encoding)
        except StopIteration as finished:
            return finished.value[0]


def pictures_for(count: int) -> Tensor:
    return torch.rand(count, 3, 8 * RATIO, 32 * RATIO, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("loop", [True, False])
def test_encoding_in_parts_is_encoding_the_clip(loop: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 9
    pictures = pictures_for(frames_of(count, loop, SPEC))
    model = Temporal()
    if loop:  # from an earlier turn on
        expected = model.encode_clip(torch.cat([pictures[-1:], pictures, pictures]))[:, 1 + count :]
    else:
        expected = model.encode_clip(pictures)
    torch.testing.assert_close(encoded(model, pictures, count, loop), expected)
    monkeypatch.setattr("backend.encode.CLIP_PIXELS", 1)
    torch.testing.assert_close(encoded(model, pictures, count, loop), expected)
    torch.testing.assert_close(encoded(Sparing(Crowded(100, clip_cells=400)), pictures, count, loop), expected)


@given(st.integers(0, 20), st.integers(1, 9), st.booleans(), st.integers(0, 1), st.integers(1, 8), st.integers(0, 5))
def test_what_is_encoded_for_some_latents(first: int, n: int, loop: bool, lead: int, ratio: int, before: int) -> None:
    """As many frames as make these latents and the ones to drop; the last is the last of the last latent's."""
    spec = replace(SPEC, lead=lead, time_ratio=ratio, around=(before, 0))
    frames, dropped = shown_by(range(first, first + n), loop, spec)
    assert (len(frames) - lead) % ratio == 0
    assert (len(frames) - lead) // ratio + lead == dropped + n
    assert frames.stop == frames_of(first + n, loop, spec)


def test_upsampling_keeps_the_film() -> None:
    fine = [Chart("plane", 16, 64, wrap=True)]
    slow = torch.linspace(0, 2 * torch.pi, 33)[:32].sin().expand(2, 6, 8, 32)
    for loop in (True, False):
        latents = [slow * torch.linspace(0, torch.pi, 6)[None, :, None, None].sin()]
        upsampling = upsample(Temporal(), Canvas(RING, latents, loop, 0.1), fine, Fields())
        while True:
            try:
                assert next(upsampling).total > 0
            except StopIteration as finished:
                found = finished.value[0]
                break
        assert found.shape == (2, 6, 16, 64)
        mean = found[0, :, 4:12].mean(1)
        likeness = torch.corrcoef(torch.stack([mean.flatten(), latents[0][0, :, 4].repeat_interleave(2, 1).flatten()]))
        assert likeness[0, 1] > 0.9
