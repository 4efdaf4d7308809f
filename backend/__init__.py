"""Skyloop's generation backend: a process of its own that never imports ``bpy``.

Importing this package is free: only the standard library is touched until a job needs more.
"""

import sys

if sys.version_info < (3, 11):  # every way in comes past here; what follows does not even parse in an older Python
    import shutil

    _right = [name for name in ("python3.13", "python3.12", "python3.11") if shutil.which(name)]
    _do = f"Start it with {_right[0]} instead." if _right else "Install one of them, then start it with that one."
    _here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    raise SystemExit(f"skyloop: This is Python {_here}, and Skyloop needs 3.11, 3.12 or 3.13. {_do}")

__version__ = "0.1.0"
