"""The networks that a model is made of, each loaded when it is first needed and let go when it is not."""

from __future__ import annotations

import gc
import importlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from ..protocol import ErrorKind, SkyloopError

Load = Callable[[], Any]

_MAX_CONFIG_BYTES = 4 << 20


class Place(Protocol):
    """Where parts are put; :class:`.placement.Placement` is one."""

    def __call__(self, name: str, part: Any) -> Any:
        """A part that was loaded on the host, made ready to run."""
        ...

    def used(self, name: str) -> None:
        """It is about to be used, as each time."""
        ...

    def forget(self, names: Iterable[str]) -> None:
        """These are let go."""
        ...


class Parts:
    """By name: what diffusers keeps in the folder of that name (``transformer``, ``vae``, ``text_encoder``...)."""

    def __init__(self, load: Mapping[str, Load], device: torch.device, place: Place | None = None) -> None:
        """``load`` makes a part on the host; ``place`` puts it where it shall run, by default onto ``device``."""
        self._load, self.device, self._place = dict(load), device, place
        self._loaded: dict[str, Any] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._load

    def __getitem__(self, name: str) -> Any:
        """The part, ready to run: ask for it at each use, as parts may take turns on the card. Raises
        ``missing_model`` where its files cannot be read."""
        if name not in self._loaded:
            part = self._load[name]()
            if self._place:
                part = self._place(name, part)
            elif isinstance(part, torch.nn.Module):
                part = part.to(self.device)
            self._loaded[name] = part
        if self._place:
            self._place.used(name)
        return self._loaded[name]

    def config(self, name: str) -> Mapping[str, Any]:
        """What the part's ``config.json`` says, without loading its weights where it comes from a folder: a family's
        constructor asks for no more, as the denoiser shall not take memory that the text encoder needs before it."""
        load = self._load[name]
        if name not in self._loaded and isinstance(load, FromFolder):
            return load.config()
        return self[name].config

    def release(self, *names: str) -> None:
        """Give the memory of these parts back; of all, where none is named."""
        dropped = {name: self._loaded.pop(name) for name in names or tuple(self._loaded) if name in self._loaded}
        if not dropped:
            return
        if self._place:
            self._place.forget(dropped)
        dropped.clear()
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            # Pinned memory of the host, through which weights were streamed, is kept for later otherwise.
            if empty := getattr(torch._C, "_host_emptyCache", None):
                empty()

    def move(self, place: Place) -> None:
        """From now on put parts elsewhere: those that are there are let go, and loaded again when next needed."""
        self.release()
        self._place = place


@dataclass(frozen=True)
class FromFolder:
    """Loads one part of the class ``where`` ("package:Class") from its subfolder of ``folder``.

    ``file``: one file with its weights, in the form of its authors or quantised (GGUF); the subfolder has only the
    configuration then. Never looks at the network, never unpickles.
    """

    name: str
    where: str
    folder: Path
    dtype: torch.dtype | None = None
    file: Path | None = None

    def __call__(self) -> Any:
        """The part on the host. Raises ``missing_model`` where its files cannot be read."""
        try:
            part = self._from_file(self.file) if self.file else self._from_folder()
        except (OSError, ValueError, KeyError, RuntimeError, ImportError, AttributeError) as error:
            raise self._unreadable(str(error).strip() or repr(error)) from error
        return part.eval().requires_grad_(False) if isinstance(part, torch.nn.Module) else part

    def config(self) -> dict[str, Any]:
        """Of a network. Raises ``missing_model``."""
        try:
            with (self.folder / self.name / "config.json").open("rb") as file:
                found = json.loads(file.read(_MAX_CONFIG_BYTES))
        except (OSError, ValueError) as error:
            raise self._unreadable(str(error)) from error
        if not isinstance(found, dict):
            raise self._unreadable("its config.json is no JSON object")
        return found

    def _class(self) -> Any:
        package, _, attribute = self.where.partition(":")
        return getattr(importlib.import_module(package), attribute)

    def _from_folder(self) -> Any:
        cls, chosen = self._class(), dict[str, Any]()
        if hasattr(cls, "forward"):
            chosen["use_safetensors"] = True
            if self.dtype:
                chosen["dtype"] = self.dtype
        return cls.from_pretrained(self.folder / self.name, local_files_only=True, **chosen)

    def _from_file(self, file: Path) -> Any:
        chosen: dict[str, Any] = {"dtype": self.dtype} if self.dtype else {}
        if file.suffix == ".gguf":
            from diffusers import GGUFQuantizationConfig

            chosen["quantization_config"] = GGUFQuantizationConfig(compute_dtype=self.dtype or torch.float32)
        elif file.suffix != ".safetensors":
            raise ValueError(f"{file.name} is neither .safetensors nor .gguf")
        config = str(self.folder / self.name)
        return self._class().from_single_file(str(file), config=config, local_files_only=True, **chosen)

    def _unreadable(self, why: str) -> SkyloopError:
        text = f"The {self.name.replace('_', ' ')} in {self.file or self.folder} cannot be read: {_line(why)}"
        return SkyloopError(ErrorKind.MISSING_MODEL, text, "Verify the model, or download it again.")


def _line(text: str) -> str:
    return text.splitlines()[0][:200].rstrip(".") + "."


def from_folder(
    folder: Path, classes: Mapping[str, str], dtypes: Mapping[str, torch.dtype], files: Mapping[str, Path] | None = None
) -> dict[str, Load]:
    """How to load each part of ``folder``: ``classes`` are "package:Class", those of tokenizers and networks alike;
    ``dtypes`` by part, and ``files`` those parts whose weights are in a single file."""
    return {
        name: FromFolder(name, where, folder, dtypes.get(name), (files or {}).get(name))
        for name, where in classes.items()
    }
