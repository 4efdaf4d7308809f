"""Window layouts: every cell is covered, windows stay inside, borders move."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.windows import cover, layout, offset

lengths = st.integers(16, 200)
settings.register_profile("torch", deadline=None)  # the first call of torch takes a while
settings.load_profile("torch")
shifts = st.floats(0, 0.999)


def total(spans, length: int) -> torch.Tensor:
    weight = torch.zeros(length)
    for span in spans:
        weight.index_add_(0, span.index, span.weight)
    return weight


@given(lengths, shifts, st.booleans())
def test_every_cell_is_owned_once(length: int, shift: float, wrap: bool) -> None:
    spans = cover(length, 16, shift, wrap)
    assert all(len(s.index) == 16 and s.index.min() >= 0 and s.index.max() < length for s in spans)
    torch.testing.assert_close(total(spans, length), torch.ones(length), atol=0.01, rtol=0)


@given(lengths, shifts)
def test_the_last_step_fades_around_the_circle(length: int, shift: float) -> None:
    """No border is left: from cell to cell no window's share changes by more than the fade over its overlap allows."""
    spans = cover(length, 16, shift, wrap=True, finishing=True)
    shares = torch.zeros(len(spans), length)
    for row, span in zip(shares, spans, strict=True):
        row[span.index] = span.weight
    shares = shares / shares.sum(0)
    steepest = (shares - shares.roll(1, 1)).abs().max()
    overlap = 16 * len(spans) - length
    assert steepest <= 1.7 * len(spans) / overlap
    assert overlap >= 4


@given(lengths, shifts)
def test_a_window_never_reaches_over_an_edge(length: int, shift: float) -> None:
    for span in cover(length, 16, shift, wrap=False):
        assert torch.equal(span.index, torch.arange(16) + span.index[0])


@given(st.integers(1, 15), shifts)
def test_a_short_circle_is_read_more_than_once(length: int, shift: float) -> None:
    spans = cover(length, 16, shift, wrap=True)
    assert len(spans) == 1
    assert total(spans, length).min() >= 1


@pytest.mark.parametrize("length", [24, 32, 40, 64])
def test_borders_move_from_step_to_step(length: int) -> None:
    owners = set()
    for step in range(12):
        spans = cover(length, 16, offset(step, 1), wrap=False)
        weights = torch.zeros(len(spans), length)
        for row, span in zip(weights, spans, strict=True):
            row[span.index] = span.weight
        owners.add(tuple(weights.argmax(0).tolist()))
    assert len(owners) >= 5


def test_a_circular_multiple_of_the_window_costs_no_overlap() -> None:
    windows = layout([(16, 64, True)], 16, True, step=3, window=(16, 16))
    assert len(windows) == 4
    assert sorted(int(i) for w in windows for i in w.columns.index) == list(range(64))


def test_an_axis_shorter_than_the_window_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        cover(10, 16, 0.0, wrap=False)
