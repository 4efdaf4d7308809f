"""The text figure: the judge knows rendered scenes it never saw, and its figures tell right from wrong or misplaced."""

from __future__ import annotations

import math
import random
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from backend import sphere  # noqa: E402
from backend.evaluation.classifier import WHOLE, elevation, visible  # noqa: E402
from backend.evaluation.judge import TextJudge  # noqa: E402
from backend.evaluation.text import text_by_direction, text_figures  # noqa: E402
from backend.evaluation.views import View  # noqa: E402
from backend.protocol import ErrorKind, Region, SkyloopError  # noqa: E402
from backend.training import classifier as training  # noqa: E402
from backend.training.calibration import HALVES, halves, panorama  # noqa: E402
from backend.training.scenes import ATTRIBUTES, Renderer, Scene, sample_scene  # noqa: E402

AURORA = Scene("aurora", "night", "green", ground="snow", ridge="snowcaps", seed=12.5, cover=0.8)
NOON = Scene("scattered", "day", ground="sea", seed=33.1, sun_yaw=0.4, sun_pitch=0.9)
AURORA_TEXT, NOON_TEXT = "northern lights over a frozen plain at night", "scattered clouds over the sea at noon"


@pytest.fixture(scope="module")
def judge() -> TextJudge:
    return TextJudge()


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer("cpu")


@pytest.fixture(scope="module")
def aurora(renderer: Renderer) -> np.ndarray:
    return panorama(renderer, AURORA, height=192)


@pytest.fixture(scope="module")
def noon(renderer: Renderer) -> np.ndarray:
    return panorama(renderer, NOON, height=192)


def radians(*degrees: float):
    return torch.tensor([math.radians(d) for d in degrees])


def test_elevation_is_that_of_the_views_rays():
    pitch, fov = radians(-90, -33, 0, 61), radians(100, 40, 70, 90)
    rays = sphere.view_directions(torch.zeros(4), pitch, fov, 64, 64)[..., 2]
    torch.testing.assert_close(elevation(pitch, fov)[:, 0], rays, atol=1e-5, rtol=0)
    corner = elevation(pitch, fov, 32, box=(-1.0, -1.0, 0.0, 0.0))
    torch.testing.assert_close(corner[:, 0], rays[:, :32, :32], atol=1e-5, rtol=0)


def test_a_view_is_judged_only_for_what_it_can_show(judge: TextJudge):
    seen = judge.can_show([View(0, 90), View(0, 0), View(0, -90)])
    assert seen["sky"].tolist() == seen["weather"].tolist() == [True, True, False]
    assert seen["ground"].tolist() == [False, True, True]
    assert seen["ridge"].tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("prompt", "named"),
    [
        ("Northern lights over a frozen plain", {"sky": {"aurora"}, "ground": {"snow"}}),
        ("flying above a sea of clouds at daybreak", {"ground": {"clouds"}, "time": {"sunrise"}}),
        ("snow-capped mountains, gently falling snow", {"ridge": {"snowcaps"}, "weather": {"snowfall"}}),
        ("milky way over sand dunes", {"sky": {"stars"}, "ground": {"desert"}}),
        ("milky way galaxy behind storm clouds", {"sky": {"storm"}}),
        ("aurora or a starry sky", {"sky": {"aurora", "stars"}}),
        ("a squall", {"sky": {"storm"}}),
        ("purple elephants dancing, photorealistic", {}),
        ("seashells, nights of daylong iceberg snowdrops", {"time": {"night"}}),
        ("", {}),
    ],
)
def test_what_a_prompt_names(judge: TextJudge, prompt: str, named: dict[str, set[str]]):
    found = judge.named(prompt)
    if prompt.startswith("milky way"):
        found.pop("time", None)  # the galaxy implies a time of day too, whatever the scenes say
    assert {name: set(values) for name, values in found.items()} == named


def test_every_phrase_of_the_captions_is_known(judge: TextJudge):
    assert judge.facts["words"] == training.words()
    assert judge.facts["features"] == training.features()
    assert judge.facts["attributes"] == {name: list(ATTRIBUTES[name]) for name in training.JUDGED}


@pytest.mark.parametrize(
    ("attribute", "pitch_deg", "least"), [("sky", 25, 0.65), ("time", 15, 0.55), ("ground", -35, 0.65)]
)
def test_rendered_scenes_are_told_apart(
    judge: TextJudge, renderer: Renderer, attribute: str, pitch_deg: float, least: float
):
    """Chance is 0.09 to 0.15."""
    rng = random.Random(8_500_001)
    scenes = [sample_scene(rng, sky) for sky in ATTRIBUTES["sky"] for _ in range(4)]
    yaw = torch.tensor([rng.uniform(-math.pi, math.pi) for _ in scenes])
    pitch, fov = (radians(*[d] * len(scenes)) for d in (pitch_deg, 80.0))
    directions = sphere.view_directions(yaw, pitch, fov, 96, 96)
    image = renderer.shade(scenes, directions, torch.zeros(len(scenes), 1), 0.0175)[:, 0]
    views = (image.permute(0, 2, 3, 1) * 255).to(torch.uint8).numpy()
    found = judge.probabilities(views, pitch_deg, 80.0)[attribute]
    values = list(found)
    likeliest = [values[i] for i in np.argmax([found[v] for v in values], axis=0)]
    right = np.mean([getattr(s, attribute) == v for s, v in zip(scenes, likeliest, strict=True)])
    assert right >= least
    np.testing.assert_allclose(np.sum(list(found.values()), axis=0), 1, atol=1e-5)


