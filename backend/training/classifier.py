"""Train the judge of the `text` figure: a small classifier of what a view shows, on scenes that nothing else has seen.

    python3 -m backend.training.classifier --out DIR [--device cuda] [--scenes N] [--minutes M]

Writes ``classifier.safetensors`` and ``text.json`` (values, words of the prompts, accuracy on held-out scenes, and the
figure's ceiling and floor on rendered panoramas). Scenes come from the same renderer as the built-in model's, with
other seeds. Needs torch, numpy and safetensors; without OpenCV the last step is left to :mod:`.calibration`.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import sphere
from ..evaluation.classifier import VIEW_PX, WHOLE, Box, SceneClassifier, elevation, visible
from ..evaluation.weights import FACTS, WEIGHTS
from ..models.storage import load_weights, save_weights
from .attributes import ATTRIBUTES, Scene, sample_scene
from .captions import FEATURES, GROUNDS, HELD_OUT, RIDGES, SKIES, TIMES, WEATHERS
from .scenes import Renderer

JUDGED = ("sky", "time", "ground", "ridge", "weather")
RENDER_PX = 96  # views are drawn finer than they are judged, as a panorama is
VIEWS_PER_SCENE = 4
# The built-in model was trained on seeds 0, 1, 2 ... (one a GPU) and judged on 10^6.
TRAINING_SEED, HELD_OUT_SEED = 7_000_001, 8_000_001
# What users write and captions do not; no scene has a frozen lake, so that either look will do.
EXTRA_WORDS: dict[str, dict[str, list[str]]] = {
    "frozen lake": {"ground": ["lake", "snow"]},
    "starry": {"sky": ["stars"]},
    "stormy": {"sky": ["storm"]},
    "misty": {"sky": ["fog"]},
    "foggy": {"sky": ["fog"]},
}
BANDS = {"down": (-90, -20), "level": (-20, 20), "up": (20, 90)}  # degrees of pitch


@dataclass
class Views:
    """N views: ``pixels`` (N, 3, 96, 96) uint8, ``pitch`` and ``fov`` (N,) radians, ``labels`` (N, 5) value numbers."""

    pixels: Tensor
    pitch: Tensor
    fov: Tensor
    labels: Tensor


def shuffled_scene(rng: random.Random, sky: str) -> Scene:
    """A scene in which ground, ridge and weather often do not go with the sky, so that each is judged by its look."""
    scene = sample_scene(rng, sky)
    if sky == "underwater" or scene.ground == "none":
        return scene
    if rng.random() < 0.35:
        scene = replace(scene, weather=rng.choice([v for v in ATTRIBUTES["weather"] if v != "bubbles"]))
    if rng.random() < 0.35:
        scene = replace(scene, ground=rng.choice([v for v in ATTRIBUTES["ground"] if v not in ("none", "seabed")]))
    if scene.ground != "clouds" and rng.random() < 0.35:
        scene = replace(scene, ridge=rng.choice(ATTRIBUTES["ridge"]))
    return scene if scene.ground != "clouds" else replace(scene, ridge="none")


def labels(scenes: list[Scene]) -> Tensor:
    """Value numbers (N, 5) of the judged attributes."""
    return torch.tensor([[ATTRIBUTES[name].index(getattr(s, name)) for name in JUDGED] for s in scenes])


def render_views(renderer: Renderer, scenes: list[Scene], rng: random.Random) -> Views:
    """One view of each scene, in any direction: a third near the horizon, fov 30 to 100 degrees."""
    count = len(scenes)
    pitch_deg = [rng.gauss(0, 10) if rng.random() < 0.33 else rng.uniform(-90, 90) for _ in scenes]
    pitch = torch.tensor([math.radians(max(-90.0, min(90.0, p))) for p in pitch_deg])
    fov = torch.tensor([math.radians(rng.uniform(30, 100)) for _ in scenes])
    yaw = torch.tensor([rng.uniform(-math.pi, math.pi) for _ in scenes])
    time_s = torch.tensor([[rng.uniform(0, 60)] for _ in scenes])
    directions = sphere.view_directions(yaw, pitch, fov, RENDER_PX, RENDER_PX)
    image = renderer.shade(scenes, directions, time_s, (2 * torch.tan(fov / 2) / RENDER_PX).to(renderer.device))
    pixels = (image[:, 0] * 255).round().to(torch.uint8)
    assert pixels.shape == (count, 3, RENDER_PX, RENDER_PX)
    return Views(pixels, *(x.to(renderer.device) for x in (pitch, fov, labels(scenes))))


def render_bank(renderer: Renderer, count: int, rng: random.Random, batch: int, *, shuffle: bool) -> Views:
    """``count`` scenes with ``VIEWS_PER_SCENE`` views each, in batches of one kind of sky."""
    parts: list[Views] = []
    kinds = ATTRIBUTES["sky"]
    started = time.time()
    for number in range(math.ceil(count / batch)):
        sky = kinds[number % len(kinds)]
        scenes = [shuffled_scene(rng, sky) if shuffle else sample_scene(rng, sky) for _ in range(batch)]
        parts.append(render_views(renderer, [s for s in scenes for _ in range(VIEWS_PER_SCENE)], rng))
        if number % 50 == 49:
            print(f"{(number + 1) * batch} of {count} scenes, {time.time() - started:.0f} s", flush=True)
    return Views(*(torch.cat([getattr(p, name) for p in parts]) for name in ("pixels", "pitch", "fov", "labels")))


def _random_box(rng: random.Random) -> tuple[slice, slice, Box]:
    """A square of at least 60 % of the view: its rows, its columns, and where it lies in [-1, 1]."""
    side = rng.randint(round(0.6 * RENDER_PX), RENDER_PX)
    top, left = rng.randint(0, RENDER_PX - side), rng.randint(0, RENDER_PX - side)
    low_x, low_y, high_x, high_y = (2 * e / RENDER_PX - 1 for e in (left, top, left + side, top + side))
    return slice(top, top + side), slice(left, left + side), (low_x, low_y, high_x, high_y)


def _quantised(x: Tensor, strength: Tensor) -> Tensor:
    """Pictures (N, 3, 64, 64) as a video codec leaves them: 8x8 cosine blocks in steps that grow with frequency."""
    k = torch.arange(8, device=x.device, dtype=x.dtype)
    basis = torch.cos(math.pi / 8 * (k[None, :] + 0.5) * k[:, None]) * 0.5
    basis[0] /= math.sqrt(2)
    blocks = x.unfold(2, 8, 8).unfold(3, 8, 8)
    step = strength[:, None, None, None, None, None] * (1 + k[:, None] + k[None, :])
    coded = torch.round(basis @ blocks @ basis.T / step) * step
    return (basis.T @ coded @ basis).permute(0, 1, 2, 4, 3, 5).reshape(x.shape)


def degraded(x: Tensor, rng: random.Random) -> Tensor:
    """Pictures (N, 3, 64, 64) in [0, 1] as generated movies show them: softer, blotchy, off in colour, compressed."""
    n, device = len(x), x.device

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(n, *shape, device=device)

    if rng.random() < 0.6:
        small = F.interpolate(x, size=rng.randint(28, 62), mode="bilinear", antialias=True)
        x = F.interpolate(small, size=VIEW_PX, mode="bicubic").clamp(0, 1)
    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * uniform(0.75, 1.3, 1, 1, 1)
    x = x * uniform(0.88, 1.12, 1, 1, 1) * uniform(0.95, 1.05, 3, 1, 1)
    x = x.clamp(1e-4, 1) ** uniform(0.85, 1.18, 1, 1, 1)
    blotches = F.interpolate(torch.randn(n, 3, 6, 6, device=device), size=VIEW_PX, mode="bicubic")
    x = x + blotches * uniform(0, 0.03, 1, 1, 1) + torch.randn_like(x) * uniform(0, 0.025, 1, 1, 1)
    if rng.random() < 0.5:
        x = _quantised(x, uniform(0.005, 0.04))
    return x.clamp(0, 1)


def batches(bank: Views, size: int, rng: random.Random) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Endless (pictures, rays, fov, labels): random crops, mirrored half the time, degraded."""
    device = bank.pixels.device
    while True:
        pick = torch.randint(len(bank.pixels), (size,), device=device)
        rows, columns, box = _random_box(rng)
        x = bank.pixels[pick][:, :, rows, columns].float() / 255
        x = F.interpolate(x, size=VIEW_PX, mode="bilinear", antialias=True)
        rays = elevation(bank.pitch[pick], bank.fov[pick], VIEW_PX, box)
        # A crop's pixels are as large as those of a whole view of this fov.
        fov = 2 * torch.atan(torch.tan(bank.fov[pick] / 2) * (box[2] - box[0]) / 2)
        if rng.random() < 0.5:
            x, rays = x.flip(-1), rays.flip(-1)
        yield degraded(x, rng), rays, fov, bank.labels[pick]


