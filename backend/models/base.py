"""What the engine asks of a base model: a fixed-resolution video diffusion model that predicts clean latents."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Protocol

from torch import Tensor, device

from ..sizes import GUIDED_ABOVE

Solver = Literal["multistep", "euler", "renoise"]


@dataclass(frozen=True)
class ModelSpec:
    """Static facts. A window is ``frames`` x ``cells`` x ``cells`` latents; a cell is ``ratio`` pixels wide.

    ``window_batch`` windows are evaluated at once, of steps without guidance ``unguided_batch`` (0: as many).
    ``longest_step_s``: the most seconds between frames that it was trained on. ``revision`` tells its weights from
    others of that id.

    Of models whose latents stand for several frames of film:

    * ``time_ratio``: so many frames each; ``frames`` counts latents, and a shorter window down to ``least_frames``
      (0: only ``frames``) is as good;
    * ``lead``: how many latents at the beginning of a window (1 or 0) stand for a single frame, as in every clip that
      the model was trained on. F latents are ``time_ratio * (F - lead) + lead`` frames;
    * ``clipwise``: frames are decoded and encoded as a clip (:meth:`VideoModel.decode_clip`), not one by one, in tiles
      of at most ``clip_cells``, halo included;
    * ``around``: so many latents of a loop's other end must be decoded before and after its own, and are dropped;
    * ``meet``: so many of a loop's first latents are decoded again after its last, in the same run, and the movie fades
      from these frames into those of the beginning: however long a decoder remembers, the loop then closes.

    And of all: what white noise is multiplied by to begin with (``start``), the ``solver`` its steps are made for, the
    noise level down to which guidance matters (``guided_above``) and the one at which latents are decoded
    (``decode_noise``), what it ``takes`` besides text, and the rows and columns of a window in which it can see a whole
    equirectangular panorama (``panorama``).
    ``view_pixels``: the side of the view that it is shown of a given picture besides its latents, 0 for none.
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
    time_ratio: int = 1
    lead: int = 0
    least_frames: int = 0
    unguided_batch: int = 0
    clipwise: bool = False
    clip_cells: int = 1 << 12
    around: tuple[int, int] = (0, 0)
    meet: int = 0
    solver: Solver = "multistep"
    guided_above: float = GUIDED_ABOVE
    start: float = 1.0
    decode_noise: float = 0.0
    takes: frozenset[str] = frozenset({"text"})
    panorama: tuple[int, int] | None = None
    view_pixels: int = 0

    def at_once(self, guidance: float) -> int:
        """How many windows are evaluated together at that guidance."""
        return self.unguided_batch or self.window_batch if guidance == 1 else self.window_batch


class Given(NamedTuple):
    """A still picture that a window begins with: clean ``latents`` (C, 1, h, w), how far each cell is ``known``
    (h, w) in [0, 1], and the same view in ``pixels``, RGB (3, H, W) in [0, 1] of any size: of the model's
    ``view_pixels``."""

    latents: Tensor
    known: Tensor
    pixels: Tensor


class View(NamedTuple):
    """Where a window looks: pitch and field of view in radians, and the seconds between its frames.

    ``avoid_step_s``: the same for the branch that guidance leads away from; less than ``frame_step_s``, a slower
    world, makes motion stronger than the model's own. A model without a sense of pace may ignore both.

    ``given``: for models that take an image. ``whole``: the window is all of a film that does not loop, so that its
    first frame is the film's.
    """

    pitch: float
    fov: float
    frame_step_s: float
    avoid_step_s: float | None = None
    given: Given | None = None
    whole: bool = False


class VideoModel(Protocol):
    """Latents are float32 (N, channels, frames, rows, columns); ``sigma`` in [0, 1] is the noise level.

    A noisy latent is ``(1 - sigma) * clean + sigma * noise``. Every diffusion model can be seen so, whatever it was
    trained on: see :mod:`.levels`.
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

    def decode_clip(self, latents: Tensor) -> Generator[Tensor, None, None]:
        """Latents (channels, F, rows, columns) of a clip -> its frames in order, a few at a time: RGB (n, 3, H, W) in
        [0, 1]. For ``clipwise`` models; closing it early leaves nothing behind."""
        ...

    def encode_clip(self, frames: Tensor) -> Tensor:
        """RGB (n, 3, H, W) in [0, 1] of a clip -> latents (channels, F, rows, columns). For ``clipwise`` models."""
        ...

    @property
    def halo(self) -> int:
        """Latent cells around a tile that decoding it, or encoding its picture, needs: exactly, or of ``clipwise``
        models nearly, so that tiles must cross-fade."""
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

    def decode_clip(self, latents: Tensor) -> Generator[Tensor, None, None]:
        return self.model.decode_clip(latents)

    def encode_clip(self, frames: Tensor) -> Tensor:
        return self.model.encode_clip(frames)
