"""The networks that a model is made of, each loaded when it is first needed and let go when it is not."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from ..protocol import ErrorKind, SkyloopError

Load = Callable[[], Any]
Place = Callable[[str, Any], Any]


class Parts:
    """By name: what diffusers keeps in the folder of that name (``transformer``, ``vae``, ``text_encoder``...)."""

    def __init__(self, load: Mapping[str, Load], device: torch.device, place: Place | None = None) -> None:
        """``load`` makes a part on the host; ``place`` puts it where it shall run, by default onto ``device``."""
        self._load, self.device = dict(load), device
        self._place = place or (lambda _, part: part.to(device) if isinstance(part, torch.nn.Module) else part)
        self._loaded: dict[str, Any] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._load

    def __getitem__(self, name: str) -> Any:
        """The part, ready to run. Raises ``missing_model`` where its files cannot be read."""
        if name not in self._loaded:
            self._loaded[name] = self._place(name, self._load[name]())
        return self._loaded[name]

    def release(self, *names: str) -> None:
        """Give the memory of these parts back."""
        if any(self._loaded.pop(name, None) is not None for name in names):
            gc.collect()
            if self.device.type == "cuda":
                torch.cuda.empty_cache()


def from_folder(folder: Path, classes: Mapping[str, str], dtypes: Mapping[str, torch.dtype]) -> dict[str, Load]:
    """How to load each part from its subfolder of ``folder``: ``classes`` are "package:Class", those of tokenizers and
    networks alike; ``dtypes`` by part. Never looks at the network, never unpickles."""

    def loader(name: str, where: str) -> Load:
        def load() -> Any:
            package, _, attribute = where.partition(":")
            cls = getattr(importlib.import_module(package), attribute)
            chosen: dict[str, Any] = {"dtype": dtypes[name]} if name in dtypes else {}
            if hasattr(cls, "forward"):
                chosen["use_safetensors"] = True
            try:
                part = cls.from_pretrained(folder / name, local_files_only=True, **chosen)
            except (OSError, ValueError, KeyError, RuntimeError) as error:
                text = f"The {name.replace('_', ' ')} in {folder} cannot be read: {str(error).splitlines()[0][:200]}"
                raise SkyloopError(ErrorKind.MISSING_MODEL, text, "Verify the model, or download it again.") from error
            return part.eval().requires_grad_(False) if isinstance(part, torch.nn.Module) else part

        return load

    return {name: loader(name, where) for name, where in classes.items()}
