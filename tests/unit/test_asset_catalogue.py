"""Catalogues of an asset library: added once, and nothing else touched."""

from __future__ import annotations

import importlib
import uuid
from pathlib import Path

import pytest

from blender_addon.__main__ import load_package

load_package()
module = importlib.import_module("skyloop.blender_addon.core.asset_catalogue")
FILE, catalogue, with_catalogue = module.FILE, module.catalogue, module.with_catalogue
SkyloopError = importlib.import_module("skyloop.backend.protocol").SkyloopError

THEIRS = "# mine\r\nVERSION 1\r\n\r\n11111111-2222-3333-4444-555555555555:Trees:Trees"


def test_a_new_file_is_one_that_blender_reads(tmp_path: Path) -> None:
    made = catalogue(tmp_path, "Skyloop/Skies")
    assert uuid.UUID(made)
    lines = [line for line in (tmp_path / FILE).read_text().splitlines() if line and not line.startswith("#")]
    assert lines == ["VERSION 1", f"{made}:Skyloop/Skies:Skyloop-Skies"]
    assert catalogue(tmp_path, "Skyloop/Skies") == made


def test_what_others_wrote_stays() -> None:
    text, made = with_catalogue(THEIRS, "Skyloop/Skies")
    assert text == f"{THEIRS}\n{made}:Skyloop/Skies:Skyloop-Skies\n"
    assert with_catalogue(text, "Skyloop/Skies") == (text, made)
    assert with_catalogue(text, "Trees") == (text, "11111111-2222-3333-4444-555555555555")


def test_comments_alone_get_a_version() -> None:
    text, _ = with_catalogue("# nothing yet\n", "A")
    assert text.startswith("# nothing yet\n") and "\nVERSION 1\n" in text


def test_a_version_that_is_not_known_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("VERSION 2\n")
    with pytest.raises(SkyloopError, match="newer Blender"):
        catalogue(tmp_path, "A")
    (tmp_path / FILE).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SkyloopError, match="cannot be changed"):
        catalogue(tmp_path, "A")
    assert (tmp_path / FILE).read_bytes() == b"\xff\xfe\x00"
