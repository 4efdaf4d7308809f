"""Skyloop's generation backend: a process of its own that never imports ``bpy``.

Importing this package is free: only the standard library is touched until a job needs more.
"""

__version__ = "0.1.0"
