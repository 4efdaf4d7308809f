"""What a request knows of its sky beforehand, as guides: a picture, an earlier sky, stillness, what the camera sees.

==============  ==================================================================================================
image           its pixels until motion must be free (:data:`FREE_BELOW`), then its low frequencies in the mean
                over time; where it is transparent, or beyond a photo's edges, nothing. To models that take a
                picture it is given (:mod:`.pictures`), and only its low frequencies are dictated
source          every frame of the earlier sky, wherever the mask is black
motion mask     the mean over time where it is black
camera          in refinement, what was upsampled, in directions that it never sees
==============  ==================================================================================================
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

import numpy as np
import torch
from torch import Tensor

from . import inputs
from .canvas import Canvas
from .charts import Chart
from .decode import Block, frames_at_once
from .denoise import Progress
from .encode import Picture, encode_film
from .fields import Fields
from .film import Film
from .guides import Anchor, Guide, Hold, Still
from .models.base import VideoModel
from .motion_guidance import SHARPEN_RADIUS, sharper
from .pictures import Giving, Read, extended, looking
from .protocol import GenerateRequest
from .render import where
from .sampling import Image, Where
from .sizes import frames_of

# The noise level from which a still picture may move. Above it the picture is as good as given, so the layout is its.
FREE_BELOW = 0.95
# The finest that a picture dictates while it moves: radius of a low-pass filter, in parts of the columns. At half
# of that hardly anything could move (.3 of single windows): a cloud that does is blurred in the mean over time.
ANCHOR_RADIUS = 1 / 32

# How much of what a blur takes away is added to a source that is made anew in one stage (more stages sharpen anyway):
# without, gradients were .79 of the source's at a strength of .3, with it .93. From COARSE times the pixels on, always.
CRISP, COARSE = 1.0, 1.25

ROWS_AT_ONCE = 256

Guiding = Generator[Progress, None, list[Guide]]


def cells(chart: Chart) -> Where:
    """What lies at the cells of a chart."""
    return where(chart, torch.arange(chart.rows), torch.arange(chart.columns))


def pixels(chart: Chart, block: Block) -> Where:
    """What lies at a block of a chart in pixels."""
    return where(chart, *(torch.arange(r.start, r.stop) for r in block))


class Known:
    """The knowledge of one request; files are opened once, encoded for each stage."""

    def __init__(self, model: VideoModel, request: GenerateRequest, frames: int, stride: int, fields: Fields) -> None:
        """``frames``: length of the canvas in latents, ``stride``: how many of the frames that these stand for are one
        of the movie."""
        self.model, self.request, self.fields = model, request, fields
        self.frames, self.stride = frames, stride
        self._picture = inputs.picture_reader(request) if request.image else None
        self._gives = self._picture is not None and "image" in model.spec.takes
        self._mask = inputs.mask_reader(request) if request.masked else None
        self._motion = inputs.motion_reader(request) if request.motion_mask else None

    def still(self, charts: list[Chart]) -> list[Tensor] | None:
        """How still each cell (rows, columns) shall be, 0 to 1; None where everything moves."""
        if self.request.motion == 0:
            return [torch.ones(c.rows, c.columns) for c in charts]
        return [1 - self._motion(cells(c)) for c in charts] if self._motion else None

    def guides(self, charts: list[Chart], upsampled: list[Tensor] | None, *, first: bool) -> Guiding:
        """The guides of a stage, the ``first`` or a later one. ``upsampled``: what it starts from, needed where the
        request has a camera."""
        found: list[Guide] = []
        if self._picture:
            found += yield from self._image_guides(charts, self._picture, first=first)
        if still := self.still(charts):
            found.append(Still(still))
        if self._mask:
            keep = [1 - self._mask(cells(c)) for c in charts]
            found.append(Hold((yield from self._source(charts)), keep))
        if self.request.camera and upsampled is not None:
            whole = range(self.request.frames)
            directions = [d for c in charts if isinstance(d := cells(c), Tensor)]  # no plane has a camera
            seen = [inputs.camera_weights(self.request, whole, d) for d in directions]
            found.append(Hold(upsampled, [1 - s for s in seen]))
        return found

    def given(self, charts: list[Chart], *, single: bool = False) -> Generator[Progress, None, Giving | None]:
        """What the windows of a stage are given, if there is a picture and the model takes one. ``single``: ``charts``
        are planes, each a window by itself that looks ahead at its pitch."""
        if not (self._picture and self._gives):
            return None
        request, spec = self.request, self.model.spec
        # Without an edge that an encoder would see.
        read, always = extended(self._picture, request.flat, request.wrap), "text" not in spec.takes
        reads = [looking(read, c) if single and not request.flat else read for c in charts]
        pictures = [_still(r, c.in_pixels(spec.ratio)) for r, c in zip(reads, charts, strict=True)]
        latents = yield from self._encoded(charts, pictures, 1, loop=False)
        known = [torch.ones(c.rows, c.columns) if always else r(cells(c))[1]
                 for r, c in zip(reads, charts, strict=True)]  # fmt: skip
        return Giving(charts, latents, known, reads, spec.view_pixels, request.loop, always)

    def beginning(self, charts: list[Chart], *, last: bool) -> Generator[Progress, None, list[Tensor]]:
        """The latents of the source, one a chart, to make it anew from. What a movie and resampling have dimmed is
        restored where nothing follows (``last``), as refining does by itself, or where the source is coarser."""
        width, _ = inputs.source_size(self.request)
        coarseness = [c.columns_around * self.model.spec.ratio / width for c in charts]
        radii = [SHARPEN_RADIUS * max(1.0, c) for c in coarseness]
        return (yield from self._source(charts, radii if last or coarseness[0] > COARSE else None))

    def _source(self, charts: list[Chart], radii: list[float] | None = None) -> Generator[Progress, None, list[Tensor]]:
        """The latents of the source; ``radii`` (pixels, one a chart): sharpened."""
        film = _Film(self.request, self.stride)
        pictures = [film.on(c.in_pixels(self.model.spec.ratio)) for c in charts]
        if self.model.spec.clipwise:
            pictures = yield from self._filmed(charts, pictures)
        if radii:
            pictures = [sharper(p, CRISP, r, r) for p, r in zip(pictures, radii, strict=True)]
        return (yield from self._encoded(charts, pictures, self.frames, loop=self.request.loop))

    def _filmed(self, charts: list[Chart], pictures: list[Picture]) -> Generator[Progress, None, list[Picture]]:
        """The same pictures from a film of the charts: clips are read tile after tile, a video from front to back."""
        count = frames_of(self.frames, self.request.loop, self.model.spec)
        canvas = Canvas(charts, [], self.request.loop, 0.0)
        film = Film(self.model, canvas, range(count), self.fields)
        for part in film.take(pictures):
            yield Progress("read", int(part * count), count, 0)
        return film.pictures()

    def _image_guides(self, charts: list[Chart], read: Read, *, first: bool) -> Guiding:
        pictures = [_still(read, c.in_pixels(self.model.spec.ratio)) for c in charts]
        known = yield from self._encoded(charts, pictures, 1, loop=True)  # it goes on and on
        weight = [read(cells(c))[1] for c in charts]
        anchor = Anchor(charts, known, weight, ANCHOR_RADIUS * charts[0].columns)
        # Not all models begin at pure noise.
        above = FREE_BELOW * self.model.sigmas(self.request.steps)[0]
        return [Hold(known, weight, above), anchor] if first and not self._gives else [anchor]

    def _encoded(
        self, charts: list[Chart], pictures: list[Picture], count: int, *, loop: bool
    ) -> Generator[Progress, None, list[Tensor]]:
        at_once = frames_at_once(self.model, charts)
        return (yield from encode_film(self.model, charts, pictures, count, at_once, self.fields, "read", loop=loop))


def _still(read: Read, chart: Chart) -> Picture:
    """A picture that is the same in every frame, on a chart in pixels."""
    return lambda block, frames: read(pixels(chart, block))[0][None].expand(len(frames), -1, -1, -1)


def by_rows(request: GenerateRequest) -> Iterator[Where]:
    """What lies at the pixels of the movie's frame, some rows at a time: directions of a whole frame would be large."""
    frame = Chart("plane" if request.flat else "erp", request.height, request.width)
    for top in range(0, request.height, ROWS_AT_ONCE):
        yield pixels(frame, Block(range(top, min(request.height, top + ROWS_AT_ONCE)), range(request.width)))


