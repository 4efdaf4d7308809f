"""From the figures of many skies to those of a method: means with confidence intervals, and whether they pass."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .calibration import RATIOS, bands, interval
from .metrics import PASS

VIEW_RATIOS = ("detail_by_view", "motion_ratio_by_view")
_LEAST_RATIO = 0.01  # of what stands still or is plain, so that its logarithm does not outweigh all others


def base(name: str) -> str:
    """``pole`` of ``pole.zenith``."""
    return name.partition(".")[0]


def numbers(figures: Mapping[str, Any]) -> dict[str, float]:
    """The figures of one sky as single numbers: parts by ``name.part``, islands by their count, no lists by view."""
    found: dict[str, float] = {}
    for name, value in figures.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{part}": float(one) for part, one in value.items() if one is not None}
        elif isinstance(value, list):
            if not any(len(one) == 3 for one in value):
                found[name] = float(len(value))
        elif value is not None:
            found[name] = float(value)
    return found


def summarise(values: Sequence[float], *, ratio: bool) -> dict[str, float]:
    """``{mean, low, high, n}``: mean (geometric for a ratio) and its 95 % confidence interval over n skies."""
    if ratio:
        logs = np.log(np.maximum(np.asarray(values, float), _LEAST_RATIO))
        mean, low, high = (float(np.exp(one)) for one in interval(list(logs)))
    else:
        mean, low, high = interval(list(values))
    return {"mean": round(mean, 4), "low": round(low, 4), "high": round(high, 4), "n": len(values)}


def group(skies: Sequence[Mapping[str, Any]], width: int) -> dict[str, Any]:
    """What the skies of one method at one number of steps have in common.

    ``width``: of the skies, pixels. Each sky has ``figures`` and may have ``scores``, ``evaluations``, ``seconds`` and
    ``peak_memory_mb`` as in ``result.json``. Returns

    - ``figures: {name: {mean, low, high, n, inside, band, verdict}}``; ``inside``: share of skies within the band of a
      single sky; ``band``: that of the mean of n skies; ``verdict``: true when the mean is in it
    - ``views: {name: [[yaw_deg, pitch_deg, mean, low, high], ...]}``
    - ``evaluations`` and ``seconds: {phase: mean}`` a sky, ``peak_memory_mb: {place: most}``
    """
    columns: dict[str, list[float]] = defaultdict(list)
    for sky in skies:
        for name, value in {**numbers(sky["figures"]), **sky.get("scores", {})}.items():
            columns[name].append(value)
    evaluations = [sky["evaluations"] for sky in skies if "evaluations" in sky]
    return {
        "skies": len(skies),
        "figures": {name: _figure(name, values, width) for name, values in columns.items()},
        "views": {name: found for name in VIEW_RATIOS if (found := _views(name, skies))},
        "evaluations": round(float(np.mean(evaluations)), 1) if evaluations else None,
        "seconds": {name: round(float(np.mean(values)), 3) for name, values in _parts(skies, "seconds").items()},
        "peak_memory_mb": {name: max(values) for name, values in _parts(skies, "peak_memory_mb").items()},
    }


def _figure(name: str, values: list[float], width: int) -> dict[str, Any]:
    found: dict[str, Any] = summarise(values, ratio=base(name) in RATIOS)
    one, many = band(name, 1, width), band(name, len(values), width)
    if one and many:
        found["inside"] = round(sum(one[0] <= value <= one[1] for value in values) / len(values), 3)
        found["band"] = list(many)
        found["verdict"] = many[0] <= found["mean"] <= many[1]
    return found


def band(name: str, count: int, width: int) -> tuple[float, float] | None:
    """Where the mean of ``count`` skies passes: as rendered skies without seams have it, else as ``PASS`` says."""
    return bands(count, width).get(name) or PASS.get(base(name))


def _views(name: str, skies: Iterable[Mapping[str, Any]]) -> list[list[float]]:
    columns: dict[tuple[float, float], list[float]] = defaultdict(list)
    for sky in skies:
        for yaw_deg, pitch_deg, value in sky["figures"].get(name, ()):
            columns[yaw_deg, pitch_deg].append(value)
    order = sorted(columns, key=lambda place: (abs(place[1]), -place[1], place[0]))
    means = {place: summarise(columns[place], ratio=True) for place in order}
    return [[*place, *(one[key] for key in ("mean", "low", "high"))] for place, one in means.items()]


def _parts(skies: Iterable[Mapping[str, Any]], name: str) -> dict[str, list[float]]:
    found: dict[str, list[float]] = defaultdict(list)
    for sky in skies:
        for part, value in sky.get(name, {}).items():
            if value is not None:
                found[part].append(value)
    return found
