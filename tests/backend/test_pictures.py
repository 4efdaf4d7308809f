"""Models that take a picture are given it, window by window: it is followed, it may move, and the loop stays whole."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from backend import inputs, sphere
from backend.canvas import Canvas
from backend.charts import Chart, sphere_charts
from backend.conditioning import Prompts
from backend.fields import Fields
from backend.guides import Anchor
from backend.inputs import check_inputs
from backend.known import Known
from backend.measuring import sample_reference
from backend.media.stills import write_png
from backend.methods import Task, method
from backend.models.base import View
from backend.pictures import Giving, covered, extended
from backend.protocol import GenerateRequest, SkyloopError
from backend.windows import layout
from tests.temporal import TIME, Temporal

SKY = GenerateRequest(prompt="x", width=256, height=128, frames=24, steps=4, guidance=1.0, seed=3)


class Painter(Temporal):
    """Continues a picture: what is given comes back in all frames of a window, each a little brighter than the one
    before, and what is not given is as without a picture."""

    STEP = 0.05

    def __init__(self, **changes: Any) -> None:
        super().__init__(**{"takes": frozenset({"text", "image"}), "view_pixels": 16, **changes})
        self.views: list[View] = []

    def predict(
        self, x: Tensor, sigma: float, views: Sequence[View], prompts: Sequence[Any], negative: Any, guidance: float
    ) -> Tensor:
        self.views += views
        clean = super().predict(x, sigma, views, prompts, negative, guidance)
        for one, view in zip(clean, views, strict=True):
            if view.given:
                latents, known, _ = view.given
                moving = torch.arange(one.shape[1])[:, None, None] * self.STEP
                one += (latents + moving - one) * known
        return clean


def smooth(width: int = 256) -> np.ndarray:
    """A panorama that is brighter to the right of its middle and above."""
    yaw, pitch = sphere.yaw_pitch(sphere.erp_directions(width // 2, width))
    value = 0.5 + 0.2 * torch.sin(yaw) + 0.15 * torch.sin(pitch)
    return (value[..., None].expand(-1, -1, 3) * 255).to(torch.uint8).numpy()


@pytest.fixture(scope="module")
def panorama(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("pictures") / "still.png"
    write_png(path, smooth())
    return str(path)


def run(generator: Any) -> Any:
    while True:
        try:
            next(generator)
        except StopIteration as finished:
            return finished.value


def compose(model: Temporal, request: GenerateRequest) -> Canvas:
    return run(method("skyloop")(Task(model, request, Prompts(["x"], ""), Fields())))


def giving(model: Temporal, request: GenerateRequest, charts: list[Chart]) -> Giving | None:
    task = Task(model, request, Prompts(["x"], ""), Fields())
    return run(Known(model, request, task.frames, task.stride, Fields()).given(charts))


def shown(model: Temporal, request: GenerateRequest, chart: Chart) -> Tensor:
    """The latent (C, rows, columns) of the picture as a single image."""
    found = giving(model, request, [chart])
    assert found
    return found.latents[0][:, 0]


def test_the_picture_is_followed_and_moves(panorama: str) -> None:
    """In the mean over the loop it is the picture, whose low frequencies are held; each frame is as the model moves."""
    model, request = Painter(), replace(SKY, image=panorama)
    free = compose(Painter(takes=frozenset({"text"})), replace(request, image=""))
    canvas = compose(model, request)
    for chart, z, other in zip(canvas.charts, canvas.latents, free.latents, strict=True):
        still = shown(model, request, chart)
        mean = z.mean(1)
        assert np.corrcoef(mean.flatten(), still.flatten())[0, 1] > 0.98
        assert abs(np.corrcoef(other.mean(1).flatten(), still.flatten())[0, 1]) < 0.5
        assert float((z[:, 1:] - z[:, :-1]).abs().mean()) > 0.3 * model.STEP


def test_nothing_of_a_picture_is_held_still_that_a_model_takes(panorama: str) -> None:
    request, charts = replace(SKY, image=panorama), sphere_charts(32, 8)

    def guides(model: Temporal) -> list[Any]:
        return run(Known(model, request, 6, 1, Fields()).guides(charts, None, first=True))

    assert [type(g) for g in guides(Painter())] == [Anchor]
    assert len(guides(Temporal())) == 2


def test_every_window_of_a_loop_begins_with_the_picture_and_none_of_it_is_written(panorama: str) -> None:
    """What is read before each window of a ring is the picture; the ring itself is only what windows make of it."""
    model, request = Painter(), replace(SKY, image=panorama)
    canvas = compose(model, request)
    assert model.views
    assert all(v.given is not None for v in model.views)
    still = shown(model, request, canvas.charts[0])
    assert all(float((frame - still).abs().mean()) > model.STEP / 2 for frame in canvas.latents[0].unbind(1))
    steps = [float((canvas.latents[0][:, k] - canvas.latents[0][:, k - 1]).abs().mean()) for k in range(6)]
    assert max(steps) < 3 * sorted(steps)[2]


def test_a_film_that_ends_begins_with_the_picture(panorama: str) -> None:
    model, request = Painter(), replace(SKY, image=panorama, loop=False, frames=1 + 12 * TIME)
    charts = sphere_charts(32, 8)
    given = giving(model, request, charts)
    assert given
    windows = layout([(c.rows, c.columns, c.wrap) for c in charts], 13, False, 1, (5, 8), 1)
    first = {int(w.time.index[0]): given(w) is not None for w in windows}
    assert first.pop(0)
    assert first
    assert not any(first.values())
    pictures = Painter(takes=frozenset({"image"}))
    always = giving(pictures, request, charts)
    assert always
    assert all(always(w) for w in windows)


def test_a_window_is_given_what_it_looks_at(panorama: str) -> None:
    """Latents are those of its cells, pixels those of the same place, also where it goes around."""
    model, request, charts = Painter(), replace(SKY, image=panorama), sphere_charts(32, 8)
    given = giving(model, request, charts)
    assert given
    for window in layout([(c.rows, c.columns, c.wrap) for c in charts], 6, True, 3, (5, 8), 1):
        found, (latents, known, pixels) = given(window), given(window) or pytest.fail("nothing is given")
        assert found
        assert latents.shape == (2, 1, 8, 8)
        assert known.shape == (8, 8)
        assert pixels.shape == (3, 16, 16)
        # The model's autoencoder is linear: a cell is 10 times its mean brightness over a half, of a first frame 20.
        cells = torch.nn.functional.avg_pool2d(pixels[:1], 2)[0]
        assert float((20 * (cells - 0.5) - latents[0, 0]).abs().max()) < 0.4


def test_a_photo_is_given_where_it_is(tmp_path: Path) -> None:
    write_png(tmp_path / "photo.png", np.full((64, 64, 3), 220, np.uint8))
    request = replace(SKY, image=str(tmp_path / "photo.png"), image_fov_deg=60.0, image_yaw_deg=90.0)
    model, charts = Painter(), sphere_charts(64, 8)
    given = giving(model, request, charts)
    assert given
    seen = 0
    for window in layout([(c.rows, c.columns, c.wrap) for c in charts], 6, True, 0, (5, 8), 1):
        found = given(window)
        chart = charts[window.chart]
        place = chart.directions(
            torch.tensor(2 * window.columns.centre / chart.columns - 1),
            torch.tensor(2 * window.rows.centre / chart.rows - 1),
        )
        apart = math.degrees(float(torch.arccos((place * sphere.direction(*ahead(90))).sum().clamp(-1, 1))))
        if apart < 10:
            assert found is not None
            assert float(found.known.max()) == 1
        if apart > 95:
            assert found is None
        seen += found is not None
    assert seen
    compose(model, request)
    assert {v.given is None for v in model.views} == {True, False}


def ahead(yaw_deg: float) -> tuple[Tensor, Tensor]:
    return torch.tensor(math.radians(yaw_deg)), torch.tensor(0.0)


def test_single_windows_to_measure_against_look_at_the_picture_too(panorama: str) -> None:
    """As the sky's own windows at the same pitch do: ahead, and brighter to the right and above."""
    request, model = replace(SKY, image=panorama), Painter()
    task = Task(model, request, Prompts(["x"], ""), Fields())
    planes = [Chart("plane", 8, 8, fov=math.pi / 2, pitch=math.radians(p)) for p in (-90, 0, 45)]
    given = run(Known(model, request, 5, 1, Fields()).given(planes, single=True))
    down, level, up = (float(z.mean()) for z in given.latents)
    assert down < level < up
    across, along = given.latents[1][0, 0].mean(0), given.latents[1][0, 0].mean(1)
    assert bool((across[1:] > across[:-1]).all())
    assert bool((along[1:] < along[:-1]).all())
    views = run(sample_reference(task, math.pi / 2))
    assert len(views) == 5
    assert all(v.given is not None for v in model.views)


