"""Downloads that go on where they stopped: ``name.part`` grows, is checked against its sha256, and is renamed."""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CHUNK = 1 << 18
_TRIES = 8
_SILENCE_S = 6.0  # whoever cancels waits no longer than this


@dataclass(frozen=True)
class Wheel:
    """One file of the plan. ``sha256`` is empty where the index does not give it."""

    name: str
    version: str
    url: str
    sha256: str

    @property
    def filename(self) -> str:
        return Path(urllib.parse.unquote(urllib.parse.urlsplit(self.url).path)).name

    def path(self, folder: Path) -> Path:
        """Where it lies: in ``folder`` once downloaded, or where it is, when the index is a folder of this machine."""
        parts = urllib.parse.urlsplit(self.url)
        if parts.scheme == "file":
            return Path(urllib.request.url2pathname(parts.path))
        return folder / self.filename


def wheels_of(report: dict[str, Any]) -> list[Wheel]:
    """The files that ``pip install --dry-run --report`` settled on."""
    return [
        Wheel(
            name=item["metadata"]["name"],
            version=item["metadata"]["version"],
            url=item["download_info"]["url"],
            sha256=item["download_info"].get("archive_info", {}).get("hashes", {}).get("sha256", ""),
        )
        for item in report["install"]
    ]


def size_of(wheel: Wheel, folder: Path) -> int:
    """Bytes of a file that is still to be downloaded, 0 when the server does not say or nothing is left to do."""
    if wheel.path(folder).exists():
        return wheel.path(folder).stat().st_size
    try:
        with urllib.request.urlopen(urllib.request.Request(wheel.url, method="HEAD"), timeout=20) as answer:
            return int(answer.headers.get("Content-Length", 0))
    except (OSError, ValueError, http.client.HTTPException):
        return 0


def fetch(wheel: Wheel, folder: Path, on_bytes: Callable[[int], None]) -> bool:
    """Bring one wheel into ``folder``; False when this cannot be done from here, and pip should try its own ways.

    ``on_bytes(n)`` is called with the bytes present so far, from what an earlier run left on; it may raise to stop.
    A full disk raises ``OSError``.
    """
    target = wheel.path(folder)
    if target.exists():
        on_bytes(target.stat().st_size)
        return True
    part = folder / (wheel.filename + ".part")
    tries = _TRIES
    while tries:
        had = part.stat().st_size if part.exists() else 0
        on_bytes(had)
        try:
            _append(wheel.url, part, on_bytes)
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError):
            # What has arrived stays. A line that breaks every few minutes is not a reason to give up.
            tries = _TRIES if part.exists() and part.stat().st_size > had else tries - 1
            continue
        if not wheel.sha256 or _sha256(part) == wheel.sha256:
            part.replace(target)
            return True
        part.unlink()
        tries -= 1
    return False


def _append(url: str, part: Path, on_bytes: Callable[[int], None]) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(request, timeout=_SILENCE_S)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is left after `have`: complete, or longer than the file; the checksum decides
            return
        raise
    with answer:
        resumed = answer.status == 206
        have = have if resumed else 0
        expected = have + int(answer.headers.get("Content-Length") or 0)
        with part.open("ab" if resumed else "wb") as file:
            on_bytes(have)
            while chunk := answer.read1(_CHUNK):  # what is there, rather than waiting for all of it
                file.write(chunk)
                have += len(chunk)
                on_bytes(have)
    if have < expected:
        raise ConnectionError(f"{url}: the connection closed after {have} of {expected} bytes")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
