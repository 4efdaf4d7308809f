"""What the engine asks of a base model: a fixed-resolution video diffusion model that predicts clean latents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

from torch import Tensor, device


@dataclass(frozen=True)
class ModelSpec:
    """Static facts. A window is ``frames`` x ``cells`` x ``cells`` latents; a cell is ``ratio`` pixels wide.

    ``longest_step_s``: the most seconds between frames that it was trained on. ``revision`` tells its weights from
    others of that id.
    """

    id: str
    channels: int
    frames: int
    cells: int
    ratio: int
    steps: int
    guidance: float
    window_batch: int
    longest_step_s: float
    revision: str = ""


class View(NamedTuple):
    """Where a window looks: pitch and field of view in radians, and the seconds between its frames.

    ``avoid_step_s``: the same for the branch that guidance leads away from; less than ``frame_step_s``, a slower
    world, makes motion stronger than the model's own. A model without a sense of pace may ignore both.
    """

    pitch: float
    fov: float
    frame_step_s: float
    avoid_step_s: float | None = None


class VideoModel(Protocol):
    """Latents are float32 (N, channels, frames, rows, columns); ``sigma`` in [0, 1] is the noise level.

    A noisy latent is ``(1 - sigma) * clean + sigma * noise``.
    """

    spec: ModelSpec
    device: device

    def encode_text(self, texts: Sequence[str]) -> Any:
        """An opaque condition for each text, to be handed back to :meth:`predict`. Empty text means "anything"."""
        ...

    def sigmas(self, steps: int) -> list[float]:
        """``steps + 1`` falling noise levels from 1 to 0."""
        ...

    def predict(
        self, x: Tensor, sigma: float, views: Sequence[View], prompts: Sequence[Any], negative: Any, guidance: float
    ) -> Tensor:
        """Clean latents of windows ``x`` (N, ...), guided; same shape and dtype, on the model's own device.

        ``prompts`` (one a window) and ``negative`` (one for all) are what :meth:`encode_text` made. With a ``guidance``
        of 1 the negative is not evaluated. Pure: the result depends on nothing else.
        """
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """Latents (N, channels, rows, columns) of single frames -> RGB (N, 3, H, W) in [0, 1], ratio times larger."""
        ...

    def encode(self, frames: Tensor) -> Tensor:
        """RGB (N, 3, H, W) in [0, 1], sides multiples of ratio -> latents of single frames."""
        ...

    @property
    def halo(self) -> int:
        """Latent cells around a tile that decoding it, or encoding its picture, exactly needs."""
        ...


class Wrapped:
    """A model that is another one with some facts changed; a base for those that do something differently."""

    def __init__(self, model: VideoModel, **changes: Any) -> None:
        """``changes``: of its :class:`ModelSpec`."""
        self.model, self.device, self.halo = model, model.device, model.halo
        self.spec = replace(model.spec, **changes)

    def encode_text(self, texts: Sequence[str]) -> Any:
        return self.model.encode_text(texts)

    def sigmas(self, steps: int) -> list[float]:
        return self.model.sigmas(steps)

    def predict(
        self, x: Tensor, sigma: float, views: Sequence[View], prompts: Sequence[Any], negative: Any, guidance: float
    ) -> Tensor:
        return self.model.predict(x, sigma, views, prompts, negative, guidance)

    def decode(self, latents: Tensor) -> Tensor:
        return self.model.decode(latents)

    def encode(self, frames: Tensor) -> Tensor:
        return self.model.encode(frames)
