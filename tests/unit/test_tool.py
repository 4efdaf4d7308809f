"""One command of the backend beside Blender: what it says, how it fails, how it is stopped."""

from __future__ import annotations

import importlib
import io
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.commands import progress
from backend.media.video import VideoWriter
from backend.protocol import PROGRESS_LINES, phase
from blender_addon.__main__ import load_package

load_package()
protocol = importlib.import_module("skyloop.backend.protocol")
ErrorKind, SkyloopError = protocol.ErrorKind, protocol.SkyloopError
Tool = importlib.import_module("skyloop.blender_addon.core.tool").Tool
# The backend's own command, as this Python runs it, with a line for every frame.
ROOT = Path(__file__).resolve().parents[2]
COMMAND = """
import sys
sys.path.insert(0, {root!r})
from backend import commands
from backend.commands import frames, light, progress
frames.enter_runtime = light.enter_runtime = lambda argv: None
progress.LINE_PERIOD_S = 0.0
sys.exit(commands.main(sys.argv[1:]))
"""


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


@pytest.mark.parametrize(("command", "phases"), [("light", ["light"]), ("frames", ["light", "frames"])])
def test_how_far_the_real_commands_are(tmp_path: Path, command: str, phases: list[str]) -> None:
    with VideoWriter(tmp_path / "film.mp4", 64, 32, 8.0) as writer:
        for level in range(12):
            writer.write(np.full((32, 64, 3), 20 * level, np.uint8))
    words = [command, str(tmp_path / "film.mp4")]
    if command == "frames":
        words += ["--out", str(tmp_path / "out"), "--format", "exr", "--boost", "2"]
    made = Tool([sys.executable, "-c", COMMAND.format(root=str(ROOT)), *words], cwd=tmp_path)
    said, hear = list[Any](), made._hear

    def listen(line: str) -> None:
        hear(line)
        said.append(made.progress)

    made._hear = listen
    made.wait()
    assert made.error is None, made.error
    for name in phases:
        shares = [now.factor for now in said if now.name == name]
        assert shares == pytest.approx([done / 12 for done in [0, *range(2, 13)]])


def test_a_log_is_not_flooded(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, out = [0.0], io.StringIO()
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])

    def lines() -> list[str]:
        show = progress.Progress(out)
        for done in range(1, 1001):  # in ten seconds
            clock[0] += 0.01
            show(phase("frames", done, 1000, "frame"))
        return out.getvalue().splitlines()

    assert lines() == ["skyloop: Frames: 1000 frames"], "who has not asked gets a line a phase"
    for name, value in PROGRESS_LINES.items():
        monkeypatch.setenv(name, value)
    told = lines()[1:]
    assert 20 <= len(told) <= 41 and told[-1].startswith("skyloop: Frames: 9")


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