def picture_pixels(request: GenerateRequest) -> tuple[np.ndarray, np.ndarray]:
    """The request's image as the movie's frame shows it, (height, width, 3) uint8, and how far each pixel is known."""
    read = inputs.picture_reader(request)
    rows = [(to_bytes(rgb), known.numpy()) for rgb, known in map(read, by_rows(request))]
    return np.concatenate([rgb for rgb, _ in rows]), np.concatenate([known for _, known in rows])


def to_bytes(rgb: Tensor) -> np.ndarray:
    """RGB (3, height, width) in [0, 1] as (height, width, 3) uint8."""
    return (rgb * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()


class _Film:
    """The frames of the source, read in order, as often as charts ask for them in one pass."""

    def __init__(self, request: GenerateRequest, stride: int) -> None:
        self.request, self.stride = request, stride
        self._frames: Iterator[np.ndarray] = inputs.source_frames(request)
        self._at, self._now = 0, list[Image]()

    def _read(self, frames: range) -> list[Image]:
        """Images of ``frames``, which follow the ones asked for last, or are the same."""
        if frames.start >= self._at + len(self._now):
            self._at = frames.start
            # A clip shorter than the model's window goes on with its last frame.
            pictures = [next(self._frames, None) if f % self.stride == 0 else None for f in frames]
            last = self._now[-1] if self._now else None
            self._now = []
            for picture in pictures:
                last = Image(picture) if picture is not None else last
                assert last is not None
                self._now.append(last)
        return self._now[frames.start - self._at : frames.stop - self._at]

    def on(self, chart: Chart) -> Picture:
        """The film on a chart in pixels."""

        def picture(block: Block, frames: range) -> Tensor:
            at = pixels(chart, block)
            return torch.stack([image.at(at, wrap=self.request.wrap) for image in self._read(frames)])

        return picture
