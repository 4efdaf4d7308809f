from typing import Any

# Blender's module has no types of its own: here everything in it is Any, so that pyright checks the rest of the add-on.
def __getattr__(name: str) -> Any: ...
