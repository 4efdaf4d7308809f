"""A machine for the installer to work on: a fake Python with venv and pip, and a package index of two tiny wheels.

Standard library only: Blender's Python plays with it too.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sys
import threading
import time
import zipfile
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

# Plays `python -m venv`, `python -m pip`, the self-test and the probe. FAKE_DIR/fail-STEP holds what it prints before
# it fails at STEP, FAKE_DIR/hang-STEP makes it stay there while it exists, FAKE_DIR/calls counts the steps.
FAKE_PYTHON = r"""#!@PYTHON@ -IS
import json, os, pathlib, shutil, sys, time, zipfile
words, fake = sys.argv[1:], pathlib.Path(os.environ["FAKE_DIR"])
env = pathlib.Path(sys.argv[0]).parents[1]

def step(name):
    with (fake / "calls").open("a") as calls:
        calls.write(name + "\n")
    if (fake / ("hang-" + name)).exists():
        print("hanging", os.getpid(), flush=True)
        end = time.monotonic() + 60
        while (fake / ("hang-" + name)).exists() and time.monotonic() < end:
            time.sleep(0.02)
    if (fake / ("fail-" + name)).exists():
        print((fake / ("fail-" + name)).read_text(), flush=True)
        sys.exit(1)

if "venv" in words:
    folder = pathlib.Path(next(word for word in reversed(words) if not word.startswith("--")))
    (folder / "bin").mkdir(parents=True, exist_ok=True)
    shutil.copy(sys.argv[0], folder / "bin" / "python")
    pip = folder / "lib" / "python3.11" / "site-packages" / "pip-26.3.dist-info"
    pip.mkdir(parents=True, exist_ok=True)
    (pip / "RECORD").write_text("pip-26.3.dist-info/RECORD,,\n")
    step("venv")
elif "--report" in words:
    step("plan")
    print("Collecting thing", flush=True)
    pathlib.Path(words[words.index("--report") + 1]).write_text((fake / "report.json").read_text())
elif "--no-index" in words:
    target = env / "lib" / "python3.11" / "site-packages"
    target.mkdir(parents=True, exist_ok=True)
    for word in words:
        if word.endswith(".whl"):
            zipfile.ZipFile(word).extractall(target)
            step("install")
elif "download" in words:
    step("pip-download")
    folder = pathlib.Path(words[words.index("-d") + 1])
    shutil.copy(fake / "wheels" / (words[-1].replace("==", "-") + "-py3-none-any.whl"), folder)
elif any(word.endswith("selftest.py") for word in words):
    step("self-test")
    print("SELFTEST " + json.dumps({"torch": "2.13.0+cpu", "accelerators": [{"id": "cpu"}], "notes": [], "failed": {},
                                    "versions": {"torch": "2.13.0+cpu"}}))
elif "-c" in words:
    print("3 11 1", sys.argv[0])
elif "echo" in words:
    print(json.dumps(words), os.environ.get("PYTHONPATH"))
"""


class Index:
    """A package index of two wheels. ``log`` has every GET with its Range.

    ``cut`` bytes are sent of the next body; ``stall`` bytes, and then nothing until it is 0 again.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self.folder, self.log, self.cut, self.ranges, self.gone, self.stall = folder, [], 0, True, False, 0
        folder.mkdir()
        for name, length in (("torch-2.13.0", size), ("thing-1.0", 1000)):
            data, inner, info = os.urandom(length), f"{name.split('-')[0]}/data.bin", f"{name}.dist-info/RECORD"
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            with zipfile.ZipFile(folder / f"{name}-py3-none-any.whl", "w") as wheel:
                wheel.writestr(inner, data)
                wheel.writestr(info, f"{inner},sha256={digest},{length}\n{info},,\n")
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def report(self) -> dict[str, Any]:
        items = []
        for file in sorted(self.folder.iterdir(), reverse=True):
            name, version = file.name.split("-")[:2]
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            download = {"url": f"{self.url}/{file.name}", "archive_info": {"hashes": {"sha256": digest}}}
            items.append({"metadata": {"name": name, "version": version}, "download_info": download})
        return {"install": items}


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, index: Index, *rest: Any) -> None:
        self.index = index
        super().__init__(*rest)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        data = (self.index.folder / self.path.strip("/")).read_bytes()
        start = 0
        if body:
            asked = self.headers.get("Range", "")
            self.index.log.append((self.path.strip("/"), asked))
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.index.ranges else 0
        if self.index.gone or start >= len(data):
            self.send_error(404 if self.index.gone else 416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if body:
            cut, self.index.cut = self.index.cut, 0
            cut = cut or self.index.stall
            self.wfile.write(data[start : start + cut] if cut else data[start:])
            self.wfile.flush()
            end = time.monotonic() + 20
            while self.index.stall and time.monotonic() < end:
                time.sleep(0.02)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Machine:
    """One Python, an index with a file of ``size`` bytes, and a home folder with spaces and other letters in its name.

    ``FAKE_DIR`` in the environment must be ``fake`` for that Python to work.
    """

    def __init__(self, folder: Path, size: int = 300_000) -> None:
        self.home = folder / "Größe небо 世界 (test)"
        self.fake = folder / "fake"
        self.fake.mkdir(parents=True)
        self.index = Index(self.fake / "wheels", size)
        (self.fake / "report.json").write_text(json.dumps(self.index.report()))
        self.python = folder / "bin" / "python3.11"
        self.python.parent.mkdir()
        self.python.write_text(FAKE_PYTHON.replace("@PYTHON@", os.path.realpath(sys.executable)))
        self.python.chmod(0o755)

    def calls(self) -> list[str]:
        """The steps that the Python was asked for."""
        calls = self.fake / "calls"
        return calls.read_text().split() if calls.exists() else []

    def arrange(self, what: str, text: str = "") -> Path:
        (self.fake / what).write_text(text)
        return self.fake / what

    def fetched(self) -> list[str]:
        """The files that were asked of the index, each time it was."""
        return [name.split("-")[0] for name, _ in self.index.log]

    def close(self) -> None:
        self.index.server.shutdown()
        self.index.server.server_close()
