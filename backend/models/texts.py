"""Encoded texts on the disk: a text encoder of 10 GB is loaded only for texts it has not seen."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ..media.files import atomic_write, discard
from ..protocol import SkyloopError

Text = dict[str, Tensor]


class TextCache:
    """Text -> named tensors, in memory and, where there is a ``folder``, in a file each.

    ``revision``: of the text encoder's weights; what another one encoded is not taken.
    """

    def __init__(self, folder: Path | None = None, revision: str = "") -> None:
        self.folder, self.revision = folder, revision
        self._known: dict[str, Text] = {}

    def _path(self, text: str) -> Path | None:
        name = hashlib.sha256(f"{self.revision}\0{text}".encode()).hexdigest()
        return self.folder / f"{name}.safetensors" if self.folder else None

    def __contains__(self, text: str) -> bool:
        if text not in self._known and (path := self._path(text)) and path.is_file():
            try:
                self._known[text] = load(path.read_bytes())
            except (OSError, SafetensorError):  # torn or damaged: encoded again
                discard(path)
        return text in self._known

    def __getitem__(self, text: str) -> Text:
        return self._known[text]

    def __setitem__(self, text: str, encoded: Text) -> None:
        self._known[text] = {name: t.detach().cpu().contiguous() for name, t in encoded.items()}
        if path := self._path(text):
            with contextlib.suppress(OSError, SkyloopError):  # a cache only: a full disk shows where it matters
                path.parent.mkdir(parents=True, exist_ok=True)
                atomic_write(path, save(self._known[text]))
