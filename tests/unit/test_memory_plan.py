"""Choosing a layout from sizes alone."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.models.memory_plan import (
    GB,
    LADDER,
    RESERVE_BYTES,
    Rung,
    Sizes,
    cell_bytes,
    choose,
    device_bytes,
    flops,
    host_bytes,
    rungs,
    tokens_of,
    too_small,
    window_bytes,
)
from backend.protocol import ErrorKind

WAN = {
    "patch_size": [1, 2, 2], "num_attention_heads": 12, "attention_head_dim": 128, "ffn_dim": 8960, "num_layers": 30,
}  # fmt: skip
LTX = {"patch_size": 1, "patch_size_t": 1, "num_attention_heads": 32, "attention_head_dim": 64, "num_layers": 28}
UNET = {"block_out_channels": [320, 640, 1280, 1280]}

SMALL = Sizes(
    denoiser=int(2.8 * GB),
    blocks=30,
    others=(int(0.5 * GB),),
    window=int(1.2 * GB),
    cell=int(2e6),
    least_cells=1000,
    tokens=60_000,
)
LARGE = replace(SMALL, denoiser=int(28 * GB), blocks=40, window=int(2 * GB))


def chosen(sizes: Sizes, device_gb: float, host_gb: float = 128.0) -> Rung | None:
    plan = choose(sizes, int(device_gb * GB), int(host_gb * GB))
    return plan.rung if plan else None


def test_a_large_card_keeps_all_of_it_and_a_small_one_streams() -> None:
    assert chosen(SMALL, 24) is Rung.RESIDENT
    assert chosen(SMALL, 5.2) is Rung.SWAPPED
    assert chosen(LARGE, 80) is Rung.RESIDENT
    assert chosen(LARGE, 31) is Rung.SWAPPED
    assert chosen(LARGE, 8) is Rung.BLOCKS


def test_where_the_host_cannot_hold_the_weights_they_are_kept_in_8_bits() -> None:
    assert chosen(LARGE, 24, host_gb=20) is Rung.FP8
    assert chosen(LARGE, 6, host_gb=20) is Rung.FP8_LEAVES
    assert chosen(LARGE, 6, host_gb=12) is None


def test_what_is_quantised_is_not_rounded_again() -> None:
    assert not {Rung.FP8, Rung.FP8_LEAVES} & set(rungs(replace(LARGE, quantised=True)))


@given(
    denoiser=st.integers(1, 60), window=st.integers(1, 100), decode=st.integers(1, 100), blocks=st.integers(1, 60),
    device=st.floats(1, 100), host=st.floats(0, 200),
)  # fmt: skip
def test_what_is_chosen_fits_and_nothing_above_it_does(denoiser, window, decode, blocks, device, host) -> None:
    sizes = Sizes(
        denoiser=int(denoiser * GB), blocks=blocks, others=(int(0.3 * GB),), window=int(window * GB / 10),
        cell=int(decode * 1e5), least_cells=1000, tokens=5000,
    )  # fmt: skip
    free, there = int(device * GB), int(host * GB)
    plan = choose(sizes, free, there)
    fitting = [
        r for r in LADDER if device_bytes(r, sizes) + RESERVE_BYTES <= free and host_bytes(r, sizes) <= there
    ]  # fmt: skip
    assert (plan.rung if plan else None) == (fitting[0] if fitting else None)
    if plan:
        assert plan.device_bytes <= free and plan.window_batch >= 1


def test_stepping_down_never_comes_back_to_what_did_not_fit() -> None:
    seen, below = [], None
    while plan := choose(SMALL, int(80 * GB), int(128 * GB), below=below):
        seen.append(plan.rung)
        below = plan.rung
    assert seen == list(LADDER)


def test_more_windows_at_once_where_one_leaves_the_card_idle_and_there_is_room() -> None:
    def at_once(sizes: Sizes, device_gb: float) -> int:
        plan = choose(sizes, int(device_gb * GB), 0)
        assert plan
        return plan.window_batch

    light = replace(SMALL, tokens=5000)
    assert at_once(SMALL, 80) == 1
    assert at_once(light, 80) == 3
    assert at_once(light, 7.2) < 3


def test_a_card_that_is_too_small_is_told_what_would_do() -> None:
    error = too_small("Wan 2.1", SMALL, int(1.5 * GB), int(64 * GB))
    assert error.kind is ErrorKind.OUT_OF_MEMORY and "1.5" in error.message and "graphics card" in error.message
    short = too_small("Wan 2.2 14B", LARGE, int(8 * GB), int(8 * GB))
    assert "15.9 GB" in short.message and "8.0" in short.message


def test_tokens_are_counted_in_patches_and_cells() -> None:
    assert tokens_of(WAN, 21, 78) == 21 * 39 * 39
    assert tokens_of(LTX, 13, 20) == 13 * 400
    assert tokens_of(UNET, 16, 64) == 16 * 64 * 64


@pytest.mark.parametrize(
    ("config", "parameters", "frames", "cells", "counted"),
    [(WAN, 1.42e9, 21, 79, 283e12), (LTX, 1.92e9, 13, 19.6, 22.4e12), (UNET, 1.31e9, 16, 64, 17.8e12)],
)
def test_work_is_what_was_counted(config, parameters, frames, cells, counted) -> None:
    """Against FLOPs counted on the meta device at the native windows, of about as many cells."""
    assert flops(config, parameters, frames, round(cells)) == pytest.approx(counted, rel=0.25)


def test_memory_grows_with_the_window_and_with_what_is_decoded_at_once() -> None:
    for config in (WAN, LTX, UNET):
        assert window_bytes(config, 16, 64) == pytest.approx(4 * window_bytes(config, 16, 32))
    assert cell_bytes({"block_out_channels": [128]}, 8, 8, 2) == 2 * cell_bytes({"block_out_channels": [128]}, 4, 8, 2)
    assert cell_bytes({"patch_size": 4}, 1, 32, 2) == cell_bytes({}, 1, 8, 2)


def test_where_both_branches_of_guidance_do_not_fit_they_take_turns() -> None:
    guided = replace(SMALL, branches=2, cell=1000)
    at_least = device_bytes(Rung.RESIDENT, guided) + RESERVE_BYTES
    plan = choose(guided, int(at_least + 0.5 * GB), 0)
    assert plan and plan.rung is Rung.RESIDENT and not plan.together and "half a window" in plan.sentence("it")
    plan = choose(guided, int(at_least + 2 * GB), 0)
    assert plan and plan.together


def test_tiles_are_as_large_as_there_is_room() -> None:
    rooms = [choose(SMALL, int(gb * GB), int(64 * GB)) for gb in (6.5, 7, 8, 80)]
    cells = [plan.clip_cells for plan in rooms if plan]
    assert cells == sorted(cells) and cells[0] < cells[-1] == 4096
