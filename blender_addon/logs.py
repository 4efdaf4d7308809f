"""Logs of what failed, to read in Blender."""

from pathlib import Path

import bpy

from ..backend.media.files import read_tail
from ..backend.protocol import SkyloopError, bad_request

SHOWN_BYTES = 4 << 20


def end_of(log: Path, limit_bytes: int) -> str:
    """The last ``limit_bytes`` of a log. Raises ``OSError``, ``SkyloopError``."""
    return read_tail(log, limit_bytes).decode("utf-8", errors="replace")


def show(context: bpy.types.Context, log: Path) -> None:
    """Open the end of a log in a text editor of its own. Raises ``SkyloopError`` when it cannot be read."""
    try:
        text = end_of(log, SHOWN_BYTES)
    except (OSError, SkyloopError) as error:
        raise bad_request(f"The log {log} cannot be read: {error}") from error
    block = bpy.data.texts.get("Skyloop Log") or bpy.data.texts.new("Skyloop Log")
    block.from_string(text)
    if not bpy.app.background:
        bpy.ops.wm.window_new()
        area = context.window_manager.windows[-1].screen.areas[0]
        area.type = "TEXT_EDITOR"
        area.spaces.active.text = block
        block.cursor_set(0)
