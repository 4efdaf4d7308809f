"""Catalogues of an asset library: lines of ``blender_assets.cats.txt``. What others wrote there stays as it is."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

from ...backend.media.files import atomic_write
from ...backend.protocol import ErrorKind, SkyloopError, bad_request

FILE = "blender_assets.cats.txt"
HEADER = """\
# This is an Asset Catalog Definition file for Blender.
#
# Empty lines and lines starting with `#` will be ignored.
# The first non-ignored line should be the version indicator.
# Other lines are of the format "UUID:catalog/path/for/assets:simple catalog name"

VERSION 1
"""
_LINE = re.compile(r"\s*(?P<id>[0-9a-fA-F-]{36}):(?P<path>[^:]+)(:.*)?$")


def catalogue(library: Path, path: str) -> str:
    """The id of the catalogue ``path`` (such as ``Skyloop/Skies``) of a library; it is added when it is not there.

    Raises ``SkyloopError`` when the file cannot be read or written.
    """
    file = library / FILE
    try:
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        merged, found = with_catalogue(text, path)
        if merged != text:
            atomic_write(file, merged.encode())
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise SkyloopError(ErrorKind.INTERNAL, f"{file} cannot be changed: {reason}.", "Check the folder.") from error
    return found


def with_catalogue(text: str, path: str) -> tuple[str, str]:
    """The file's text with the catalogue ``path``, and its id. Raises ``SkyloopError`` for a version not known."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if lines and lines[0].split() != ["VERSION", "1"]:
        raise bad_request("The asset library was made by a newer Blender.", "Choose another one.")
    for line in lines[1:]:
        if (found := _LINE.match(line)) and found["path"].strip() == path:
            return text, found["id"]
    made = str(uuid.uuid4())
    # A file of comments alone still needs its version.
    base = text if lines else text + HEADER
    gap = "" if base.endswith("\n") else "\n"
    return f"{base}{gap}{made}:{path}:{path.replace('/', '-')}\n", made
