"""The tables of docs/performance.md from what was measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Row = dict[str, Any]


def _number(value: Any, digits: int = 2) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value)


def _percent(value: Any) -> str:
    return f"{100 * value:.1f} %"


def _gb(value: Any) -> str:
    return f"{value / 1000:.2f}"


def _cell(show: Callable[[Any], str], row: Row, key: str) -> str:
    return show(row[key]) if row.get(key) is not None else ""


Column = tuple[str, str, Callable[[Any], str]]
_TABLES: dict[str, tuple[str, Sequence[Column]]] = {
    "forward": ("The denoiser alone", (
        ("model", "name", str), ("way", "how", str), ("windows", "windows", str),
        ("s a window", "seconds", lambda v: _number(v, 3)),
        ("TFLOP", "tflop", lambda v: _number(v, 1)), ("TFLOP/s", "tflops", lambda v: _number(v, 0)),
        ("of the matrix rate", "share", _percent), ("peak GB", "peak_mb", _gb))),
    "engine": ("The engine around it", (
        ("model", "name", str), ("windows at once", "windows_at_once", str), ("latents", "frames", str),
        ("engine s", "engine_s", _number), ("bare s", "bare_s", _number), ("ratio", "ratio", lambda v: _number(v, 3)),
        ("host s", "host_s", _number))),
    "sides": ("Side by side", (
        ("frames", "frames", str), ("way", "way", str), ("s", "seconds", lambda v: _number(v, 1)),
        ("forwards", "forwards", str), ("measured", "measured", _percent), ("peak GB", "peak_mb", _gb),
        ("times faster", "faster", lambda v: _number(v, 1)))),
    "peak": ("Memory at several sizes", (
        ("model", "name", str), ("width", "width", str), ("denoising GB", "denoise_peak_mb", _gb),
        ("decoding GB", "decode_peak_mb", _gb), ("peak GB", "peak_mb", _gb))),
    "limits": ("Under artificial limits", (
        ("model", "name", str), ("limit GB", "limit_gb", str), ("catalogue GB", "catalogue_min_gb", str),
        ("layout", "rung", str), ("windows", "window_batch", str), ("together", "together", _number),
        ("tile", "tile", str), ("expected GB", "device_gb", _number),
        ("completed", "completed", _number), ("went down to", "went_down_to", str),
        ("as", "as", str), ("peak GB", "peak_mb", _gb),
        ("denoise s", "denoise_s", _number), ("decode s", "decode_s", _number), ("refused", "refused", str),
        ("error", "error", str))),
    "rungs": ("Every rung", (
        ("model", "name", str), ("layout", "rung", str), ("windows", "window_batch", str),
        ("together", "together", _number), ("tile", "tile", str), ("expected GB", "device_gb", _number),
        ("completed", "completed", _number), ("went down to", "went_down_to", str),
        ("denoising GB", "denoise_peak_mb", _gb), ("peak GB", "peak_mb", _gb),
        ("batch s", "batch_s", lambda v: _number(v, 3)), ("denoise s", "denoise_s", _number),
        ("decode s", "decode_s", _number), ("error", "error", str))),
    "closure": ("The join of a loop", (
        ("model", "name", str), ("latents before", "before", str), ("first frame", "first_frame", _percent),
        ("first latent", "first_latent", _percent), ("worst", "worst", _percent),
        ("join over step", "loop", _number))),
}  # fmt: skip


def table(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """Markdown, of the columns that any row has."""
    kept = [c for c in columns if any(row.get(c[1]) is not None for row in rows)]
    lines = ["| " + " | ".join(title for title, _, _ in kept) + " |", "|" + " --- |" * len(kept)]
    lines += ["| " + " | ".join(_cell(show, row, key) for _, key, show in kept) + " |" for row in rows]
    return "\n".join(lines)


def markdown(document: dict[str, Any]) -> str:
    """All tables of a document that :mod:`.foundation` wrote."""
    found, versions = document["found"], ", ".join(f"{k} {v}" for k, v in document["versions"].items())
    rate = next((f["tflops"] for f in found if f["part"] == "rate" and "tflops" in f), None)
    best = f"; a matrix product runs at {rate:.0f} TFLOP/s" if rate else ""
    parts = [f"{document['device']}; {versions}{best}."]
    for part, (title, columns) in _TABLES.items():
        if rows := [f for f in found if f["part"] == part and "failed" not in f]:
            parts.append(f"**{title}**\n\n{table(columns, rows)}")
    failed = [f"- {f['part']} {f['name']}: {f['failed']}" for f in found if "failed" in f]
    return "\n\n".join([*parts, *(["**Failed**\n\n" + "\n".join(failed)] if failed else [])])