def loss_of(logits: dict[str, Tensor], rays: Tensor, wanted: Tensor) -> Tensor:
    """Cross-entropy summed over the attributes, each over the views that can show it."""
    total = torch.zeros((), device=wanted.device)
    seen = visible(rays)
    for i, name in enumerate(JUDGED):
        each = F.cross_entropy(logits[name].float(), wanted[:, i], reduction="none")
        total = total + (each * seen[name]).sum() / seen[name].sum().clamp(min=1)
    return total


def train(net: SceneClassifier, bank: Views, seconds: float, batch: int, peak: float = 2e-3) -> int:
    """Time-boxed AdamW with a warm-up and a half-cosine fall; returns the number of steps."""
    rng = random.Random(0)
    device = bank.pixels.device
    optimizer = torch.optim.AdamW(net.parameters(), peak, weight_decay=0.02)
    net.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    started, recent = time.time(), 0.0
    for step, (x, rays, fov, wanted) in enumerate(batches(bank, batch, rng)):
        progress = (time.time() - started) / seconds
        if progress >= 1:
            return step
        for group in optimizer.param_groups:
            group["lr"] = peak * min(1.0, (step + 1) / 100) * (0.005 + 0.5 * (1 + math.cos(math.pi * progress)))
        with torch.autocast(device.type, torch.bfloat16):
            logits = net(x, rays, fov)
        loss = loss_of(logits, rays, wanted)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimizer.step()
        recent += (loss.item() - recent) * (0.02 if step else 1.0)
        if step % 200 == 199:
            print(f"step {step + 1}, {time.time() - started:.0f} s, loss {recent:.3f}", flush=True)
    raise AssertionError("the batches never end")


