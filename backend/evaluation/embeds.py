"""Pictures and clips small enough to stand inside a page, as data URIs."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import av
import cv2
import numpy as np

from ..media.stills import read_image
from ..media.video import probe, read_frames
from .views import Lens, View, extended

CELL_PX = 128
_CLIP_CRF = 29
_CLIP_FRAMES = 64
_VIEWS = (View(0, 5), View(0, 90))  # ahead and up, beside the panorama
_GAP, _CAPTION_PX = 6, 18


def sky_cell(video: Path, caption: str) -> np.ndarray:
    """The middle frame of an equirectangular video, with the views ahead and up: (h, w, 3) uint8, captioned."""
    poster = video.with_name("poster.png")
    if poster.is_file():  # the same frame, ten times as fast
        frame = read_image(poster)
    else:
        *_, frame = read_frames(video, probe(video)["frames"] // 2 + 1)
    wide = extended(frame)
    height, width = frame.shape[:2]
    pictures = [cv2.resize(frame, (2 * CELL_PX, CELL_PX), interpolation=cv2.INTER_AREA)]
    pictures += [Lens.on_sphere(view, CELL_PX, height, width)(wide) for view in _VIEWS]
    strip = np.concatenate(pictures, axis=1)
    band = np.full((_CAPTION_PX, strip.shape[1], 3), 24, np.uint8)
    text = "".join(c if c.isascii() else "?" for c in caption)[:76]  # the font of OpenCV 4 knows no others
    cv2.putText(band, text, (3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (225, 225, 225), 1, cv2.LINE_AA)
    return np.concatenate([band, strip])


def grid(cells: Sequence[np.ndarray], columns: int = 2) -> np.ndarray:
    """Cells of one size side by side, row by row, as one picture."""
    columns = min(columns, len(cells))
    blank = np.full_like(cells[0], 24)
    padded = [*cells, *[blank] * (-len(cells) % columns)]
    framed = [cv2.copyMakeBorder(one, 0, _GAP, 0, _GAP, cv2.BORDER_CONSTANT, value=(24, 24, 24)) for one in padded]
    rows = [np.concatenate(framed[i : i + columns], axis=1) for i in range(0, len(framed), columns)]
    return np.concatenate(rows)


def jpeg_uri(picture: np.ndarray, most_bytes: int) -> str:
    """A picture (h, w, 3) uint8 RGB as a JPEG data URI; as fine as fits, first coarser and then smaller."""
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    while True:
        data = b""
        for quality in (85, 75, 65, 50):
            data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
            if len(data) * 4 / 3 <= most_bytes:
                return _uri("image/jpeg", data)
        if min(bgr.shape[:2]) < 64:
            return _uri("image/jpeg", data)
        bgr = cv2.resize(bgr, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA)


def clip_uri(video: Path, width: int = 384, height: int = 192) -> str:
    """The first 64 frames of a video, re-encoded small for browsers (H.264, 4:2:0), as a data URI."""
    buffer = io.BytesIO()
    facts = probe(video)
    with av.open(buffer, "w", format="mp4") as container:
        rate = max(1, round(facts["fps"] or 1))
        stream = cast(Any, container.add_stream("libx264", rate=rate, options={"crf": str(_CLIP_CRF), "bf": "0"}))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in read_frames(video, _CLIP_FRAMES):
            small = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(cast(Any, small), format="rgb24")))
        container.mux(stream.encode(None))
    return _uri("video/mp4", buffer.getvalue())


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
