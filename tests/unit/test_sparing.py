"""Where memory runs out, work is done in parts, and comes out the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from backend.models.base import View
from backend.models.builtin import BuiltinModel
from backend.models.sparing import Sparing
from tests.oracle import Oracle


class Crowded(Oracle):
    """An oracle on a device with room for so many windows, and so many cells of pictures."""

    def __init__(self, windows: int = 100, cells: int = 10**9, error: Callable[[], Exception] | None = None) -> None:
        super().__init__()
        self.windows, self.cells = windows, cells
        self.error = error or (lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"))
        self.sizes: list[int] = []

    def predict(
        self, x: Tensor, sigma: float, views: Sequence[View], prompts: Sequence[Any], negative: Any, guidance: float
    ) -> Tensor:
        if len(x) > self.windows:
            raise self.error()
        return super().predict(x, sigma, views, prompts, negative, guidance)

    def _room(self, cells: int) -> None:
        self.sizes.append(cells)
        if cells > self.cells:
            raise self.error()

    def decode(self, latents: Tensor) -> Tensor:
        self._room(latents[:, 0].numel())
        return super().decode(latents)

    def encode(self, frames: Tensor) -> Tensor:
        self._room(frames[:, 0].numel() // 64)
        return super().encode(frames)


def predict(model: Oracle | Sparing, n: int = 6) -> Tensor:
    x = torch.randn(n, 2, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    return model.predict(x, 0.5, [View(0.0, 1.0, 0.1)] * n, ["a"] * n, "", 3.0)


@pytest.mark.parametrize("room", [1, 2, 3, 5])
def test_windows_that_do_not_fit_go_in_smaller_batches(room: int) -> None:
    model = Sparing(Crowded(windows=room))
    assert torch.equal(predict(model), predict(Oracle()))
    assert model.spec.window_batch <= room


def test_a_window_that_does_not_fit_alone_is_an_error() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        predict(Sparing(Crowded(windows=0)))


def test_other_errors_are_not_retried() -> None:
    model = Crowded(windows=2, error=lambda: RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes"):
        predict(Sparing(model))


@pytest.mark.parametrize("shape", [(4, 2, 40, 24), (1, 2, 24, 41), (1, 2, 40, 40)])
@pytest.mark.parametrize("way", ["decode", "encode"])
def test_pictures_that_do_not_fit_come_out_the_same(shape: tuple[int, ...], way: str) -> None:
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    x = x if way == "decode" else x[:, :1].repeat_interleave(8, 2).repeat_interleave(8, 3).expand(-1, 3, -1, -1)
    crowded = Crowded(cells=500)
    model = Sparing(crowded)
    assert torch.equal(getattr(model, way)(x), getattr(Oracle(), way)(x))
    assert min(crowded.sizes) <= 500 < max(crowded.sizes)
    crowded.sizes.clear()
    getattr(model, way)(x)
    assert max(crowded.sizes) <= 500  # what did not fit once is not tried again


def test_the_halo_of_the_builtin_model_is_enough() -> None:
    class Small(BuiltinModel):
        def decode(self, latents: Tensor) -> Tensor:
            if latents.shape[2] > 30:
                raise MemoryError
            return super().decode(latents)

    torch.set_num_threads(1)
    model = Small()
    z = torch.randn(1, model.spec.channels, 33, 16, generator=torch.Generator().manual_seed(0))
    apart = (Sparing(model).decode(z) - BuiltinModel.decode(model, z)).abs().max()
    assert float(apart) < 2 / 255  # half precision adds up in another order
