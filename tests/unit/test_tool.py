"""One command of the backend beside Blender: what it says, how it fails, how it is stopped."""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from blender_addon.__main__ import load_package

load_package()
protocol = importlib.import_module("skyloop.backend.protocol")
ErrorKind, SkyloopError = protocol.ErrorKind, protocol.SkyloopError
Tool = importlib.import_module("skyloop.blender_addon.core.tool").Tool


def tool(code: str, tmp_path: Path) -> Any:
    script = tmp_path / "command.py"
    script.write_text(code, encoding="utf-8")
    return Tool([sys.executable, str(script)], cwd=tmp_path)


def test_its_document_and_progress(tmp_path: Path) -> None:
    made = tool(
        "import sys\n"
        "print('skyloop: Light: 16 frames', file=sys.stderr, flush=True)\n"
        "print('skyloop: Frames: 3 of 8 frames', file=sys.stderr, flush=True)\n"
        "print('{\"given\": ' + ('true' if sys.argv[-1] == '--json' else 'false') + '}')",
        tmp_path,
    )
    made.wait()
    assert made.error is None and made.document == {"given": True}
    assert (made.progress.name, made.progress.done, made.progress.total) == ("frames", 3, 8)


def test_a_refusal_is_told_in_its_own_words(tmp_path: Path) -> None:
    said = '{"error": {"kind": "disk_full", "message": "The disk is full.", "hint": "Free some room.", "log": ""}}'
    made = tool(f"print('{said}'); raise SystemExit(1)", tmp_path)
    made.wait()
    assert made.error and (made.error.kind, made.error.message, made.error.hint) == (
        ErrorKind.DISK_FULL, "The disk is full.", "Free some room.")  # fmt: skip


@pytest.mark.parametrize("printed", ["", "not json", "[1]", '{"error": 3}', '{"error": {"kind": "new"}}'])
def test_a_crash_is_told_too(tmp_path: Path, printed: str) -> None:
    made = tool(f"print({printed!r}); raise SystemExit(7)", tmp_path)
    made.wait()
    assert made.error and made.error.kind is ErrorKind.INTERNAL and made.error.message


def test_more_output_than_a_pipe_holds(tmp_path: Path) -> None:
    made = tool("print('{\"much\": \"' + 'x' * 900_000 + '\"}')", tmp_path)
    made.wait()
    assert made.error is None and len(made.document["much"]) == 900_000


def test_it_is_cancelled(tmp_path: Path) -> None:
    made = tool("import time\ntime.sleep(60)", tmp_path)
    assert not made.done()
    start = time.monotonic()
    made.cancel()
    made.wait()
    assert made.error and made.error.kind is ErrorKind.CANCELLED and time.monotonic() - start < 30


def test_its_end_is_the_end_of_the_process(tmp_path: Path) -> None:
    made = tool("import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(60)", tmp_path)
    made.end()
    assert made.done() and made.error and made.error.kind is ErrorKind.CANCELLED


def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SkyloopError, match="could not be started"):
        Tool([str(tmp_path / "nothing")], cwd=tmp_path)
