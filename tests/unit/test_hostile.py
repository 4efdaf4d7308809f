"""Requests, paths, messages and an environment made to do what the user did not ask for."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from backend.jobs import store
from backend.media.files import open_input, read_input
from backend.paths import MAX_PATH_CHARS, form_problem
from backend.protocol import CameraKey, Command, ErrorKind, GenerateRequest, Region, SkyloopError
from backend.runtime import child
from backend.typed import parse_json

FINE = GenerateRequest(prompt="aurora")
KEY = asdict(CameraKey(0, 0.0, 0.0, 50.0))
REGION = asdict(Region(0.0, 0.0, 30.0, "x"))


def text_of(**changes: Any) -> str:
    return json.dumps(FINE.to_json() | changes)


def instead(name: str, value: str) -> str:
    """The request with a field's value as this very JSON."""
    return json.dumps(FINE.to_json() | {name: "@"}).replace('"@"', value)


REQUESTS: dict[str, tuple[str, str]] = {
    "empty": ("", "request.json"),
    "no JSON": ("{prompt: x}", "request.json"),
    "list": ("[]", "not a JSON object"),
    "null": ("null", "not a JSON object"),
    "two documents": ("{} {}", "request.json"),
    "nested": ("[" * 100_000, "request.json"),
    "nested in a field": (instead("regions", "[" * 500 + "]" * 500), "regions[0]"),
    "half of UTF-8": ('{"prompt": "\udcff"}', "request.json"),
    "field twice": ('{"prompt": "x", "prompt": "y"}', "'prompt' is given twice"),
    "field of a region twice": (instead("regions", '[{"prompt": "x", "prompt": "y"}]'), "'prompt' is given twice"),
    "field unknown": (text_of(__class__="os"), "'__class__'"),
    "field unknown and long": (text_of(**{"x" * 10**6: 1}), "unknown request field 'xxx"),
    "no prompt": (json.dumps({"seed": 1}), "prompt is missing"),
    "prompt is a number": (text_of(prompt=7), "prompt must be str"),
    "prompt is a tree": (text_of(prompt=[[["x"]]]), "prompt must be str"),
    "prompt too long": (text_of(prompt="x" * 10**6), "prompt has 1000000 characters"),
    "prompt of half a pair": (text_of(prompt="\ud83c"), "prompt is not valid"),
    "prompt that moves the cursor": (text_of(prompt="x\x1b[2J"), "prompt has the control character U+001B"),
    "prompt of no character": (text_of(prompt="x\0"), "prompt has the control character U+0000"),
    "negative with a bell": (text_of(negative="x\x07"), "negative has the control character"),
    "seed as a float": (text_of(seed=1.0), "seed must be int"),
    "seed as true": (text_of(seed=True), "seed must be int"),
    "seed as text": (text_of(seed="1"), "seed must be int"),
    "seed of 10^5000": (instead("seed", "1" + "0" * 5000), "seed must be int"),
    "seed of 65 bits": (text_of(seed=2**64), "seed is a number of more than 64 bits"),
    "seed below zero": (text_of(seed=-1), "seed -1"),
    "fps of 1e400": (instead("fps", "1e400"), "fps must be float"),
    "fps of 10^5000": (instead("fps", "1" + "0" * 5000), "fps must be float"),
    "fps of minus 10^5000": (instead("fps", "-1" + "0" * 5000), "fps must be float"),
    "fps is NaN": (instead("fps", "NaN"), "fps must be float"),
    "fps is infinite": (instead("fps", "-Infinity"), "fps must be float"),
    "fps is true": (text_of(fps=True), "fps must be float"),
    "loop is one": (text_of(loop=1), "loop must be bool"),
    "frames beyond all": (text_of(frames=2**62), "frames 4611686018427387904"),
    "width beyond all": (text_of(width=2**62, height=2**61), "height"),
    "model is a path": (text_of(model="../" * 400), "model '../"),
    "model moves the cursor": (text_of(model="\x1b[2J"), "model '\\x1b"),
    "method of a megabyte": (text_of(method="x" * 10**6), "method 'xxx"),
    "device of a megabyte": (text_of(device="x" * 10**6), "device 'xxx"),
    "65 regions": (text_of(regions=[REGION] * 65), "regions: 65"),
    "region without a prompt": (text_of(regions=[REGION | {"prompt": ""}]), "region 1: its prompt"),
    "region that moves the cursor": (text_of(regions=[REGION | {"prompt": "\x9b2J"}]), "region 1: prompt has the"),
    "region with more to say": (text_of(regions=[REGION | {"exec": "x"}]), "regions[0] has an unknown field 'exec'"),
    "camera of 4097 keys": (text_of(camera=[KEY | {"frame": i} for i in range(4097)]), "camera: 4097 keys"),
    "camera at a huge frame": (text_of(camera=[KEY | {"frame": 2**62}]), "camera key 1: frame"),
    "camera is NaN": (instead("camera", json.dumps([KEY]).replace("50.0", "NaN")), "camera[0].fov_deg must be float"),
    "mask of two numbers": (text_of(mask_at=[1, 2]), "mask_at must have 3 values"),
    "schema is text": (text_of(schema="1" * 10**6), "schema"),
    "schema of another time": (text_of(schema=10**9), "schema"),
    "5 MB of spaces": (text_of() + " " * (5 << 20), "too large"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "named"), REQUESTS.values(), ids=REQUESTS)