def test_what_a_picture_leaves_open_takes_the_colours_around_it(tmp_path: Path) -> None:
    """Above red, below blue, nothing between: in the middle both, at the edges each its own, and nowhere black."""
    alpha = np.zeros((64, 128), np.uint8)
    alpha[:16] = alpha[48:] = 255
    picture = np.zeros((64, 128, 4), np.uint8)
    picture[:32, :, 0] = picture[32:, :, 2] = 200
    picture[..., 3] = alpha
    import cv2

    cv2.imwrite(str(tmp_path / "open.png"), picture[..., [2, 1, 0, 3]])
    read = inputs.picture_reader(replace(SKY, image=str(tmp_path / "open.png")))
    everywhere = extended(read, flat=False, wrap=False)
    colours, known = everywhere(sphere.erp_directions(64, 128))
    assert torch.equal(known, read(sphere.erp_directions(64, 128))[1])
    assert covered(read, flat=False) == pytest.approx(1 - math.sin(math.radians(45)), abs=0.03)
    assert float(colours.sum(0).min()) > 150 / 255
    assert float((colours[0] - colours[2])[30:34].abs().max()) < 0.2
    assert float((colours[0] - colours[2])[18:22].min()) > 0.3
    assert float((colours[0] - colours[2])[42:46].max()) < -0.3


def test_a_model_of_pictures_alone_is_not_asked_for_a_sky_that_none_shows(tmp_path: Path) -> None:
    write_png(tmp_path / "photo.png", np.full((64, 64, 3), 220, np.uint8))
    photo = replace(SKY, image=str(tmp_path / "photo.png"), image_fov_deg=60.0)
    check_inputs(photo)
    with pytest.raises(SkyloopError, match=r"shows \d+% of the sky.*Stable Video Diffusion") as refused:
        check_inputs(replace(photo, model="svd-xt"))
    assert "prompt" in refused.value.hint
    write_png(tmp_path / "whole.png", smooth())
    check_inputs(replace(SKY, image=str(tmp_path / "whole.png"), model="svd-xt"))
