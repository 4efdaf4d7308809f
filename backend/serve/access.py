"""Who may speak to the HTTP server: whoever knows the token, and no web page.

A page in the user's browser can send requests to this machine. It gives itself away by an ``Origin``; and where its
name was made to point here (DNS rebinding), by a ``Host`` that is not ours. There are no CORS headers: what a page sent
all the same, it could not read. Standard library only.
"""

from __future__ import annotations

import contextlib
import hmac
import ipaddress
import os
import re
import secrets
import socket
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..media.files import private_folder, read_bytes, writing
from ..protocol import bad_request

MIN_TOKEN_CHARS = 32
FAILURES_A_MINUTE = 20
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{32,512}")
_MAX_CALLERS = 1000


@dataclass(frozen=True)
class Refusal:
    """An HTTP status, and what to tell."""

    status: int
    message: str
    hint: str


def load_token(path: Path) -> str:
    """The token in ``path``, which is made with a new one, for the user alone, if it is missing.

    Raises ``SkyloopError`` when it cannot be read or made, or holds nothing that is hard to guess.
    """
    private_folder(path.parent)
    with writing(path), contextlib.suppress(FileExistsError):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
    if os.name != "nt" and path.lstat().st_mode & 0o077:
        raise bad_request(
            f"Other users may read {path}.", "Make it yours alone (chmod 600), or remove it for a new one."
        )
    token = read_bytes(path, 4096).decode("ascii", errors="replace").strip()
    if not _TOKEN.fullmatch(token):
        text = f"{path} holds no token: one has at least {MIN_TOKEN_CHARS} letters and digits."
        raise bad_request(text, "Remove the file, and a new one is made.")
    return token


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what is bound to ``host``."""
    with contextlib.suppress(ValueError):
        return _address(host).is_loopback
    return host == "localhost"


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address without its zone, and as IPv4 where it is one in the clothes of IPv6. Raises ``ValueError``."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


@dataclass
class Access:
    """The rules of one server. ``name`` is the host that it was told to serve."""

    token: str = field(repr=False)
    name: str
    _failures: dict[str, deque[float]] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def refusal(
        self, headers: Mapping[str, list[str]], ours: str, caller: str, *, secret: bool = True
    ) -> Refusal | None:
        """Why a request is refused; None when it is not.

        ``headers`` by lower-case name; ``ours`` is the address that was called, ``caller`` the one it came from. With
        ``secret`` false no token is asked for.
        """
        if "origin" in headers:
            return Refusal(403, "A web page may not use this server.", "Use a program that sends no Origin.")
        hosts = headers.get("host", [])
        if len(hosts) != 1 or not self._serves(hosts[0], ours):
            hint = "Call it by its address or by the name it was started with."
            return Refusal(421, "This server does not go by the name in Host.", hint)
        if not secret or self._knows_token(headers.get("authorization", [])):
            return None
        if self._fails_often(caller):
            return Refusal(429, "Too many requests with a wrong token.", "Wait a minute; take it from the token file.")
        return Refusal(401, "The token is missing or wrong.", "Send: Authorization: Bearer TOKEN, from the token file.")

    def _serves(self, host: str, ours: str) -> bool:
        match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?", host)
        if not match:
            return False
        name = match[1].strip("[]").lower().removesuffix(".")
        with contextlib.suppress(ValueError):
            # A tunnel is called by a loopback address. Names can be made to point anywhere, addresses cannot.
            address = _address(name)
            return address.is_loopback or address == _address(ours)
        return name in ("localhost", self.name.lower(), socket.gethostname().lower())

    def _knows_token(self, values: list[str]) -> bool:
        sent = values[0] if len(values) == 1 else ""
        scheme, _, token = sent.partition(" ")
        right = hmac.compare_digest(token.strip().encode("utf-8", "replace"), self.token.encode())
        return right and scheme.lower() == "bearer"

    def _fails_often(self, caller: str) -> bool:
        """Note a failure. A right token is let in all the same: 256 bits are not guessed, and nobody is locked out."""
        now_s = time.monotonic()
        with self._lock:
            if len(self._failures) > _MAX_CALLERS:
                self._failures.clear()
            times = self._failures.setdefault(caller, deque(maxlen=FAILURES_A_MINUTE + 1))
            times.append(now_s)
            return len(times) > FAILURES_A_MINUTE and now_s - times[0] < 60
