"""The device side of the process: which accelerators there are, which model is loaded, how much memory it took."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from .models.base import VideoModel
from .models.builtin import BuiltinModel
from .models.sparing import Sparing
from .protocol import bad_request


def devices() -> list[dict[str, Any]]:
    """Usable devices, best first: ``{id, name, memory_mb}``; the processor is always there."""
    found = []
    for i in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        facts = torch.cuda.get_device_properties(i)
        found.append({"id": f"cuda:{i}", "name": facts.name, "memory_mb": facts.total_memory >> 20})
    if torch.backends.mps.is_available():
        found.append({"id": "mps", "name": "Apple GPU", "memory_mb": torch.mps.recommended_max_memory() >> 20})
    return [*found, {"id": "cpu", "name": f"processor, {torch.get_num_threads()} threads", "memory_mb": 0}]


_Key = tuple[str, str, tuple[tuple[Path, float], ...]]
"""Model, device, and LoRA files with their strengths."""


class Engine:
    """Holds the loaded model between jobs."""

    def __init__(self) -> None:
        self._loaded: tuple[_Key, VideoModel] | None = None

    def model(self, model_id: str, device: str, loras: Sequence[tuple[Path, float]] = ()) -> VideoModel:
        """The model on a device of :data:`.protocol.DEVICES`, with LoRA files at their strengths. Raises
        ``bad_request``, ``missing_model``, ``out_of_memory``."""
        ids = [d["id"] for d in devices()]
        place = ids[0] if device == "auto" else next((i for i in ids if i.split(":")[0] == device), None)
        if place is None:
            raise bad_request(f"This machine has no {device} device.", f"Use auto or one of: {', '.join(ids)}.")
        key = (model_id, place, tuple(loras))
        if self._loaded is None or self._loaded[0] != key:
            self.unload()
            self._loaded = (key, _load(*key))
        model = self._loaded[1]
        # A new one, as the memory of the last job may be free again.
        return Sparing(model, leaner=getattr(model, "leaner", None))

    def unload(self) -> None:
        """Give the model's memory back."""
        self._loaded = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        _trim_heap()

    @staticmethod
    def reset_peak(device: torch.device) -> None:
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    @staticmethod
    def peak_memory_mb(device: torch.device) -> dict[str, int]:
        """Most memory this process had on the host, and its tensors on the device since :meth:`reset_peak`."""
        used = {"host": _peak_host_mb()}
        if device.type == "cuda":
            used["device"] = torch.cuda.max_memory_allocated(device) >> 20
        return used

    @staticmethod
    def device_name(device: torch.device) -> str:
        return next((d["name"] for d in devices() if d["id"].split(":")[0] == device.type), device.type)


def _load(model_id: str, place: str, loras: tuple[tuple[Path, float], ...]) -> VideoModel:
    if model_id == "builtin":  # at once, without the libraries of the others
        return BuiltinModel(place)
    from .models.loading import load

    return load(model_id, torch.device(place), loras=loras)


def _trim_heap() -> None:
    """Have the C library give freed memory back to the system: glibc keeps hundreds of MB of it after a job."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):  # musl has none
        libc.malloc_trim(0)


def _peak_host_mb() -> int:
    if sys.platform == "win32":
        import psutil  # only Windows lacks the standard library's way

        return psutil.Process().memory_info().peak_wset >> 20
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak >> 20 if sys.platform == "darwin" else peak >> 10
