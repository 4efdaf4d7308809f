"""The report of a suite: one HTML page that needs nothing else, not even a connection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from ..protocol import Event, phase
from . import embeds, plots
from .calibration import RATIOS
from .report import MEANINGS, VIEW_BANDS, making_s, shown, times, verdict, view_span
from .summary import base

_TEMPLATE = Path(__file__).with_name("page.html")
PAGE_BYTES = 10_000_000
_SHEETS_SHARE = 0.6  # of the page, for contact sheets; clips take most of the rest
_CLIPS = 3  # of each method
_VIEW_MAPS = {
    "detail_by_view": "Detail in each view, single windows = 1",
    "motion_ratio_by_view": "Motion in each view, single windows = 1",
}
_NO_PLOT = ("flicker", "motion", "repetition")
_PLOT_TITLES = {"evaluations": "evaluations per sky", "making_s": "seconds to make a sky"}


def page(suite: dict[str, Any], folder: Path, announce: Callable[[Event], None] = lambda event: None) -> str:
    """The whole page from the content of ``suite.json``; the movies are read from the job folders in ``folder``.

    ``announce`` gets ``phase`` events: a second or more a sheet at 1024x512.
    """
    groups = [group for group in suite["groups"] if group["skies"]]
    body = [
        _head(suite),
        _section("Figures", _figures(suite, groups)),
        _section("Plots", _plots(suite, groups)),
        _section("By direction", _maps(groups)),
        _section("Skies", _sheets(suite, groups, folder, announce)),
        _section("Moving", _clips(suite, groups, folder)),
        _section("What failed", _failures(suite)),
        _section("What the figures mean", _meanings(groups)),
        _section("Made with", _facts(suite)),
    ]
    template = _TEMPLATE.read_text(encoding="utf-8")
    title = escape(f"Skyloop: {suite['title']}")
    return template.replace("{{title}}", title).replace("{{body}}", "\n".join(filter(None, body)))


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>\n{content}\n</section>" if content else ""


def _head(suite: dict[str, Any]) -> str:
    about = suite["settings"]
    made = sum(group["skies"] for group in suite["groups"])
    asked = sum(group["asked"] for group in suite["groups"])
    facts = (
        f"{made} of {asked} skies: {len(about['prompts'])} prompts × {about['seeds']} seeds × "
        f"{len(about['methods'])} methods × {len(about['steps'])} numbers of steps, "
        f"{about['width']}×{about['height']}, {about['frames']} frames. {suite['made']}."
    )
    return f"<h1>Skyloop: {escape(suite['title'])}</h1><p>{escape(facts)}</p>"


def _figures(suite: dict[str, Any], groups: Sequence[dict[str, Any]]) -> str:
    if not groups:
        return "<p>No sky is finished.</p>"
    note = (
        "<p>Mean over skies (geometric for ratios), its 95 % confidence interval, whether the mean lies in its band, "
        "and the share of single skies within the band of one sky. The band is what skies without a seam, "
        "rendered by a program, reach; of detail and motion, which those cannot tell, a tenth around the model's own "
        "windows.</p>"
    )
    tables = []
    for steps in suite["settings"]["steps"]:
        members = [group for group in groups if group["steps"] == steps]
        if members:
            tables.append(f"<h3>{steps} steps</h3>{_table(members)}")
    return note + "\n".join(tables)


def _table(groups: Sequence[dict[str, Any]]) -> str:
    head = "".join(f"<th>{escape(group['method'])}<br><small>{group['skies']} skies</small></th>" for group in groups)
    rows = []
    for name in shown({name: None for group in groups for name in group["figures"]}):
        found = [group["figures"].get(name) for group in groups]
        band = next((f"{one['band'][0]:.3g} – {one['band'][1]:.3g}" for one in found if one and "band" in one), "")
        title = escape(MEANINGS.get(base(name), ""), quote=True)
        rows.append(
            f'<tr><th title="{title}">{escape(name)}<br><small>{band}</small></th>{"".join(map(_cell, found))}</tr>'
        )
    for label, values in _other_rows(groups):
        rows.append(f"<tr><th>{label}</th>{''.join(f'<td>{one}</td>' for one in values)}</tr>")
    first = "<th>figure<br><small>band of the mean</small></th>"
    return f'<div class="wide"><table><tr>{first}{head}</tr>{"".join(rows)}</table></div>'


def _cell(one: dict[str, Any] | None) -> str:
    if one is None:
        return "<td></td>"
    mark = verdict(one)
    share = f" · {one['inside']:.0%} of skies" if "inside" in one else ""
    sign = f'<b class="{mark}">{mark}</b> ' if mark else ""
    return f"<td>{sign}{one['mean']:.3g}<br><small>{one['low']:.3g} – {one['high']:.3g}{share}</small></td>"


def _other_rows(groups: Sequence[dict[str, Any]]) -> Iterable[tuple[str, list[str]]]:
    for name in VIEW_BANDS:
        if any(name in group["views"] for group in groups):
            yield name, [view_span(name, group["views"][name]) if name in group["views"] else "" for group in groups]
    yield "evaluations", [f"{group['evaluations'] or 0:g}{times(group, groups[0])}" for group in groups]
    yield "seconds to make it", [f"{making_s(group):.1f}" for group in groups]
    for place in sorted({place for group in groups for place in group["peak_memory_mb"]}):
        yield f"peak memory, {place}", [f"{group['peak_memory_mb'].get(place, 0):.0f} MB" for group in groups]


def _plots(suite: dict[str, Any], groups: Sequence[dict[str, Any]]) -> str:
    steps = suite["settings"]["steps"]
    names = shown({name: None for group in groups for name in group["figures"]})
    drawn = [plots.dot_plot(name, groups, name, steps, logarithmic=base(name) in RATIOS)
             for name in names if base(name) not in _NO_PLOT]  # fmt: skip
    costs = [{**group, "figures": _costs(group)} for group in groups]
    drawn += [plots.dot_plot(title, costs, name, steps) for name, title in _PLOT_TITLES.items()]
    legend = "".join(f'<span class="key s{i}">{count} steps</span>' for i, count in enumerate(steps))
    return f'<p class="legend">{legend} <span class="quiet">The shaded band is the pass band.</span></p>' + _tiles(
        drawn
    )


def _costs(group: dict[str, Any]) -> dict[str, Any]:
    values = {"evaluations": group["evaluations"] or 0, "making_s": making_s(group)}
    return {name: {"mean": one, "low": one, "high": one, "n": group["skies"]} for name, one in values.items()}


def _tiles(drawn: Sequence[str]) -> str:
    return f'<div class="tiles">{"".join(f"<div>{one}</div>" for one in drawn if one)}</div>' if any(drawn) else ""


def _maps(groups: Sequence[dict[str, Any]]) -> str:
    parts = []
    for name, title in _VIEW_MAPS.items():
        band = VIEW_BANDS[name]
        drawn = [
            plots.view_map(f"{group['method']}, {group['steps']} steps", group["views"][name], band)
            for group in groups
            if name in group["views"]
        ]
        if drawn:
            note = f"ringed: outside {band[0]:g} to {band[1]:g}"
            parts.append(f'<h3>{title} <small class="quiet">({note})</small></h3>{_tiles(drawn)}')
    return "\n".join(parts)


def _members(suite: dict[str, Any], group: dict[str, Any]) -> list[dict[str, Any]]:
    """A sky for each prompt: that of the first seed which is there."""
    found: dict[str, dict[str, Any]] = {}
    for sky in suite["skies"]:
        if "figures" in sky and (sky["method"], sky["steps"]) == (group["method"], group["steps"]):
            found.setdefault(sky["prompt"], sky)
    return list(found.values())


def _sheets(
    suite: dict[str, Any], groups: Sequence[dict[str, Any]], folder: Path, announce: Callable[[Event], None]
) -> str:
    if not groups:
        return ""
    most = int(PAGE_BYTES * _SHEETS_SHARE / len(groups))
    parts = [
        "<p>One sky a prompt: the panorama, the view ahead, the view up. Touch or click a sheet to enlarge it.</p>"
    ]
    for number, group in enumerate(groups):
        announce(phase("sheets", number, len(groups), "sheet"))
        cells = [embeds.sky_cell(_movie(folder, sky), sky["prompt"]) for sky in _members(suite, group)]
        title = escape(f"{group['method']}, {group['steps']} steps", quote=True)
        uri = embeds.jpeg_uri(embeds.grid(cells), most)
        parts.append(
            f'<figure><figcaption>{title}</figcaption><label class="sheet"><input type="checkbox">'
            f'<img alt="{title}" src="{uri}"></label></figure>'
        )
    announce(phase("sheets", len(groups), len(groups), "sheet"))
    return f'{parts[0]}<div class="sheets">{"".join(parts[1:])}</div>'


def _clips(suite: dict[str, Any], groups: Sequence[dict[str, Any]], folder: Path) -> str:
    """The same few prompts of each method, at the most steps that it has."""
    last = {group["method"]: group for group in groups}
    parts = []
    for method, group in last.items():
        members = _members(suite, group)
        chosen = members[:: max(1, len(members) // _CLIPS)][:_CLIPS]
        videos = "".join(
            f'<figure><video loop muted autoplay playsinline src="{embeds.clip_uri(_movie(folder, sky))}"></video>'
            f"<figcaption>{escape(sky['prompt'])}</figcaption></figure>"
            for sky in chosen
        )
        parts.append(f'<h3>{escape(method)}, {group["steps"]} steps</h3><div class="tiles">{videos}</div>')
    return "\n".join(parts)


def _movie(folder: Path, sky: dict[str, Any]) -> Path:
    return folder / sky["movie"]


def _failures(suite: dict[str, Any]) -> str:
    rows = [f"<li><code>{escape(sky['job'])}</code>: {escape(sky['error']['message'])}</li>"
            for sky in suite["skies"] if "error" in sky]  # fmt: skip
    return f"<ul>{''.join(rows)}</ul>" if rows else ""


def _meanings(groups: Sequence[dict[str, Any]]) -> str:
    names = dict.fromkeys(base(name) for name in shown({n: None for group in groups for n in group["figures"]}))
    rows = [f"<dt>{escape(name)}</dt><dd>{escape(MEANINGS[name])}</dd>" for name in names if name in MEANINGS]
    return f"<dl>{''.join(rows)}</dl>" if rows else ""


def _facts(suite: dict[str, Any]) -> str:
    machine, versions = suite["machine"], suite["versions"]
    facts = {
        "command": suite["command"],
        "device": ", ".join(machine["devices"]),
        "machine": f"{machine['system']}; {machine['processor']}",
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "model": suite["settings"]["model"],
        "outside scorers": ", ".join(suite["settings"]["scorers"]),
    }
    rows = [f"<dt>{name}</dt><dd><code>{escape(str(value))}</code></dd>" for name, value in facts.items() if value]
    return f"<dl>{''.join(rows)}</dl>"
