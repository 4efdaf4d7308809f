"""A hub on this machine: the addresses that huggingface_hub asks for, with the troubles that networks have."""

from __future__ import annotations

import hashlib
import http.server
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

Trouble = Callable[["Handler", bytes, int], None]
"""Answers a request for a file's content, of which the bytes from a place on are asked for, in its own way."""
COMMIT = "c0ffee" + "0" * 34


@dataclass
class Repo:
    files: dict[str, bytes]
    commit: str = COMMIT
    gated: bool = False


@dataclass
class Hub:
    """What is there, what goes wrong next (one trouble a request for content), and what was asked."""

    repos: dict[str, Repo] = field(default_factory=dict)
    troubles: list[Trouble] = field(default_factory=list)
    listing_troubles: list[int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    url: str = ""


@contextmanager
def serving() -> Iterator[Hub]:
    hub = Hub()
    handler = type("OfHub", (Handler,), {"hub": hub})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        hub.stop.set()
        server.shutdown()
        server.server_close()
        thread.join()


class Handler(http.server.BaseHTTPRequestHandler):
    """Small files lie in the repository, safetensors behind a redirect, as on the real one."""

    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:  # noqa: N802  # http.server's name
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(path)
        self.hub.tokens.append(self.headers.get("Authorization", ""))
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            self._list(match[1], match[2])
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._resolve(*match.groups())
        elif match := re.fullmatch(r"/cdn/([^/]+/[^/]+)/(.+)", path):
            self._content(self.hub.repos[match[1]].files[match[2]])
        else:
            self.answer(404)

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002

    def _list(self, name: str, revision: str | None) -> None:
        if self.hub.listing_troubles:
            return self.answer(self.hub.listing_troubles.pop(0))
        repo = self.hub.repos.get(name)
        if repo is None or revision not in (None, "main", repo.commit):
            return self.answer(404, X_Error_Code="RepoNotFound" if repo is None else "RevisionNotFound")
        siblings = [_sibling(path, data) for path, data in repo.files.items()]
        document = {"_id": "1", "id": name, "sha": repo.commit, "siblings": siblings}
        return self.answer(200, json.dumps(document).encode(), Content_Type="application/json")

    def _resolve(self, name: str, revision: str, path: str) -> None:
        repo = self.hub.repos.get(name)
        if repo is None or path not in repo.files or revision != repo.commit:
            return self.answer(404, X_Error_Code="EntryNotFound")
        if repo.gated and not self.headers.get("Authorization"):
            return self.answer(401, X_Error_Code="GatedRepo")
        if path.endswith(".safetensors"):
            elsewhere = self.hub.url.replace("127.0.0.1", "localhost")  # another host, as far as clients can tell
            return self.answer(302, Location=f"{elsewhere}/cdn/{name}/{path}")
        return self.answer(200, repo.files[path])

    def _content(self, data: bytes) -> None:
        asked = self.headers.get("Range", "")
        self.hub.ranges.append(asked)
        start = int(asked.removeprefix("bytes=").partition("-")[0] or 0) if asked else 0
        if self.hub.troubles:
            self.hub.troubles.pop(0)(self, data, start)
        else:
            self.send_part(data, start)

    def send_part(self, data: bytes, start: int, stop: int | None = None, *, close: bool = False) -> None:
        """The bytes from ``start`` on, announced as all, but sent only up to ``stop``."""
        if start >= len(data) > 0:
            return self.answer(416, Content_Range=f"bytes */{len(data)}")
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        self.wfile.write(data[start:stop])
        self.wfile.flush()
        self.close_connection = self.close_connection or close
        return None


def _sibling(path: str, data: bytes) -> dict[str, object]:
    git = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    found: dict[str, object] = {"rfilename": path, "size": len(data), "blobId": git}
    if path.endswith(".safetensors"):
        found["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
    return found


# --- troubles --------------------------------------------------------------------------------------------------------


def cut(handler: Handler, data: bytes, start: int) -> None:
    """The connection ends half-way."""
    handler.send_part(data, start, (start + len(data)) // 2, close=True)


def stall(handler: Handler, data: bytes, start: int) -> None:
    """Half of it, and then silence."""
    handler.send_part(data, start, (start + len(data)) // 2, close=True)
    handler.hub.stop.wait(30)


def corrupt(handler: Handler, data: bytes, start: int) -> None:
    """All of it, with one byte changed."""
    handler.send_part(data[:-1] + bytes([data[-1] ^ 1]), start)


def longer(handler: Handler, data: bytes, start: int) -> None:
    """More than there is."""
    handler.send_part(data + bytes(20_000), start)


def whole(handler: Handler, data: bytes, _start: int) -> None:
    """All of it, whatever part was asked for."""
    handler.send_part(data, 0)


def status(code: int, **headers: str) -> Trouble:
    """Nothing but a number."""
    return lambda handler, _data, _start: handler.answer(code, b"", **headers)
