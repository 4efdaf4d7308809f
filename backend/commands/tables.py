"""Rows of text as aligned columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def print_table(rows: Iterable[Sequence[object]]) -> None:
    """Print rows of the same length; what a terminal would act upon is shown as ``?``."""
    cells = [[_shown(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _shown(cell: object) -> str:
    return "".join(c if c.isprintable() else "?" for c in str(cell))
