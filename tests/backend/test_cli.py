"""The command line as a user meets it: exit codes, one line for every error, and whole results only."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from backend import commands
from backend.commands.models import run_download
from backend.commands.parser import parse
from backend.commands.progress import bar
from backend.jobs import store

ROOT = Path(__file__).parents[2]
STUB = Path(__file__).with_name("stub_backend.py")


def backend(*arguments: str | Path, mode: str = "") -> subprocess.CompletedProcess[str]:
    """Run ``python3 -m backend``; with a ``mode``, the stub engine's."""
    program = [str(STUB), mode] if mode else ["-m", "backend"]
    return subprocess.run(
        [sys.executable, *program, *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def names_in(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir()} if folder.is_dir() else set()


RESULT = {"sky.mp4", "poster.png", "result.json"}
BAD_OPTIONS = {
    "empty prompt": ([""], "prompt is empty"),
    "blank prompt": (["  \t"], "prompt is empty"),
    "100 000 characters": (["x" * 100_000], "prompt has 100000 characters"),
    "frames 0": (["x", "--frames", "0"], "frames 0"),
    "frames text": (["x", "--frames", "many"], "--frames"),
    "frames 1e6": (["x", "--frames", "1000000"], "frames 1000000"),
    "size 0": (["x", "--size", "0x0"], "height 0"),
    "size 1e6": (["x", "--size", "1000000x500000"], "height 500000"),
    "size not 2:1": (["x", "--size", "512x512"], "twice as wide"),
    "size text": (["x", "--size", "large"], "'large' is not a size"),
    "size negative": (["x", "--size=-512x-256"], "is not a size"),
    "size too long": (["x", "--size", "9" * 5000 + "x1"], "is not a size"),
    "fps 0": (["x", "--fps", "0"], "fps 0"),
    "fps nan": (["x", "--fps", "nan"], "fps nan"),
    "seed text": (["x", "--seed", "lucky"], "--seed"),
    "seed negative": (["x", "--seed=-1"], "seed -1"),
    "seed endless": (["x", "--seed", "9" * 5000], "--seed"),
    "fov": (["x", "--fov", "180"], "fov 180"),
    "steps": (["x", "--steps", "100000"], "steps 100000"),
    "guidance": (["x", "--guidance", "inf"], "guidance inf"),
    "wrap of a sphere": (["x", "--wrap"], "wrap belongs to flat"),
    "unknown device": (["x", "--device", "abacus"], "device 'abacus'"),
    "unknown method": (["x", "--method", "magic"], "method 'magic'"),
    "unknown option": (["x", "--moon", "full"], "--moon"),
    "region without a prompt": (["x", "--region", "0,0,30"], "'0,0,30' is not a region, write it as YAW,PITCH,RADIUS="),
    "region of an empty prompt": (["x", "--region", "0,0,30= "], "region 1: its prompt is empty"),
    "region of two numbers": (["x", "--region", "0,30=moon"], "is not a region"),
    "region of words": (["x", "--region", "left,up,30=moon"], "is not a region"),
    "region out of range": (["x", "--region", "-30,95,30=moon"], "region 1: pitch 95: use -90 to 90"),
    "region nan": (["x", "--region", "*,nan,30=moon"], "region 1: pitch nan"),
    "regions of a flat panorama": (["x", "--flat", "--region", "0,0,30=moon"], "leave regions out"),
    "too many regions": (["x", *["--region", "0,0,9=y"] * 65], "65 of them, use at most 64"),
    "image that is not there": (["x", "--image", "nowhere.png"], "--image: 'nowhere.png' is not there"),
    "image without a name": (["x", "--image", ""], "--image: '' is not there"),
    "image with an endless name": (["x", "--image", "x" * 5000], "--image"),
    "image that is no picture": (["x", "--image", __file__], "test_cli.py is not a picture"),
    "place without an image": (["x", "--image-at", "-30,0,60"], "but no image"),
    "place of two numbers": (["x", "--image", __file__, "--image-at", "0,60"], "'0,60' is not three numbers"),
    "place too wide": (["x", "--image", __file__, "--image-at", "0,0,179"], "image_fov_deg 179: use 5 to 150"),
    "mask without a source": (["x", "--mask-at", "0,0,20"], "give that sky as the source"),
    "source without a mask": (["x", "--source", str(ROOT)], "source needs a mask"),
    "strength without a source": (["x", "--strength", "0.5"], "give that sky as the source"),
    "strength with a mask": (["x", "--source", str(ROOT), "--mask-at", "0,0,9", "--strength", "0.5"], "the mask out"),
    "no strength at all": (["x", "--source", str(ROOT), "--strength", "0"], "strength 0: use 0.05 to 1"),
    "source that is none": (["x", "--source", str(ROOT), "--mask-at", "0,0,20"], "has no sky.mp4 in it"),
    "motion": (["x", "--motion", "-1"], "motion -1: use 0 (still) to 2"),
    "motion mask that is not there": (["x", "--motion-mask", "nowhere.png"], "--motion-mask: 'nowhere.png' is not"),
    "camera that is not there": (["x", "--camera", "nowhere.json"], "nowhere.json is not there"),
    "camera that is no JSON": (["x", "--camera", __file__], "test_cli.py is not JSON"),
    "image by another method": (["x", "--method", "native", "--image", __file__], "takes no image: use skyloop"),
    "abbreviated option": (["x", "--neg", "y"], "--neg"),
    "two prompts": (["x", "y"], "unrecognized"),
}


@pytest.mark.parametrize(("arguments", "named"), BAD_OPTIONS.values(), ids=BAD_OPTIONS.keys())
def test_a_bad_option_is_one_clear_line_and_makes_nothing(tmp_path: Path, arguments: list[str], named: str) -> None:
    out = tmp_path / "out"
    done = backend("generate", *arguments, "--out", out, mode="ok")
    assert done.returncode == 2
    assert done.stdout == ""
    line = done.stderr.removeprefix("skyloop: Starting the engine\n")  # it takes the engine to look into a file
    assert line.count("\n") == 1, done.stderr
    assert line.startswith("skyloop: ")
    assert named in line
    assert len(line) < 400
    assert not out.exists()


CAMERAS = {
    "no list": ("{}", "camera must be a list"),
    "no object": ("[1]", "camera[0] must be a JSON object"),
    "no direction": ('[{"frame": 0}]', "camera[0].yaw_deg is missing"),
    "a word": ('[{"frame": 0, "yaw_deg": "left", "pitch_deg": 0, "fov_deg": 50}]', "camera[0].yaw_deg must be float"),
    "NaN": ('[{"frame": 0, "yaw_deg": NaN, "pitch_deg": 0, "fov_deg": 50}]', "camera[0].yaw_deg must be float"),
    "too wide": ('[{"frame": 0, "yaw_deg": 0, "pitch_deg": 0, "fov_deg": 180}]', "camera key 1: fov 180"),
    "nested": ("[" * 100_000, "is not JSON"),
}


@pytest.mark.parametrize(("text", "named"), CAMERAS.values(), ids=CAMERAS.keys())
def test_a_camera_file_that_makes_no_sense_is_refused_in_one_line(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "camera.json").write_text(text, encoding="utf-8")
    done = backend("generate", "x", "--camera", tmp_path / "camera.json", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    assert named in done.stderr
    assert not (tmp_path / "out").exists()


def test_steering_options_become_the_request(tmp_path: Path) -> None:
    camera = [{"frame": 0, "yaw_deg": -10, "pitch_deg": 5, "fov_deg": 50}]
    (tmp_path / "camera.json").write_text(json.dumps(camera), encoding="utf-8")
    done = backend(
        "generate", "x", "--out", tmp_path / "out", "--motion", "0.5", "--camera", tmp_path / "camera.json",
        "--region", "-30,-.5,20=E = mc² 🌌", "--region=*,90,30=stars", "--region", "-1,0,5=full moon", mode="ok",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    request = json.loads((tmp_path / "out" / "request.json").read_text(encoding="utf-8"))
    assert request["regions"] == [
        {"yaw_deg": -30.0, "pitch_deg": -0.5, "radius_deg": 20.0, "prompt": "E = mc² 🌌"},
        {"yaw_deg": None, "pitch_deg": 90.0, "radius_deg": 30.0, "prompt": "stars"},
        {"yaw_deg": -1.0, "pitch_deg": 0.0, "radius_deg": 5.0, "prompt": "full moon"},
    ]
    assert request["motion"] == 0.5
    assert request["camera"][0] == camera[0] | {"aspect": 16 / 9, "roll_deg": 0.0}


def test_files_are_found_from_where_the_command_runs(tmp_path: Path) -> None:
    import cv2
    import numpy as np

    cv2.imwrite(str(tmp_path / "still.png"), np.full((64, 128, 3), 99, np.uint8))
    done = subprocess.run(
        [sys.executable, str(STUB), "ok", "generate", "x", "--out", "out", "--image", "still.png",
         "--image-at", "-30,10,60", "--motion-mask", "still.png"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    request = json.loads((tmp_path / "out" / "request.json").read_text(encoding="utf-8"))
    assert request["image"] == request["motion_mask"] == str(tmp_path / "still.png")
    assert [request[f"image_{n}_deg"] for n in ("yaw", "pitch", "fov")] == [-30, 10, 60]


def test_an_edit_has_the_size_and_length_of_its_source(tmp_path: Path) -> None:
    import numpy as np

    from backend.media.video import VideoWriter
    from backend.protocol import GenerateRequest

    earlier = GenerateRequest(prompt="dawn", width=256, height=128, frames=3, fps=12.0, loop=False)
    folder = store.create(tmp_path / "dawn", earlier).path
    with VideoWriter(folder / "sky.mp4", 256, 128, 12.0) as video:
        for _ in range(3):
            video.write(np.zeros((128, 256, 3), np.uint8))
    for source in (folder, folder / "sky.mp4"):
        edit = ["generate", "a moon", "--source", source, "--mask-at", "-90,20,25", "--out", tmp_path / "out"]
        done = backend(*edit, mode="ok")
        assert done.returncode == 0, done.stderr
        request = json.loads((tmp_path / "out" / "request.json").read_text(encoding="utf-8"))
        assert request["source"] == str(source)
        assert request["mask_at"] == [-90, 20, 25]
        assert [request[n] for n in ("width", "height", "frames", "fps", "loop")] == [256, 128, 3, 12.0, False]
        for option, named in (("--frames=8", "has frames 3, the request 8"), ("--loop", "has loop False")):
            done = backend(*edit, option, mode="ok")
            assert done.returncode == 2
            assert done.stderr.count("\n") == 2, done.stderr  # the engine starts, and the reason
            assert named in done.stderr


def test_an_unknown_model_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    done = backend("generate", "x", "--model", "sora", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    assert "'sora'" in done.stderr
    assert "builtin" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_model_that_is_not_here_is_refused_at_once_with_the_command_that_gets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the private runtime is made, which this home lacks."""
    monkeypatch.setenv("SKYLOOP_HOME", str(tmp_path / "home"))
    done = backend("generate", "x", "--model", "ltx-2b", "--out", tmp_path / "out")
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    advised = re.search(r"Get it with: python3 -m backend (models download [\w.-]+)(?= )", done.stderr)
    assert advised, done.stderr
    assert not list(tmp_path.iterdir())
    options = parse(advised[1].split())
    assert options.run is run_download and options.id == "ltx-2b"


def _refused_folder(out: Path) -> str:
    done = backend("generate", "x", "--out", out)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_an_output_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine", encoding="utf-8")
    for out in (file, file / "below"):
        assert f"{file} is a file" in _refused_folder(out)
    assert file.read_text(encoding="utf-8") == "mine"


def test_an_output_folder_with_an_impossible_name_is_refused(tmp_path: Path) -> None:
    assert "cannot be used" in _refused_folder(tmp_path / ("x" * 5000))


@contextmanager
def ordinary_user(folder: Path) -> Iterator[None]:
    """Root may write anywhere: be nobody for a while, and let nobody reach ``folder``."""
    if os.getuid() != 0:
        yield
        return
    for reachable in (folder, *folder.parents[:2]):
        reachable.chmod(0o755)
    os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@pytest.mark.skipif(not hasattr(os, "setresuid"), reason="needs Linux permissions")
@pytest.mark.parametrize(("mode", "below"), [(0o555, "out"), (0o000, "out/deeper")], ids=["unwritable", "unreadable"])
def test_an_output_folder_without_permission_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], mode: int, below: str
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # pytest's own handlers stay
    monkeypatch.setenv("SKYLOOP_HOME", str(tmp_path / "home"))  # root's own is closed to nobody
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(mode)
    try:
        with ordinary_user(tmp_path):
            assert commands.main(["generate", "x", "--out", str(locked / below)]) == 2
    finally:
        locked.chmod(0o755)
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert str(locked) in message
    assert names_in(locked) == set()


def test_a_full_disk_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(store.shutil, "disk_usage", lambda path: usage(1, 1, 1_000_000))
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # pytest's own handlers stay
    assert commands.main(["generate", "x", "--out", str(tmp_path / "out")]) == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "1 MB of free space" in message
    assert not (tmp_path / "out").exists()


def test_a_disk_that_fills_up_leaves_no_result(tmp_path: Path) -> None:
    done = backend("generate", "x", "--out", tmp_path, mode="full")
    assert done.returncode == 1
    assert "disk is full" in done.stderr.splitlines()[-1]
    assert not RESULT & names_in(tmp_path)


@pytest.mark.parametrize("prompt", ["🌌🌠", "星空と海", "a\nb", "-- not an option"])
def test_any_text_is_a_prompt(tmp_path: Path, prompt: str) -> None:
    done = backend("generate", "--out", tmp_path, "--seed", "5", "--", prompt, mode="ok")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "request.json").read_text(encoding="utf-8"))["prompt"] == prompt
    assert names_in(tmp_path) >= RESULT


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="arguments there are always Unicode")
def test_a_prompt_that_is_no_text_is_refused(tmp_path: Path) -> None:
    command = [sys.executable.encode(), b"-m", b"backend", b"generate", b"caf\xe9", b"--out", os.fsencode(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, env=os.environ | {"PYTHONUTF8": "1"})
    assert done.returncode == 2
    assert b"not valid Unicode" in done.stderr


def test_progress_is_a_line_a_phase_and_stdout_is_the_result(tmp_path: Path) -> None:
    done = backend("generate", "x", "--out", tmp_path, "--seed", "5", mode="ok")
    assert done.returncode == 0
    assert done.stdout == f"{tmp_path / 'sky.mp4'}\n"
    assert done.stderr.splitlines() == ["skyloop: Starting the engine", "skyloop: Denoise: 4 steps"]
    assert "\r" not in done.stderr


def test_a_seed_that_was_not_given_is_printed_and_recorded(tmp_path: Path) -> None:
    seeds = set()
    for name in "ab":
        done = backend("generate", "x", "--out", tmp_path / name, mode="ok")
        seed = json.loads((tmp_path / name / "result.json").read_text(encoding="utf-8"))["request"]["seed"]
        assert f"skyloop: Seed {seed}" in done.stderr.splitlines()
        seeds.add(seed)
    assert len(seeds) == 2


def test_json_is_one_document_and_nothing_else(tmp_path: Path) -> None:
    done = backend("generate", "x", "--out", tmp_path, "--seed", "5", "--json", mode="ok")
    document = json.loads(done.stdout, parse_constant=pytest.fail)  # NaN is no JSON
    assert document["request"]["seed"] == 5
    assert document["figures"] == {"seam": None}


@pytest.mark.parametrize(
    ("arguments", "code", "kind"),
    [(["--frames", "0"], 2, "bad_request"), (["--bogus"], 2, "bad_request"), ([], 1, "internal")],
)
def test_with_json_a_failure_is_a_document_too(tmp_path: Path, arguments: list[str], code: int, kind: str) -> None:
    done = backend("generate", "x", "--out", tmp_path, "--json", *arguments, mode="crash")
    assert done.returncode == code
    error = json.loads(done.stdout)["error"]
    assert error["kind"] == kind
    assert set(error) == {"kind", "message", "hint", "log"}
    assert error["message"] not in done.stderr


def test_a_runtime_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    done = backend("generate", "x", "--out", tmp_path / "out", mode="offline")
    assert (done.returncode, done.stderr) == (1, "skyloop: The packages cannot be downloaded. Check the connection.\n")
    done = backend("generate", "x", "--out", tmp_path / "out", "--json", mode="offline")
    assert json.loads(done.stdout)["error"]["kind"] == "internal"
    assert not (tmp_path / "out").exists()


def test_a_failure_names_its_log_and_keeps_the_earlier_result(tmp_path: Path) -> None:
    backend("generate", "first", "--out", tmp_path, mode="ok")
    before = {name: (tmp_path / name).read_bytes() for name in RESULT}
    done = backend("generate", "second", "--out", tmp_path, mode="crash")
    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]
    assert line.startswith("skyloop: ")
    assert "Traceback" not in done.stderr
    assert "ZeroDivisionError" in Path(line.split(" Log: ")[1]).read_text(encoding="utf-8")
    assert {name: (tmp_path / name).read_bytes() for name in RESULT} == before


def test_a_repeated_command_replaces_the_result(tmp_path: Path) -> None:
    for prompt in ("first", "second"):
        assert backend("generate", prompt, "--out", tmp_path, mode="ok").returncode == 0
    assert (tmp_path / "sky.mp4").read_text(encoding="utf-8") == "sky.mp4 of second"
    assert json.loads((tmp_path / "request.json").read_text(encoding="utf-8"))["prompt"] == "second"


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_so_and_leaves_the_earlier_result(tmp_path: Path, number: signal.Signals) -> None:
    backend("generate", "first", "--out", tmp_path, mode="ok")
    before = names_in(tmp_path)
    with subprocess.Popen(
        [sys.executable, str(STUB), "slow", "generate", "second", "--out", str(tmp_path)],
        stderr=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        assert child.stderr is not None
        while "Denoise" not in child.stderr.readline():
            pass
        time.sleep(0.1)
        child.send_signal(number)
        assert child.wait(30) == 130
        assert child.stderr.read().splitlines() == ["skyloop: Cancelled."]
    assert names_in(tmp_path) == before
    assert (tmp_path / "sky.mp4").read_text(encoding="utf-8") == "sky.mp4 of first"


def interrupted(monkeypatch: pytest.MonkeyPatch, out: Path, *arguments: str, number: int = signal.SIGINT) -> list[str]:
    """Let ``generate`` run until it has a checkpoint, then send it a signal; returns the last lines on stderr."""
    monkeypatch.setenv("STUB_CHECKPOINTS", "1")
    with subprocess.Popen(
        [sys.executable, str(STUB), "slow", "generate", *arguments, "--out", str(out)],
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        end_s = time.monotonic() + 30
        while not list(out.glob(".skyloop-*/checkpoint/steps.safetensors")) and time.monotonic() < end_s:
            time.sleep(0.01)
        child.send_signal(number)
        assert child.wait(30) in (130, -number)
        assert child.stderr is not None
        return child.stderr.read().splitlines()


def _seed(lines: list[str]) -> int:
    return next(int(line.removeprefix("skyloop: Seed ")) for line in lines if line.startswith("skyloop: Seed "))


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_same_command_goes_on_with_what_was_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    backend("generate", "first", "--out", tmp_path, mode="ok")
    lines = interrupted(monkeypatch, tmp_path, "second", number=number)
    if number != signal.SIGKILL:
        assert lines[-1] == "skyloop: Cancelled. The same command goes on from here."
    assert (tmp_path / "sky.mp4").read_text(encoding="utf-8") == "sky.mp4 of first"
    done = backend("generate", "second", "--out", tmp_path, "--json", mode="ok")
    assert done.returncode == 0, done.stderr
    assert f"skyloop: Going on with the sky that was interrupted, seed {_seed(lines)}" in done.stderr.splitlines()
    result = json.loads(done.stdout)
    assert result["request"]["seed"] == _seed(lines)
    assert result["evaluations"] == 2  # of 4
    assert names_in(tmp_path) - {"closed"} == set(store.OUTPUTS) - {"light.json"}  # the stub looks at no film
    done = backend("generate", "second", "--out", tmp_path, "--json", mode="ok")  # once more is another sky
    assert json.loads(done.stdout)["request"]["seed"] != _seed(lines)
    assert "Going on" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_another_command_leaves_what_was_interrupted_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(monkeypatch, tmp_path, "x", "--seed", "5", "--frames", "8")
    for other in (["x", "--seed", "6", "--frames", "8"], ["x", "--seed", "5"], ["y", "--frames", "8"]):
        done = backend("generate", *other, "--out", tmp_path, "--json", mode="ok")
        assert "Going on" not in done.stderr
        assert json.loads(done.stdout)["evaluations"] == 4
    done = backend("generate", "x", "--frames", "8", "--out", tmp_path, "--json", mode="ok")
    assert "skyloop: Going on with the sky that was interrupted, seed 5" in done.stderr.splitlines()
    assert json.loads(done.stdout)["evaluations"] == 2


def test_a_failed_run_goes_on_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUB_CHECKPOINTS", "1")
    done = backend("generate", "x", "--out", tmp_path, mode="full")
    assert done.returncode == 1
    assert "The same command goes on from here. With another --seed it begins anew. Log:" in done.stderr
    assert "No space left" in Path(done.stderr.split(" Log: ")[1].strip()).read_text(encoding="utf-8")
    done = backend("generate", "x", "--out", tmp_path, "--json", mode="ok")
    assert json.loads(done.stdout)["evaluations"] == 2
    assert not (tmp_path / "failed.log.txt").exists()


@pytest.mark.parametrize("moved", [False, True], ids=["not yet", "in part"])
def test_a_sky_that_was_made_but_not_moved_is_not_made_again(tmp_path: Path, moved: bool) -> None:
    from backend.protocol import GenerateRequest

    job = store.create(tmp_path / ".skyloop-0", GenerateRequest(prompt="x", seed=5))
    for name in ("sky.mp4", "poster.png"):
        (job.path / name).write_text("whole", encoding="utf-8")
    (job.path / "result.json").write_text(json.dumps({"request": job.request().to_json()}), encoding="utf-8")
    if moved:
        plan = {"move": ["sky.mp4", "poster.png", "request.json", "result.json"], "remove": []}
        (job.path / "publish.json").write_text(json.dumps(plan), encoding="utf-8")
        for name in ("sky.mp4", "request.json"):
            (job.path / name).rename(tmp_path / name)
    done = backend("generate", "x", "--out", tmp_path, mode="crash")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'sky.mp4'}\n"
    assert names_in(tmp_path) == RESULT | {"request.json"}
    assert (tmp_path / "sky.mp4").read_text(encoding="utf-8") == "whole"
    assert not list(tmp_path.glob(".skyloop*"))


@pytest.mark.skipif(os.name == "nt", reason="terminals of POSIX")
def test_on_a_terminal_there_is_a_bar(tmp_path: Path) -> None:
    import pty

    controller, terminal = pty.openpty()
    command = [sys.executable, str(STUB), "ok", "generate", "x", "--out", str(tmp_path)]
    with subprocess.Popen(command, stderr=terminal, stdout=subprocess.DEVNULL) as child:
        os.close(terminal)
        shown = b""
        while chunk := _read(controller):
            shown += chunk
        os.close(controller)
        assert child.wait(30) == 0
    assert f"{'Denoise':<27} {'·' * 28}   0 %" in shown.decode()
    last = shown.decode().rstrip().split("\r\x1b[K")[-1]
    assert last.startswith("Denoise")
    assert f"{'█' * 28} 100 %" in last


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:  # how Linux says that the other end of a terminal is closed
        return b""


@pytest.mark.parametrize(
    ("done", "total", "shown"),
    [
        (0, 10, f"{'·' * 28}   0 %"),
        (5, 10, f"{'█' * 14}{'·' * 14}  50 %  1:05 left"),
        (10, 10, f"{'█' * 28} 100 %  65.0 s"),
        (0, 0, f"{'█' * 28} 100 %  65.0 s"),
    ],
)
def test_the_bar_shows_the_share_and_the_time_left(done: int, total: int, shown: str) -> None:
    assert bar("refine 1", done, total, 65.0) == f"{'Refine 1':<27} {shown}"


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda path: None, "is not there"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.mkdir(), "is not there"),
        pytest.param(
            lambda path: os.mkfifo(path), "is no file", marks=pytest.mark.skipif(os.name != "posix", reason="")
        ),
    ],
    ids=["missing", "empty", "folder without a video", "pipe"],
)
def test_evaluate_refuses_what_is_no_file(tmp_path: Path, make: Callable[[Path], object], named: str) -> None:
    path = tmp_path / "video.mp4"
    make(path)
    done = backend("evaluate", path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    assert named in done.stderr


BAD_EVALUATIONS = {
    "nothing": ([], "nothing to evaluate"),
    "suite without a folder": (["--suite"], "needs a folder"),
    "suite of a video": (["sky.mp4", "--suite", "--out", "{out}"], "makes its own skies"),
    "option of the suite": (["sky.mp4", "--workers", "2"], "--workers belongs to --suite"),
    "report of no suite": (["sky.mp4", "--report-only"], "--report-only belongs to --suite"),
    "unknown method": (["--suite", "--out", "{out}", "--methods", "skyloop,magic"], "method 'magic'"),
    "steps text": (["--suite", "--out", "{out}", "--steps", "8,many"], "are no whole numbers"),
    "steps": (["--suite", "--out", "{out}", "--steps", "8,1000"], "steps 1000"),
    "no seeds": (["--suite", "--out", "{out}", "--seeds", "0"], "seeds 0"),
    "no workers": (["--suite", "--out", "{out}", "--workers", "0"], "workers 0"),
    "no minutes": (["--suite", "--out", "{out}", "--minutes", "0"], "minutes 0"),
    "size": (["--suite", "--out", "{out}", "--size", "512x512"], "twice as wide"),
    "report on nothing": (["--suite", "--out", "{out}", "--report-only"], "has no skies"),
    "missing prompts": (["--suite", "--out", "{out}", "--prompts", "{out}/none.txt"], "none.txt is not there"),
    "folder in a file": (["--suite", "--out", __file__ + "/below"], "is a file"),
}


@pytest.mark.parametrize(("arguments", "named"), BAD_EVALUATIONS.values(), ids=BAD_EVALUATIONS.keys())
def test_an_evaluation_that_cannot_be_is_one_clear_line(tmp_path: Path, arguments: list[str], named: str) -> None:
    out = tmp_path / "out"
    done = backend("evaluate", *(argument.format(out=out) for argument in arguments))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("skyloop: ")
    assert named in done.stderr
    assert not out.exists()


@pytest.mark.parametrize(
    "arguments", [[], ["paint"], ["models"], ["models", "download"], ["serve", "--port", "x"], ["bake"]]
)
def test_what_does_not_exist_is_refused_in_one_line(arguments: list[str]) -> None:
    done = backend(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("skyloop: ")
    assert done.stderr.count("\n") == 1, done.stderr


@pytest.mark.parametrize("command", [[], ["generate"], ["evaluate"], ["models"], ["stdio"], ["serve"]])
def test_help_needs_none_of_the_runtime(command: list[str]) -> None:
    code = (
        "import sys, runpy; sys.argv = ['backend', *sys.argv[1:]]\n"
        "try: runpy.run_module('backend', run_name='__main__')\n"
        "except SystemExit as end: print(end.code, sorted({'torch', 'numpy', 'cv2', 'av'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.startswith("usage: ")
    assert done.stdout.endswith("0 []\n")


def test_models_list_tells_what_there_is() -> None:
    models = json.loads(backend("models", "list", "--json").stdout)
    assert "builtin" in {model["id"] for model in models}
    assert next(model["fits"] for model in models if model["id"] == "builtin") == "whole"
    table = backend("models", "list").stdout
    assert all(str(model["id"]) in table for model in models)
