"""A Debian of its own with Blender and a virtual screen in it: why there is none, making it, running commands inside.

Nothing is mounted on the host and nothing outlives a command: each runs in namespaces of its own (files, processes, no
network), and what it sees of the host's files lies under ``/host``. A program of the host's, such as the backend's
Python with its libraries, runs from inside with ``chroot /host``; the folders that a command ``shares`` have the same
path on both sides.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from backend.runtime import home
from backend.runtime.lock import locked

SCRIPT = Path(__file__).with_name("make_sid.sh")
MAKING_TIMEOUT_S = 1200.0
# As on a user's machine: a home, a screen, a runtime folder; what shaders were compiled to is kept for the next run.
ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "DISPLAY": ":9",
    "XDG_RUNTIME_DIR": "/tmp/runtime",
    "XDG_CACHE_HOME": "/var/cache/desktop",
}
# $1 is the chroot; the script to run and the folders to share follow.
ENTER = """set -eu
ROOT=$1; shift; INSIDE=$1; shift
mount -t proc proc "$ROOT/proc"
mount --rbind / "$ROOT/host" && mount -t proc proc "$ROOT/host/proc"
mount -t tmpfs tmpfs "$ROOT/tmp" && mkdir -p -m 1777 "$ROOT/tmp/.X11-unix" && mkdir -m 700 "$ROOT/tmp/runtime"
mkdir -p "$ROOT/dev/shm" "$ROOT/var/cache/desktop" && mount -t tmpfs tmpfs "$ROOT/dev/shm"
for FOLDER in "$@"; do mkdir -p "$ROOT$FOLDER" && mount --bind "$FOLDER" "$ROOT$FOLDER"; done
exec chroot "$ROOT" sh -euc "$INSIDE"
"""


def why_not() -> str:
    """Why there can be no such Debian on this machine; empty where there can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "this ring makes a Debian of its own: it needs root on Linux"
    missing = [tool for tool in ("apt-get", "dpkg-deb", "perl", "unshare", "chroot") if not shutil.which(tool)]
    if missing:
        return f"this ring makes a Debian of its own: {', '.join(missing)} missing, so this is no Debian"
    tried = subprocess.run(
        ["unshare", "--mount", "--pid", "--net", "--fork", "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"this container may not make namespaces: {tried.stderr.strip()}" if tried.returncode else ""


def make() -> Path:
    """The folder of the Debian, made now if there is none from this script yet (a minute or two).

    It is kept beside the private runtimes. Raises ``subprocess.CalledProcessError`` with the script's last words.
    """
    folder = home() / "desktop" / hashlib.sha256(SCRIPT.read_bytes()).hexdigest()[:10]
    with locked(folder.parent / "lock", waiting=_patience):
        if not folder.is_dir():
            for left in folder.parent.glob("*.part*"):
                shutil.rmtree(left)
            part = folder.with_suffix(".part")
            done = subprocess.run(
                ["sh", str(SCRIPT), str(part)], capture_output=True, text=True, timeout=MAKING_TIMEOUT_S, check=False
            )
            if done.returncode:
                raise RuntimeError(f"{SCRIPT.name} ended with {done.returncode}:\n{done.stdout}\n{done.stderr[-4000:]}")
            part.rename(folder)
    return folder


def _patience(seconds: float) -> None:
    if seconds > MAKING_TIMEOUT_S:
        raise TimeoutError("another run of the tests has been making its Debian for too long")


class Sid:
    """Runs shell scripts inside the Debian in ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(
        self, script: str, *, shares: Sequence[Path], timeout_s: float, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """The script's end. Every process that it started has ended too, also after a timeout."""
        command = ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "sh", "-c", ENTER, "enter"]
        return subprocess.run(
            [*command, str(self.root), script, *map(str, shares)],
            env=ENVIRONMENT | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