def test_the_right_prompt_beats_the_wrong_one(judge: TextJudge, aurora: np.ndarray, noon: np.ndarray):
    for picture, right, wrong in ((aurora, AURORA_TEXT, NOON_TEXT), (noon, NOON_TEXT, AURORA_TEXT)):
        good, bad = text_figures(picture, right, judge=judge), text_figures(picture, wrong, judge=judge)
        assert good["text"] > 0.6 > 0.2 > bad["text"]
        assert good["text_top1"] > 0.6 > 0.2 > bad["text_top1"]
        assert set(good["text_by_attribute"]) == {"sky", "time", "ground"}


def test_regions_show_their_own_prompt(judge: TextJudge, aurora: np.ndarray, noon: np.ndarray):
    both = halves(aurora, noon)
    right = [Region(*where, text) for where, text in zip(HALVES, (AURORA_TEXT, NOON_TEXT), strict=True)]
    wrong = [Region(*where, text) for where, text in zip(HALVES, (NOON_TEXT, AURORA_TEXT), strict=True)]
    good, bad = text_by_direction(both, right, judge=judge), text_by_direction(both, wrong, judge=judge)
    assert good["text_direction"] > 0.4 > -0.4 > bad["text_direction"]
    assert good["text_direction_top1"] > 0.6 > 0.3 > bad["text_direction_top1"]
    assert set(good["text_by_region"]) == {"0", "1"}
    one_sky = text_by_direction(aurora, right, judge=judge)
    assert abs(one_sky["text_direction"]) < 0.15, "a sky that ignores directions gets about nothing"


def test_a_region_on_top_of_the_rest(judge: TextJudge, aurora: np.ndarray, noon: np.ndarray):
    """A sky at noon with an aurora in one direction: the prompt holds outside, the region inside."""
    height, width = noon.shape[1:3]
    region = Region(60.0, 25.0, 40.0, AURORA_TEXT)
    d = sphere.erp_directions(height, width)
    centre = sphere.direction(*radians(60.0, 25.0))
    inside = (d @ centre > math.cos(math.radians(40))).numpy()[None, :, :, None]
    picture = np.where(inside, aurora, noon)
    found = text_figures(picture, NOON_TEXT, [region], judge=judge)
    assert found["text"] == pytest.approx(text_figures(noon, NOON_TEXT, judge=judge)["text"], abs=0.12)
    assert found["text_direction"] > 0.4
    elsewhere = text_figures(picture, NOON_TEXT, [Region(-120.0, 25.0, 40.0, AURORA_TEXT)], judge=judge)
    assert elsewhere["text_direction"] < 0.05


def test_a_band_of_elevation(judge: TextJudge, aurora: np.ndarray, noon: np.ndarray):
    picture = noon.copy()
    rows = noon.shape[1]
    picture[:, : rows // 3] = aurora[:, : rows // 3]  # above 30 degrees
    above = text_by_direction(picture, [Region(None, 90.0, 60.0, "northern lights")], NOON_TEXT, judge)
    level = text_by_direction(picture, [Region(None, 0.0, 25.0, "northern lights")], NOON_TEXT, judge)
    assert above["text_direction"] > 0.5 > 0 > level["text_direction"]


def test_a_later_region_lies_over_an_earlier_one(judge: TextJudge, aurora: np.ndarray, noon: np.ndarray):
    """What is under another region is not asked to show itself."""
    under, over = Region(0.0, 30.0, 20.0, AURORA_TEXT), Region(0.0, 30.0, 60.0, NOON_TEXT)
    both = halves(aurora, noon)
    assert set(text_by_direction(both, [under, over], judge=judge)["text_by_region"]) == {"1"}
    assert "0" in text_by_direction(both, [over, under], judge=judge)["text_by_region"]


def test_what_cannot_be_told_is_not_judged(judge: TextJudge, noon: np.ndarray):
    assert text_figures(noon, "purple elephants", [Region(0.0, 0.0, 40.0, "pink elephants")], judge=judge) == {}
    same = text_figures(noon, "the sea", [Region(0.0, -40.0, 30.0, "ocean waves")], judge=judge)
    assert "text" in same and "text_direction" not in same, "a region that asks for what is everywhere proves nothing"
    up_only = text_figures(noon, "", [Region(0.0, 90.0, 30.0, "lava")], judge=judge)
    assert up_only == {}, "no ground is seen overhead"


def test_files_that_are_missing_are_named(tmp_path: Path):
    with pytest.raises(SkyloopError) as caught:
        TextJudge(tmp_path).named("the sea")
    assert caught.value.kind is ErrorKind.MISSING_MODEL


def test_a_crop_shows_what_its_part_of_the_view_shows():
    whole = visible(elevation(radians(0.0), radians(90.0), box=WHOLE))
    top = visible(elevation(radians(0.0), radians(90.0), box=(-0.5, -1.0, 0.5, -0.2)))
    assert whole["ground"].item() and whole["sky"].item()
    assert top["sky"].item() and not top["ground"].item()
