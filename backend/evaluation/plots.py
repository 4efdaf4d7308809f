"""Two plots as inline SVG: dots with confidence intervals, and a map of the sphere with a value in each view.

Colours come from the page's CSS (classes ``s0``, ``s1``, ... by number of steps; ``band``, ``grid``), so that the plots
follow its light and dark look.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

_WIDTH, _LABEL, _RIGHT, _ROW, _GAP, _HEAD, _FOOT = 440, 112, 14, 13, 9, 24, 22
_MOST_RATIO = 4.0


def dot_plot(
    title: str, groups: Sequence[dict[str, Any]], name: str, steps: Sequence[int], *, logarithmic: bool = False
) -> str:
    """One figure of all groups of a suite: a row a method and number of steps, the band of the mean behind them."""
    methods = list(dict.fromkeys(group["method"] for group in groups))
    found = {(group["method"], group["steps"]): group["figures"].get(name) for group in groups}
    known = [one for one in found.values() if one]
    if not known:
        return ""
    band = next((one["band"] for one in known if "band" in one), None)
    axis = Axis.around([one[key] for one in known for key in ("low", "mean", "high")], band, logarithmic)
    block = _ROW * len(steps) + _GAP
    bottom = _HEAD + block * len(methods)
    parts = [f'<text x="0" y="14" class="title">{escape(title)}</text>']
    if band:
        left, right = axis(max(band[0], axis.low)), axis(min(band[1], axis.high))
        parts.append(f'<rect class="band" x="{left:.1f}" y="{_HEAD - 4}" width="{right - left:.1f}" '
                     f'height="{bottom - _HEAD}"/>')  # fmt: skip
    for tick in axis.ticks():
        x = axis(tick)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_HEAD - 4}" y2="{bottom - 4}"/>'
                     f'<text x="{x:.1f}" y="{bottom + 12}" text-anchor="middle">{tick:g}</text>')  # fmt: skip
    for row, method in enumerate(methods):
        top = _HEAD + row * block
        parts.append(f'<text x="0" y="{top + block / 2:.1f}">{escape(method)}</text>')
        for i, count in enumerate(steps):
            if one := found.get((method, count)):
                parts.append(_dot(axis, one, top + i * _ROW + 6, i, f"{method}, {count} steps"))
    height = bottom + _FOOT
    return (f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title, quote=True)}">'
            f"{''.join(parts)}</svg>")  # fmt: skip


def _dot(axis: Axis, one: dict[str, float], y: float, shade: int, label: str) -> str:
    text = f"{label}: {one['mean']:.3g} ({one['low']:.3g} to {one['high']:.3g}), n = {one['n']}"
    return (
        f'<g class="s{shade}"><title>{escape(text)}</title>'
        f'<line x1="{axis(one["low"]):.1f}" x2="{axis(one["high"]):.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<circle cx="{axis(one["mean"]):.1f}" cy="{y:.1f}" r="4"/></g>'
    )


class Axis:
    """Where on a plot's x axis a value stands; what is beyond the ends stands at them."""

    def __init__(self, low: float, high: float, logarithmic: bool) -> None:
        self.low, self.high, self.logarithmic = low, high, logarithmic

    @staticmethod
    def around(values: Sequence[float], band: Sequence[float] | None, logarithmic: bool) -> Axis:
        """An axis that shows these values and the band; a ratio's logarithmic one is cut at 1/4 and 4."""
        every = [*values, *(band or ())]
        if logarithmic:
            low = max(1 / _MOST_RATIO, min(one for one in every if one > 0)) if any(one > 0 for one in every) else 0.5
            high = min(_MOST_RATIO, max(every))
            return Axis(min(low, 0.9) / 1.05, max(high, 1.1) * 1.05, True)
        low, high = min(every), max(every)
        margin = 0.06 * (high - low) or 0.5
        return Axis(low - margin, high + margin, False)

    def __call__(self, value: float) -> float:
        value = min(max(value, self.low), self.high)
        if self.logarithmic:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return _LABEL + share * (_WIDTH - _LABEL - _RIGHT)

    def ticks(self) -> list[float]:
        """Round values within the axis, two to seven or so."""
        if self.logarithmic:
            chosen = [0.25, 0.35, 0.5, 0.7, 0.85, 1, 1.2, 1.5, 2, 3, 4]
            return [one for one in chosen if self.low <= one <= self.high]
        step = 10 ** math.floor(math.log10(self.high - self.low))
        step *= next(k for k in (0.2, 0.5, 1, 2) if (self.high - self.low) / (k * step) <= 6)
        first = math.ceil(self.low / step)
        return [round(k * step, 10) for k in range(first, math.floor(self.high / step) + 1)]


def view_map(title: str, views: Sequence[Sequence[float]], band: tuple[float, float]) -> str:
    """A value in each view ``[yaw_deg, pitch_deg, mean, low, high]`` on the sphere; ringed outside ``band``."""
    width, height, top = 440, 220, 22
    lines = [f'<line class="grid" x1="{x}" x2="{x}" y1="{top}" y2="{top + height}"/>' for x in (0, 110, 220, 330, 440)]
    lines += [f'<line class="grid" x1="0" x2="{width}" y1="{top + y}" y2="{top + y}"/>' for y in (0, 110, 220)]
    parts = [f'<text x="0" y="14" class="title">{escape(title)}</text>', *lines]
    for yaw, pitch, mean, low, high in views:
        x = width * (0.5 + ((yaw + 180) % 360 - 180) / 360)
        x, y = min(max(x, 21), width - 21), top + 21 + (height - 42) * (0.5 - pitch / 180)
        outside = "" if band[0] <= mean <= band[1] else ' class="out"'
        text = f"yaw {yaw:g}°, pitch {pitch:g}°: {mean:.3g} ({low:.3g} to {high:.3g})"
        parts.append(
            f"<g{outside}><title>{escape(text)}</title>"
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="19" fill="{diverging(mean)}"/>'
            f'<text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle" class="on">{mean:.2f}</text></g>'
        )
    return (f'<svg class="map" viewBox="-2 0 {width + 4} {height + top + 2}" role="img" '
            f'aria-label="{escape(title, quote=True)}">{"".join(parts)}</svg>')  # fmt: skip


def diverging(ratio: float) -> str:
    """A colour for a ratio: white at 1, blue to a half and less, red to twice and more."""
    amount = min(max(math.log2(max(ratio, 1e-3)), -1), 1)
    ends = (255, 255, 255), (70, 130, 220) if amount < 0 else (225, 80, 60)
    mixed = [round(a + (b - a) * abs(amount)) for a, b in zip(*ends, strict=True)]
    return "#{:02x}{:02x}{:02x}".format(*mixed)
