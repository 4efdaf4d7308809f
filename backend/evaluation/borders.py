"""Where the last denoising step's borders lie on the sphere: what one window or chart hands over to the next.

Nothing heals these borders after the last step, so a seam would show there first. They are found by who owns what
rather than by how a layout is made, so any atlas of charts and any set of windows will do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..charts import Chart
    from ..windows import Span, Window

Arcs = tuple[np.ndarray, np.ndarray]

_GRID_ROWS = 360
_HALVINGS = 12
_LEAST_STRAIGHT = 0.1  # spread across a piece of border over spread along it, above which it is a corner


def border_arcs(charts: Sequence[Chart], windows: Sequence[Window], *, spacing_deg: float = 1.0) -> Arcs | None:
    """Points (n, 3) about every ``spacing_deg`` along all borders, and normals (n, 3) across them, unit vectors.

    A border is where, of the windows that cross-fade, the heavier one changes, in the chart that owns the direction,
    and where two charts own the same: so always the middle of a handover. Windows of all times count, those that lie in
    the same place once. Corners and crossings are left out. None where there are no directions (a flat panorama).
    """
    if not all(chart.on_sphere for chart in charts):
        return None
    owners = _Owners(charts, windows)
    pitch = 90 - (np.arange(_GRID_ROWS) + 0.5) * 180 / _GRID_ROWS
    yaw = (np.arange(2 * _GRID_ROWS) + 0.5) * 180 / _GRID_ROWS - 180
    yaw, pitch = np.radians(np.meshgrid(yaw, pitch))
    grid = np.stack([np.sin(yaw) * np.cos(pitch), np.cos(yaw) * np.cos(pitch), np.sin(pitch)], axis=-1)
    owned = owners(grid.reshape(-1, 3)).reshape(*grid.shape[:2], 3)
    crossings = [
        _crossings(owners, grid, np.roll(grid, -1, axis=1), owned, np.roll(owned, -1, axis=1)),
        _crossings(owners, grid[:-1], grid[1:], owned[:-1], owned[1:]),
    ]
    return _evenly(np.concatenate(crossings), np.radians(spacing_deg))


class _Owners:
    """Which window owns a direction, and where in that window it lies."""

    def __init__(self, charts: Sequence[Chart], windows: Sequence[Window]) -> None:
        self._charts = list(charts)
        places = {(w.chart, *map(_key, (w.rows, w.columns))): w for w in windows}
        self._windows = list(places.values())

    def __call__(self, directions: np.ndarray) -> np.ndarray:
        """(n, 3) unit vectors -> (n, 3): number of the window, or -1, and the row and column in it, cells."""
        import torch

        from ..charts import covering

        found = np.full(directions.shape, -1.0)
        best = np.zeros(len(directions))
        parts = covering(self._charts, torch.from_numpy(directions))
        owner = torch.stack([weight for _, _, weight in parts]).argmax(0).numpy()
        for number, window in enumerate(self._windows):
            chart = self._charts[window.chart]
            mine = np.flatnonzero(owner == window.chart)
            u, v = (at.numpy()[mine] for at in parts[window.chart][:2])
            row, row_weight = _inside(window.rows, (v + 1) / 2 * chart.rows, 0)
            around = chart.columns if chart.wrap else 0
            column, column_weight = _inside(window.columns, (u + 1) / 2 * chart.columns, around)
            weight = row_weight * column_weight
            heavier = weight > best[mine]
            best[mine[heavier]] = weight[heavier]
            found[mine[heavier]] = np.stack([np.full(len(mine), number), row, column], axis=1)[heavier]
        return found

    def differ(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Whether there is a border between what owns two near directions (n, 3) and (n, 3).

        A window that closes a circle on its own has one where its end meets its start.
        """
        shape = np.array([[len(w.rows.index), len(w.columns.index)] for w in self._windows] or [[1, 1]])
        jump = np.abs(one[..., 1:] - other[..., 1:]) > shape[one[..., 0].astype(int)] / 2
        owned = (one[..., 0] >= 0) & (other[..., 0] >= 0)
        return owned & ((one[..., 0] != other[..., 0]) | jump.any(axis=-1))


def _key(span: Span) -> tuple[bytes, bytes]:
    return span.index.numpy().tobytes(), span.weight.numpy().tobytes()


def _inside(span: Span, at: np.ndarray, around: int) -> tuple[np.ndarray, np.ndarray]:
    """Position in a span of places ``at`` (n,), cells, and the span's weight there, 0 outside; ``around``: a circle."""
    position = at - int(span.index[0])
    if around:
        position = position % around
    count = len(span.index)
    weight = np.interp(position - 0.5, np.arange(count), span.weight.numpy())
    return position, np.where((position >= 0) & (position <= count), weight, 0.0)


def _crossings(owners: _Owners, a: np.ndarray, b: np.ndarray, owns_a: np.ndarray, owns_b: np.ndarray) -> np.ndarray:
    """Where on the way from directions a to b (..., 3) the owner changes, as (n, 3), by halving."""
    changes = owners.differ(owns_a, owns_b)
    a, b, owns_a = a[changes], b[changes], owns_a[changes]
    for _ in range(_HALVINGS):
        middle = _unit(a + b)
        owns_middle = owners(middle)
        beyond = owners.differ(owns_a, owns_middle)[:, None]
        a, b = np.where(beyond, a, middle), np.where(beyond, middle, b)
        owns_a = np.where(beyond, owns_a, owns_middle)
    return _unit(a + b)


def _evenly(crossings: np.ndarray, spacing: float) -> Arcs:
    """Of crossings (m, 3) that lie dense on the borders, some at least ``spacing`` apart, with their normals."""
    kept = np.empty((0, 3))
    room = np.empty_like(crossings)
    for one in crossings:
        if not len(kept) or (kept @ one).max() < np.cos(spacing):
            room[len(kept)] = one
            kept = room[: len(kept) + 1]
    points, normals = [], []
    for one in kept:
        near = crossings[crossings @ one > np.cos(1.5 * spacing)] - one
        spread, axes = np.linalg.eigh(near.T @ near)
        # Smallest, along the direction itself; middle, across the border; largest, along the border.
        if spread[1] < _LEAST_STRAIGHT * spread[2]:
            points.append(one)
            normals.append(_unit(np.cross(one, axes[:, 2])))
    return np.array(points).reshape(-1, 3), np.array(normals).reshape(-1, 3)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
