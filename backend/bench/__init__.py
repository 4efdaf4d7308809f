"""Speed and memory, measured: the ratios of ``python3 -m backend bench`` on any machine, and foundation models of full
size with random weights on a card (``python3 -m backend.bench.foundation``). docs/performance.md says how and what."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any


class _Absent(type):
    def __getattr__(cls, name: str) -> int:
        return 1


def _stand_in(library: str) -> ModuleType:
    def attribute(name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Absent(name, (Exception,), {})

    module = ModuleType(library)
    module.__path__ = []
    module.__spec__ = ModuleSpec(library, None, is_package=True)  # without one, who asks whether it is there is refused
    module.__getattr__ = attribute
    return module


def _without(library: str, *modules: str) -> None:
    """Where a library is not installed that reads or writes pictures and films, which is not measured, let what imports
    it be imported nevertheless: a rented card often comes with torch and little else."""
    if find_spec(library) is None:
        made: dict[str, Any] = {name: _stand_in(name) for name in (library, *modules)}
        sys.modules.update(made)


_without("cv2")
_without("av", "av.error", "av.video", "av.video.reformatter")