def test_a_hostile_request_is_refused_by_name(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "request.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(SkyloopError) as caught:
        store.load(str(tmp_path)).request()
    assert caught.value.kind is ErrorKind.BAD_REQUEST
    assert named in caught.value.line
    assert "\n" not in caught.value.line and len(caught.value.line) < 1000 and caught.value.line.isprintable()


POSIX: dict[str, str] = {
    "share": "//server/share/a.png",
    "share of Windows": "\\\\server\\share\\a.png",
    "share in mixed strokes": "/\\server/share",
    "device namespace": "\\\\.\\PhysicalDrive0",
    "long path prefix": "\\\\?\\UNC\\server\\share",
    "relative": "a.png",
    "parent": "../a.png",
    "drive": "C:\\a.png",
    "address": "http://127.0.0.1/a.png",
    "file address": "file:///etc/passwd",
    "device": "/dev/zero",
    "device by a detour": "/home/../dev/./zero",
    "terminal": "/dev/tty",
    "memory of a process": "/proc/self/mem",
    "kernel": "/sys/kernel/debug",
    "console": "/sky/CON",
    "null device with a suffix": "/sky/nul.png",
    "port": "/sky/com1",
    "port with a raised digit": "/sky/LPT¹.txt",
    "stream": "/sky/a.png::$DATA",
    "zero byte": "/sky/a.png\0.txt",
    "line end": "/sky/a\nb.png",
    "half a pair": "/sky/\udcff.png",
    "terminal codes": "/sky/\x1b]0;x\x07",
    "too long": "/" + "a" * MAX_PATH_CHARS,
}
WINDOWS: dict[str, str] = {
    "share": "\\\\server\\share\\a.png",
    "share in other strokes": "//server/share/a.png",
    "device namespace": "\\\\.\\COM1",
    "long path prefix": "\\\\?\\C:\\a.png",
    "volume": "\\\\?\\GLOBALROOT\\Device\\HarddiskVolume1",
    "relative": "sky\\a.png",
    "relative to a drive": "C:a.png",
    "relative to the current drive": "\\sky\\a.png",
    "console": "C:\\sky\\con",
    "folder that is a device": "C:\\aux\\a.png",
    "null device with a suffix": "C:\\sky\\NUL.png",
    "null device with spaces": "C:\\sky\\nul  .png",
    "port": "C:\\sky\\COM9.txt",
    "stream": "C:\\sky\\a.png:hidden",
    "stream of data": "C:\\sky\\a.png::$DATA",
    "zero byte": "C:\\sky\\a\0.png",
}
FINE_PATHS = {
    False: ["/home/me/sky.png", "/home/me/небо и 空.png", "/home/me/at 12:30:05.png", "/devices/a.png",
            "/aux/nullify.png", "/dev/shm/a.png", "/home/me/console.png", "/home/me/" + "a/" * 150 + "a.png"],
    True: ["C:\\Users\\me\\sky.png", "D:\\небо и 空.png", "C:/Users/me/sky.png", "C:\\console\\comet1.png",
           "Z:\\" + "a\\" * 150 + "a.png"],
}  # fmt: skip
CASES = [*((False, path) for path in POSIX.values()), *((True, path) for path in WINDOWS.values())]
IDS = [*(f"posix {name}" for name in POSIX), *(f"windows {name}" for name in WINDOWS)]


@pytest.mark.parametrize(("windows", "path"), CASES, ids=IDS)
def test_a_hostile_path_is_refused_by_its_form(windows: bool, path: str) -> None:
    problem = form_problem(path, windows=windows)
    assert problem and problem.isprintable() and len(problem) < 300


@pytest.mark.parametrize("windows", [False, True])
def test_paths_of_users_are_fine(windows: bool) -> None:
    assert [form_problem(path, windows=windows) for path in FINE_PATHS[windows]] == [""] * len(FINE_PATHS[windows])


@pytest.mark.parametrize("name", ["image", "source", "mask", "motion_mask"])
def test_every_file_of_a_request_is_judged_by_its_form(name: str) -> None:
    with pytest.raises(SkyloopError, match=f"^{name} .*another machine"):
        replace(FINE, **{name: "//server/share/a.png"}).validated()


@pytest.mark.skipif(os.name != "posix", reason="makes links and pipes")
def test_files_that_users_name_may_be_links_to_files_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    assert read_input(tmp_path / "link", 100) == b"content"
    with pytest.raises(SkyloopError, match="too large"):
        open_input(tmp_path / "link", 6)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "to a pipe").symlink_to("pipe")
    (tmp_path / "to a device").symlink_to("/dev/zero")
    for name in ("pipe", "to a pipe", "to a device", "gone", ".", "a\0b", "a" * 300):
        with pytest.raises(SkyloopError) as caught:
            open_input(tmp_path / name, 100)
        assert caught.value.kind is ErrorKind.BAD_REQUEST and "\n" not in caught.value.line


