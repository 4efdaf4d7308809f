"""``python3 -m blender_addon "PROMPT" --out DIR``: from a prompt to a Blender scene, without a window.

The repository's folder is loaded as the package ``skyloop``, as Blender loads it as ``bl_ext.<repository>.skyloop``:
both run the same code with the same relative imports.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]


def load_package() -> ModuleType:
    """The repository's root as the package ``skyloop``."""
    if "skyloop" in sys.modules:
        return sys.modules["skyloop"]
    spec = importlib.util.spec_from_file_location(
        "skyloop", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    assert spec and spec.loader
    package = importlib.util.module_from_spec(spec)
    sys.modules["skyloop"] = package
    spec.loader.exec_module(package)
    return package


if __name__ == "__main__":
    load_package()
    importlib.import_module("skyloop.backend")  # first: it tells an old Python so, in which the rest does not parse
    sys.exit(importlib.import_module("skyloop.blender_addon.headless").main(sys.argv[1:]))
