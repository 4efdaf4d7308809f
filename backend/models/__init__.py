"""Base models behind one protocol (:mod:`.base`); the built-in one is :mod:`.builtin`. Importing this is free."""

from __future__ import annotations

from pathlib import Path
from typing import Any

IDS = ("builtin",)


def catalogue() -> list[dict[str, Any]]:
    """What can be generated with: ``{id, name, family, licence, size_mb, ready, summary, needs}``."""
    folder = Path(__file__).parent / "weights" / "builtin"
    size = sum(f.stat().st_size for f in folder.glob("*.safetensors"))
    return [
        {
            "id": "builtin",
            "name": "Built-in",
            "family": "skyloop-dit",
            "licence": "GPL-3.0-or-later",
            "size_mb": round(size / 1e6, 1),
            "ready": (folder / "training.json").is_file() and size > 0,
            "summary": "Small and stylised, made for previews; ships with Skyloop.",
            "needs": "Runs on any computer; a GPU makes it fast.",
        }
    ]
