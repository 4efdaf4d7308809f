"""One module for each family of diffusers' video models; importing this is cheap, a family's module is not."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .family import Family

# Family of the catalogue -> module and class here.
FAMILIES = {
    "wan": "wan:Wan",
    "wan_vace": "wan_vace:WanVace",
    "wan22_5b": "wan22:Wan22Small",
    "wan22_a14b": "wan22:Wan22Experts",
    "ltx": "ltx:Ltx",
    "ltx2": "ltx2:Ltx2",
    "animatediff": "animatediff:AnimateDiff",
    "svd": "svd:StableVideo",
    "kandinsky5": "kandinsky5:Kandinsky5",
    "hunyuan15": "hunyuan15:Hunyuan15",
    "cogvideox": "cogvideox:CogVideoX",
}


def class_of(name: str) -> type[Family]:
    """The class of a family of the catalogue."""
    module, _, attribute = FAMILIES[name].partition(":")
    return getattr(importlib.import_module(f".{module}", __name__), attribute)
