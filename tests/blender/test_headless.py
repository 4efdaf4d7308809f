"""The headless main job with a real Blender and a fake backend: what it leaves behind, done, failed or cancelled."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from backend import runtime

from .conftest import FRAMES, LANDMARKS, Blender
from .test_world import close

pytestmark = pytest.mark.once

HERE = Path(__file__).parent
MAIN = (
    "import importlib, sys; from blender_addon.__main__ import load_package; load_package();"
    "main = importlib.import_module('skyloop.blender_addon.headless').main;"
    "sys.exit(main(sys.argv[4:], backend_command=[sys.executable, *sys.argv[1:4]]))"
)


@pytest.fixture
def start(repository: Path, blender: Blender, tmp_path: Path):
    """Start ``python -m blender_addon`` with the fake backend in some mode; the output folder is ``tmp_path/out``."""

    def start(mode: str, *options: str) -> subprocess.Popen[str]:
        arguments = ["northern lights", "--out", str(tmp_path / "out"), "--size", "256x128", *options]
        chosen = ["--blender", str(blender.python)]
        command = [sys.executable, "-c", MAIN, str(HERE / "fake_backend.py"), mode, str(blender.film)]
        env = os.environ | {"PYTHONPATH": str(repository), "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.Popen(
            [*command, *arguments, *chosen],
            cwd=tmp_path,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def test_a_prompt_becomes_a_scene(start, blender: Blender, tmp_path: Path) -> None:
    process = start("ok", "--front", "90", "--seed", "5", "--json")
    out, progress = process.communicate(timeout=180)
    assert process.returncode == 0, progress
    made = tmp_path / "out"
    assert {f.name for f in made.iterdir()} == {"sky.mp4", "poster.png", "scene.blend", "preview.png", "result.json"}
    result = json.loads(out)
    assert result == json.loads((made / "result.json").read_text(encoding="utf-8"))
    assert result["request"]["prompt"] == "northern lights" and result["request"]["seed"] == 5
    assert (made / "sky.mp4").read_bytes() == (blender.film / "sky.mp4").read_bytes()
    assert "Rendering a preview" in progress and "Denoise" in progress
    moved = made.rename(tmp_path / "moved")
    scene = blender.ask("describe", blend=moved / "scene.blend", picture=moved / "preview.png")
    assert scene["range"] == [1, FRAMES] and scene["fps"] == 8.0
    assert scene["job"] == str(made) and scene["world"] == "Skyloop: northern lights"
    assert scene["looks_at_deg"] == 90.0 and scene["eye_height"] == pytest.approx(1.7)
    assert scene["size"] == [640, 360] and close(scene["centre"], LANDMARKS[0.0])


def test_the_real_engine_ends_as_a_scene_that_plays(blender: Blender, repository: Path, tmp_path: Path) -> None:
    """Though the process that computes is killed in the middle, where that can be done."""
    about = runtime.status("backend")
    if not about["ready"]:
        pytest.skip("no private runtime: python3 -m tests makes it")
    small = ["--size", "256x128", "--frames", "4", "--steps", "2", "--fov", "110", "--seed", "3"]
    request = ["storm over the sea", *small]
    places = ["--out", str(tmp_path), "--blender", str(blender.python)]
    command = [sys.executable, "-m", "blender_addon", *request, *places]
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen(command, cwd=repository, env=env, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    said = ""
    for line in process.stderr:
        said += line
        if "Composing" in line and Path("/proc").is_dir():
            assert [os.kill(pid, signal.SIGKILL) for pid in _descendants(process.pid) if _runs_backend(pid)]
            break
    said += process.communicate(timeout=600)[1]
    assert process.returncode == 0, said
    assert "Starting again after" in said or not Path("/proc").is_dir()
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert result["request"]["seed"] == 3 and {"seam", "loop"} <= set(result["figures"])
    shots = [[frame, yaw, pitch] for frame in (1, 3, 5) for yaw, pitch in ((0, 0), (120, 40), (-120, 20), (60, -30))]
    seen = np.array(blender.ask("render_saved", blend=tmp_path / "scene.blend", shots=shots)).reshape(3, -1)
    first, middle, again = seen
    assert np.abs(first - again).max() <= 1, "frame 1 and 1 + N are the same movie frame"
    assert np.abs(first - middle).max() > 1, "the sky stands still"
    assert seen.std() > 4, "the sky is one flat colour"


def test_a_crash_is_one_line_with_the_log(start, tmp_path: Path) -> None:
    process = start("crash")
    out, progress = process.communicate(timeout=120)
    assert process.returncode == 1 and out == ""
    last = progress.strip().splitlines()[-1]
    assert "stopped unexpectedly" in last and str(tmp_path / "out" / "failed.log.txt") in last
    assert [f.name for f in (tmp_path / "out").iterdir()] == ["failed.log.txt"]
    assert "model file is damaged" in (tmp_path / "out" / "failed.log.txt").read_text(encoding="utf-8")


def test_the_same_command_goes_on_with_what_failed(start, blender: Blender, tmp_path: Path) -> None:
    first = start("full")
    progress = first.communicate(timeout=120)[1]
    assert first.returncode == 1 and "The disk is full. Free some space. The same command goes on from here" in progress
    (stage,) = (tmp_path / "out").glob(".skyloop-*")
    seed = json.loads((stage / "request.json").read_text(encoding="utf-8"))["seed"]
    again = start("ok+keep")
    assert again.wait(timeout=180) == 0
    made = tmp_path / "out"
    assert {f.name for f in made.iterdir()} == {"sky.mp4", "poster.png", "scene.blend", "preview.png", "result.json"}
    result = json.loads((made / "result.json").read_text(encoding="utf-8"))
    assert result["begun_at_step"] == 2 and result["request"]["seed"] == seed


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_a_killed_command_leaves_no_process_and_can_go_on(start, blender: Blender, tmp_path: Path) -> None:
    process = start("slow+keep")
    for line in process.stderr:
        if "Denoise" in line:
            break
    deadline = time.monotonic() + 30
    while not any(kept.read_text() not in ("", "0") for kept in tmp_path.rglob("1.safetensors")):
        assert time.monotonic() < deadline, "no checkpoint was written"
        time.sleep(0.05)
    process.kill()
    process.communicate(timeout=60)
    deadline = time.monotonic() + 30
    while children := _processes_with(str(tmp_path)) + _processes_with(f"fake_backend.py slow+keep {blender.film}"):
        assert time.monotonic() < deadline, children
        time.sleep(0.1)
    assert start("ok+keep").wait(timeout=180) == 0
    assert json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))["begun_at_step"] > 0


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_cancelling_leaves_nothing(start, blender: Blender, tmp_path: Path) -> None:
    process = start("slow")
    for line in process.stderr:
        if "Denoise" in line:
            break
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and "Cancelled" in rest
    assert not (tmp_path / "out").exists()
    deadline = time.monotonic() + 5
    while children := _processes_with(f"fake_backend.py slow {blender.film}"):
        assert time.monotonic() < deadline, children
        time.sleep(0.1)


def test_a_later_run_replaces_the_results(start, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    for seed in ("1", "2"):
        assert start("ok", "--seed", seed).wait(timeout=180) == 0
    result = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    assert result["request"]["seed"] == 2
    assert (tmp_path / "out" / "mine.txt").read_text() == "keep"


def _descendants(pid: int) -> list[int]:
    found = [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]
    return found + [below for child in found for below in _descendants(child)]


def _runs_backend(pid: int) -> bool:
    return b"backend\0stdio" in Path(f"/proc/{pid}/cmdline").read_bytes()


def _processes_with(text: str) -> list[str]:
    """Command lines of living processes that name ``text``."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in line:
            found.append(line)
    return found