LINES: dict[str, str] = {
    "type twice": '{"type": "probe", "type": "shutdown"}',
    "job twice": '{"type": "generate", "job": "/a", "job": "/b"}',
    "nested": "[" * 100_000,
    "number": "1" + "0" * 5000,
    "type is a list": '{"type": ["generate"], "job": "/a"}',
    "job is a number": '{"type": "generate", "job": 1e400}',
    "job is NaN": '{"type": "generate", "job": NaN}',
    "more to say": '{"type": "probe", "exec": "x"}',
}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_a_hostile_line_is_refused(line: str) -> None:
    with pytest.raises(SkyloopError) as caught:
        Command.from_line(line)
    assert caught.value.kind is ErrorKind.BAD_REQUEST and "\n" not in caught.value.line
    assert len(caught.value.line) < 600


def test_numbers_of_json_are_what_they_say() -> None:
    assert parse_json('{"a": [1, -2, 1.5, true, null, "x"]}') == {"a": [1, -2, 1.5, True, None, "x"]}
    assert parse_json(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}  # as Windows editors save it
    assert parse_json(str(2**63)) == 2**63


def test_the_installers_log_keeps_no_passwords(tmp_path: Path) -> None:
    runner = child.Runner(tmp_path / "install.log")
    runner.note("$ pip download --proxy http://me:hunter2@proxy.example:3128 x")
    code = (
        "print('Looking in indexes: https://me:hunter2@index.example/simple'); print('via me:hunter2@proxy.example:80')"
    )
    assert runner.run([sys.executable, "-c", code]) == 0
    kept = (tmp_path / "install.log").read_text() + "\n".join(runner.tail)
    assert "hunter2" not in kept
    assert "proxy.example:3128" in kept and "index.example/simple" in kept


def test_libraries_are_offline_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        monkeypatch.delenv(name, raising=False)
        assert child.clean_environ()[name] == "1"
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert child.clean_environ()["HF_HUB_OFFLINE"] == "0"
