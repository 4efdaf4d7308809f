"""A movie in the making: segments of a second or so, each encoded by itself, which outlive the process.

A finished segment carries the check sum of its content in its name, so one that was cut short or damaged is not taken
for finished. Segments are joined without encoding anything again, so a movie made in two runs is the same, bit for bit.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator
from pathlib import Path

from .files import discard, is_real_folder, own_folder, writing
from .video import VideoWriter, join, segment_frames

_CHUNK_BYTES = 1 << 20


class Segments:
    """The segments of one movie in ``folder``, which is made when the first is written. ``files`` are those there are,
    from the first on without a gap; ``spans`` the frames of each."""

    def __init__(self, folder: Path, width: int, height: int, fps: float, frames: int) -> None:
        self.folder, self.size, self.fps = folder, (width, height), fps
        self.files: list[Path] = []
        length = segment_frames(fps)
        self.spans = [range(start, min(frames, start + length)) for start in range(0, frames, length)]

    def find(self) -> None:
        """Take up those that an earlier run has left. Damaged ones are removed."""
        self.files = []
        while len(self.files) < len(self.spans) and (file := self._file(len(self.files))):
            self.files.append(file)

    def _file(self, number: int) -> Path | None:
        """A segment whose content is what it was; others of its number are removed."""
        found = None
        if is_real_folder(self.folder):
            for path in self.folder.glob(f"segment-{number:05d}*.mp4"):
                if path.is_file() and not path.is_symlink() and path.stem.rpartition("-")[2] == _crc(path):
                    found = path
                else:
                    discard(path)
        return found

    @contextlib.contextmanager
    def writer(self) -> Iterator[VideoWriter]:
        """Write the frames of the next span. Raises ``SkyloopError`` like :class:`.video.VideoWriter`."""
        own_folder(self.folder)
        number = len(self.files)
        path = self.folder / f"segment-{number:05d}.mp4"
        with VideoWriter(path, *self.size, self.fps, len(self.spans[number])) as video:
            yield video
        with writing(path):
            self.files.append(path.replace(path.with_name(f"{path.stem}-{_crc(path)}.mp4")))

    def join(self, path: Path) -> None:
        """The whole movie, under ``path``, once all segments are there. Raises ``SkyloopError``."""
        assert len(self.files) == len(self.spans)
        join(self.files, path)


def _crc(path: Path) -> str:
    found = 0
    with path.open("rb") as file:
        while data := file.read(_CHUNK_BYTES):
            found = zlib.crc32(data, found)
    return f"{found:08x}"
