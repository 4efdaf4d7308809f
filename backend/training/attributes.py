"""What a scene is: its categories, its continuous numbers, and how to draw one at random."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "sky": (
        "clear",
        "scattered",
        "wispy",
        "overcast",
        "storm",
        "fog",
        "stars",
        "aurora",
        "nebula",
        "alien",
        "underwater",
    ),
    "time": ("none", "sunrise", "day", "golden", "sunset", "dusk", "night"),
    "hue": ("none", "orange", "pink", "purple", "red", "green", "blue", "teal", "gold", "turquoise", "grey"),
    "ground": ("none", "sea", "lake", "snow", "desert", "grass", "lava", "rock", "clouds", "seabed"),
    "ridge": ("none", "mountains", "snowcaps", "hills", "forest", "city", "islands"),
    "weather": ("none", "rain", "snowfall", "fireflies", "embers", "dust", "bubbles"),
    "feature": ("none", "moon", "milkyway", "meteors", "lightning", "planet", "ringed", "moons"),
}
HUES: dict[str, tuple[str, ...]] = {  # colours a caption can name, by what they colour
    "sunset": ("orange", "pink", "purple", "red"),
    "aurora": ("green", "green", "green", "purple", "pink", "red", "blue"),
    "nebula": ("purple", "blue", "red", "teal", "gold", "pink"),
    "alien": ("red", "green", "purple", "orange", "teal"),
    "underwater": ("turquoise", "blue", "green"),
    "storm": ("grey", "blue", "green"),
}
SUN_ELEVATION_DEG = {
    "sunrise": (1.0, 8.0),
    "day": (28.0, 75.0),
    "golden": (8.0, 18.0),
    "sunset": (0.0, 7.0),
    "dusk": (-9.0, -5.0),
    "night": (-40.0, -20.0),
    "none": (40.0, 80.0),
}


@dataclass(frozen=True)
class Scene:
    """One sky. The strings are values of ``ATTRIBUTES``; angles are radians, speeds relative to a usual breeze."""

    sky: str
    time: str = "day"
    hue: str = "none"
    ground: str = "none"
    ridge: str = "none"
    weather: str = "none"
    feature: str = "none"
    seed: float = 0.0  # 0-64: shifts every noise
    wind: float = 1.0  # 0.5-1.6
    wind_yaw: float = 0.0
    sun_yaw: float = 0.0
    sun_pitch: float = 0.8
    cover: float = 0.5  # 0-1: how much cloud, aurora or nebula within its kind
    eye_m: float = 2.5  # height of the eye over the ground
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)  # slight cast of the whole picture


def _ground(rng: random.Random, sky: str) -> str:
    if sky == "nebula":
        return "none" if rng.random() < 0.75 else rng.choice(("rock", "lake", "desert"))
    if sky == "underwater":
        return "seabed" if rng.random() < 0.7 else "none"
    if sky == "alien":
        return rng.choice(("rock", "rock", "desert", "sea", "lava", "snow", "lake", "grass"))
    land = ("sea", "sea", "lake", "snow", "desert", "grass", "rock")
    return rng.choice(land + (("clouds", "lava") if sky in ("clear", "wispy", "stars", "aurora") else ("lava",)))


def _ridge(rng: random.Random, sky: str, ground: str) -> str:
    if sky == "underwater" or ground in ("none", "clouds", "seabed") or rng.random() < 0.3:
        return "none"
    if sky in ("alien", "nebula"):
        return rng.choice(("none", "mountains", "hills"))
    fits = {
        "sea": ("none", "none", "islands", "islands", "city"),
        "snow": ("snowcaps", "snowcaps", "forest", "mountains"),
        "desert": ("mountains", "hills", "city"),
        "lava": ("mountains", "mountains", "hills"),
        "rock": ("mountains", "snowcaps", "hills"),
    }
    return rng.choice(fits.get(ground, ("mountains", "snowcaps", "hills", "forest", "forest", "city")))


def _weather(rng: random.Random, scene_sky: str, ground: str, time: str) -> str:
    if scene_sky == "underwater":
        return "bubbles" if rng.random() < 0.35 else "none"
    choices: list[str] = []
    if scene_sky in ("overcast", "storm", "fog", "scattered"):
        choices += ["rain", "rain"] if ground != "snow" else ["snowfall"]
        choices += ["snowfall"] if ground in ("snow", "rock", "lake") else []
    if ground == "snow":
        choices += ["snowfall"]
    if time in ("dusk", "night") and ground in ("grass", "lake"):
        choices += ["fireflies", "fireflies"]
    if ground == "lava":
        choices += ["embers", "embers"]
    if ground == "desert":
        choices += ["dust"]
    chance = 0.6 if scene_sky in ("overcast", "storm") else 0.45
    return rng.choice(choices) if choices and rng.random() < chance else "none"


def sample_scene(rng: random.Random, sky: str | None = None) -> Scene:
    """A random scene; ``sky`` fixes its kind of sky (a value of ``ATTRIBUTES["sky"]``), the rest follows from that."""
    sky = sky or rng.choice(ATTRIBUTES["sky"])
    if sky in ("stars", "aurora"):
        time = "night"
    elif sky in ("nebula", "underwater"):
        time = "none"
    elif sky == "alien":
        time = rng.choice(("day", "dusk", "night"))
    else:
        time = rng.choice(("sunrise", "day", "day", "golden", "sunset", "sunset", "dusk", "night"))
    hue = rng.choice(HUES[sky]) if sky in HUES else "none"
    if hue == "none" and time in ("sunset", "sunrise", "dusk") and rng.random() < 0.6:
        hue = rng.choice(HUES["sunset"])
    ground = _ground(rng, sky)
    if hue == "none" and time == "day" and ground == "sea" and rng.random() < 0.35:
        hue = rng.choice(("turquoise", "blue"))
    features = {
        "stars": ("milkyway", "milkyway", "milkyway", "meteors", "moon", "none"),
        "aurora": ("none", "none", "meteors", "moon"),
        "storm": ("lightning", "lightning", "none"),
        "alien": ("planet", "ringed", "moons"),
        "nebula": ("none", "none", "planet", "ringed"),
    }
    night = ("moon", "none") if time == "night" and sky in ("clear", "scattered", "wispy") else ("none",)
    low, high = SUN_ELEVATION_DEG[time]
    return Scene(
        sky,
        time,
        hue,
        ground,
        _ridge(rng, sky, ground),
        _weather(rng, sky, ground, time),
        rng.choice(features.get(sky, night)),
        seed=rng.uniform(0, 64),
        wind=rng.uniform(0.5, 1.6),
        wind_yaw=rng.uniform(-math.pi, math.pi),
        sun_yaw=rng.uniform(-math.pi, math.pi),
        sun_pitch=math.radians(rng.uniform(low, high)),
        cover=rng.random(),
        eye_m=rng.uniform(1.8, 4.0),
        tint=(rng.uniform(0.95, 1.05), rng.uniform(0.96, 1.04), rng.uniform(0.95, 1.05)),
    )