@torch.no_grad()
def accuracy(net: SceneClassifier, bank: Views) -> dict[str, dict[str, float]]:
    """Share of views whose likeliest value is the scene's, by attribute and pitch band; only views that can show it."""
    net.eval()
    right, seen = [], []
    for i in range(0, len(bank.pixels), 256):
        part = slice(i, i + 256)
        x = F.interpolate(bank.pixels[part].float() / 255, size=VIEW_PX, mode="bilinear", antialias=True)
        rays = elevation(bank.pitch[part], bank.fov[part], VIEW_PX, WHOLE)
        logits = net(x, rays, bank.fov[part])
        right.append(torch.stack([logits[a].argmax(1) == bank.labels[part, k] for k, a in enumerate(JUDGED)], 1))
        seen.append(torch.stack([visible(rays)[a] for a in JUDGED], 1))
    hit, can = torch.cat(right), torch.cat(seen)
    pitch = torch.rad2deg(bank.pitch)
    found: dict[str, dict[str, float]] = {}
    for k, name in enumerate(JUDGED):
        chosen = {"all": can[:, k]}
        chosen |= {band: can[:, k] & (pitch >= low) & (pitch <= high) for band, (low, high) in BANDS.items()}
        found[name] = {b: round(hit[c, k].float().mean().item(), 3) for b, c in chosen.items() if c.sum() >= 20}
    return found


def words() -> dict[str, dict[str, list[str]]]:
    """What each phrase of the captions, and each synonym held out of them, says: phrase -> attribute -> values."""
    groups = {"sky": SKIES, "time": TIMES, "ground": GROUNDS, "ridge": RIDGES, "weather": WEATHERS}
    return {
        _plain(phrase): {attribute: [value]}
        for source in (HELD_OUT, groups)
        for attribute, values in source.items()
        for value, phrases in values.items()
        if value != "none"
        for phrase in phrases
    } | EXTRA_WORDS


def features() -> dict[str, dict[str, list[str]]]:
    """What the phrases of features, which are not judged themselves, imply: sky and time, where there are at most two
    values that they come with."""
    rng = random.Random(0)
    scenes = [sample_scene(rng) for _ in range(20_000)]
    found: dict[str, dict[str, list[str]]] = {}
    for feature, phrases in FEATURES.items():
        implied: dict[str, list[str]] = {}
        for attribute in ("sky", "time"):
            values = sorted({getattr(s, attribute) for s in scenes if s.feature == feature})
            if len(values) <= 2 and "none" not in values:
                implied[attribute] = values
        found |= {_plain(phrase): implied for phrase in phrases}
    return found


def _plain(phrase: str) -> str:
    return phrase.lower().replace("-", " ").removeprefix("a ").removeprefix("the ").removeprefix("at ")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--scenes", type=int, default=4000)
    parser.add_argument("--held-out", type=int, default=440, help="held-out scenes for the accuracy")
    parser.add_argument("--panoramas", type=int, default=44, help="held-out panoramas for ceiling and floor")
    parser.add_argument("--minutes", type=float, default=8.0, help="of training, after rendering")
    parser.add_argument("--batch", type=int, default=128)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    device = torch.device(args.device)
    renderer = Renderer(device)
    started = time.time()
    group = 8 if device.type == "cpu" else 32
    bank = render_bank(renderer, args.scenes, random.Random(TRAINING_SEED), group, shuffle=True)
    held_out = render_bank(renderer, args.held_out, random.Random(HELD_OUT_SEED), 8, shuffle=False)
    print(f"{len(bank.pixels)} views in {time.time() - started:.0f} s", flush=True)

    attributes = {name: list(ATTRIBUTES[name]) for name in JUDGED}
    net = SceneClassifier(attributes).to(device)
    steps = train(net, bank, 60 * args.minutes, args.batch)
    state = {k: v for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
    save_weights(state, args.out / WEIGHTS, int8=True)
    net.load_state_dict(load_weights(args.out / WEIGHTS))  # what is judged is what was stored, in 8 bits
    document = {
        "attributes": attributes,
        "words": words(),
        "features": features(),
        "training": {"device": args.device, "views": len(bank.pixels), "steps": steps, "batch": args.batch},
        "accuracy": accuracy(net, held_out),
    }
    (args.out / FACTS).write_text(json.dumps(document, indent=1))
    print(json.dumps({k: document[k] for k in ("training", "accuracy")}, indent=1), flush=True)
    try:
        from .calibration import calibrate
    except ImportError as error:
        print(f"No ceiling and floor yet ({error}): run backend.training.calibration on {args.out}", flush=True)
    else:
        print(json.dumps(calibrate(renderer, args.out, args.panoramas), indent=1))


if __name__ == "__main__":
    main()
