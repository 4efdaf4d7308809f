"""A sky is made without asking the network for anything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from backend.runtime.child import clean_environ

ROOT = Path(__file__).parents[2]
# An audit hook sees every connection and look-up that Python code makes, and cannot be taken out again.
CODE = """
import sys

def forbid(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "urllib.Request"):
        print("NETWORK", event, args[1:], flush=True)
        raise OSError("the network is out of bounds")

sys.addaudithook(forbid)
import socket
from pathlib import Path
try:
    socket.create_connection(("127.0.0.1", 9), 1)
except OSError as error:
    print("guarded" if "out of bounds" in str(error) else error)
import torch
torch.set_num_threads(1)
from backend.jobs import runner, store
from backend.pipeline import generate
from backend.protocol import GenerateRequest
request = GenerateRequest(prompt="clouds", width=256, height=128, frames=2, loop=False, steps=1, device="cpu")
last = runner.run(store.create(Path(sys.argv[1]), request), generate, lambda event: None)
print("ended", last.type, last.data.get("message"))
"""


def test_a_sky_is_made_without_the_network(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CODE, str(tmp_path / "job")]
    answer = subprocess.run(command, cwd=ROOT, env=clean_environ(), capture_output=True, text=True, timeout=300)
    asked, guarded, *rest = answer.stdout.splitlines()
    assert (asked.startswith("NETWORK socket."), guarded) == (True, "guarded"), answer.stderr
    assert rest == ["ended done None"], (answer.stdout, answer.stderr)
    assert (tmp_path / "job" / "sky.mp4").stat().st_size > 0
