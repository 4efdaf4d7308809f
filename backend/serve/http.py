"""The messages of :mod:`..protocol` over HTTP, for another machine; every request but ``health`` carries the token.

====================================== ================================================================
POST /v1/commands                      one command as a JSON object; ``job`` is a name. Answers ``{stream, seq}``, the
                                       latest event before it
GET  /v1/events?after=SEQ&stream=S     the events after number SEQ (-1: all that are kept), a JSON object a line; waits
                                       for one, up to 25 s. 410 with ``{stream, first}`` when some of them are gone
GET  /v1/jobs                          ``{jobs: [{job, status}]}``
PUT  /v1/jobs/NAME/files/FILE          an input (a picture, mask or movie), then ``request.json``, which names inputs
GET  /v1/jobs/NAME/files/FILE          what has come of it; ``Range`` is heeded
GET  /v1/health                        ``{protocol}``
====================================== ================================================================

What is refused is answered by one ``{error: {kind, message, hint}}``. Standard library only.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any, BinaryIO, cast
from urllib.parse import parse_qs, unquote, urlsplit

from ..jobs.failures import as_skyloop_error
from ..protocol import PROTOCOL_VERSION, Command, ErrorKind, SkyloopError, bad_request
from .access import Access, Refusal
from .listener import Listener, Paced
from .ring import EventRing, GoneError
from .server import Server
from .uploads import OUTPUTS, InUseError, Jobs

HEAD_S = 15.0  # for a request's head to come in
STALL_S = 30.0  # for any part of an answer to be taken
BODY_S, SLOWEST_BYTES_PER_S = 30.0, 20_000  # for a body: so long, and the longer the larger it is
DRAIN_S, DRAIN_BYTES = 2.0, 16 << 20
POLL_S = 25.0
MAX_COMMAND_BYTES = 1 << 16
_STATUS = {ErrorKind.BAD_REQUEST: 400, ErrorKind.DISK_FULL: 507, ErrorKind.MISSING_MODEL: 404}
_HINT = "The table at the top of backend/serve/http.py has all addresses."
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Service:
    """What the requests are about."""

    server: Server
    ring: EventRing
    jobs: Jobs
    access: Access
    poll_s: float = POLL_S
    head_s: float = HEAD_S


class HttpServer(Listener):
    def __init__(self, address: tuple[str, int], service: Service) -> None:
        super().__init__(address, Handler)
        self.service = service


class RefusedError(Exception):
    def __init__(self, status: int, message: str, hint: str) -> None:
        super().__init__(message)
        self.refusal = Refusal(status, message, hint)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.0"  # so that every answer has a head
    server: HttpServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def setup(self) -> None:
        super().setup()
        self._paced = Paced(self.connection)
        self.rfile = io.BufferedReader(self._paced)

    def handle_one_request(self) -> None:
        self._paced.end_s = time.monotonic() + self.server.service.head_s
        self._body_left, self._answered = 0, False
        super().handle_one_request()

    def finish(self) -> None:
        """Take in some of a body that was refused: a close in the midst of it would take our answer from the client."""
        with contextlib.suppress(OSError):
            left = min(self._body_left, DRAIN_BYTES)
            self._paced.end_s = time.monotonic() + DRAIN_S
            while left > 0 and (chunk := self.rfile.read(min(left, 1 << 16))):
                left -= len(chunk)
        super().finish()

    def do_GET(self) -> None:  # noqa: N802 (the names are http.server's)
        self._answer_guarded()

    do_POST = do_PUT = do_DELETE = do_HEAD = do_OPTIONS = do_PATCH = do_GET  # noqa: N815

    # one request

    def _answer_guarded(self) -> None:
        """The request boundary: whatever happens is one JSON error."""
        service = self.server.service
        try:
            length = self._announced_bytes()
            path = urlsplit(self.path)
            parts = [unquote(part, errors="strict") for part in path.path.split("/")[1:]]
            ours = self.connection.getsockname()[0]
            refusal = service.access.refusal(
                _by_name(self.headers.items()), ours, self.client_address[0], secret=parts != ["v1", "health"]
            )
            if refusal:
                self._refuse(refusal)
                return
            self._answer(parts, parse_qs(path.query, max_num_fields=8), length)
        except RefusedError as refused:
            self._refuse(refused.refusal)
        except InUseError:
            self._refuse(Refusal(409, "The job runs or is finished: its files stay as they are.", "Use another name."))
        except FileNotFoundError:
            self._refuse(Refusal(404, "There is no such file (yet).", "Watch the events for when it comes."))
        except SkyloopError as error:
            self._error(_STATUS.get(error.kind, 500), error)
        except (TimeoutError, EOFError):
            self._refuse(Refusal(408, "The request came too slowly or was cut short.", "Send it again."))
        except ConnectionError:
            self.close_connection = True
        except ValueError as error:
            self._refuse(Refusal(400, f"The request cannot be read ({str(error)[:100]!r}).", _HINT))
        except Exception as error:  # the request boundary
            _logger.exception("%s %.200r", self.command, self.path)
            self._error(500, as_skyloop_error(error))

    def _answer(self, parts: list[str], query: dict[str, list[str]], length: int) -> None:
        service, method = self.server.service, self.command
        match method, parts:
            case "GET", ["v1", "health"]:
                self._json(200, {"protocol": PROTOCOL_VERSION})
            case "GET", ["v1", "jobs"]:
                self._json(200, {"jobs": list(service.jobs.list())})
            case "GET", ["v1", "events"]:
                self._events(query)
            case "POST", ["v1", "commands"]:
                self._command(length)
            case "PUT", ["v1", "jobs", name, "files", file]:
                self._limit_body(length, service.jobs.limit_bytes(file))
                service.jobs.put(name, file, self._body(length), length)
                self._json(201, {"job": name, "file": file})
            case "GET", ["v1", "jobs", name, "files", file]:
                with service.jobs.open(name, file) as content:
                    self._file(content, OUTPUTS[file])
            case _, ["v1", "health" | "jobs" | "events" | "commands"] | ["v1", "jobs", _, "files", _]:
                raise RefusedError(405, f"{method} is not for this address.", _HINT)
            case _:
                raise RefusedError(404, "There is nothing at this address.", _HINT)

    def _command(self, length: int) -> None:
        service = self.server.service
        if self.headers.get_content_type() != "application/json":
            raise bad_request("This is not sent as JSON.", "Send a command as Content-Type: application/json.")
        self._limit_body(length, MAX_COMMAND_BYTES)
        seq = service.ring.last
        body = self._body(length).read(length)
        service.server.obey(Command.from_line(body.decode("utf-8")))
        self._json(202, {"stream": service.ring.stream, "seq": seq})

    def _events(self, query: dict[str, list[str]]) -> None:
        service = self.server.service
        ring, after = service.ring, query.get("after", ["-1"])[-1]
        if not re.fullmatch(r"-1|\d{1,15}", after):
            raise bad_request(f"after {after[:40]!r}: use the number of the last event you have, or -1.")
        try:
            if query.get("stream", [ring.stream])[-1] != ring.stream:
                raise GoneError(0)
            lines = ring.after(int(after), service.poll_s)
        except GoneError as gone:
            error = bad_request(
                "Some of these events are gone.", "Ask for /v1/jobs, then for the events from first on."
            )
            self._error(410, error, stream=ring.stream, first=gone.first)
            return
        self._send(200, b"".join(lines), "application/x-ndjson", {"Skyloop-Stream": ring.stream})

    def _file(self, content: BinaryIO, kind: str) -> None:
        size = content.seek(0, io.SEEK_END)
        extra = {"Accept-Ranges": "bytes", "Content-Disposition": "attachment"}
        span = _range(self.headers.get("Range", ""), size)
        if span is None:
            self._send(416, b"", kind, {"Content-Range": f"bytes */{size}"})
            return
        if len(span) < size:
            extra["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{size}"
        self._head(206 if "Content-Range" in extra else 200, len(span), kind, extra)
        content.seek(span.start)
        left = len(span)
        while left and (chunk := content.read(min(left, 1 << 16))):
            self.wfile.write(chunk)
            left -= len(chunk)
        if left:  # the file has shrunk meanwhile: an early end tells the client
            self.close_connection = True

    # what comes in

    def _announced_bytes(self) -> int:
        """The length of the body. Raises ``SkyloopError(bad_request)`` when it cannot be told for certain."""
        lengths = self.headers.get_all("Content-Length", ["0"])
        plain = len(lengths) == 1 and re.fullmatch(r"\d{1,15}", lengths[0].strip())
        if not plain or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            raise bad_request("The length of the body must be told.", "Send one Content-Length, and no chunks.")
        self._body_left = int(lengths[0])
        return self._body_left

    def _limit_body(self, length: int, limit: int) -> None:
        if length == 0:
            raise RefusedError(411, "There is no body.", "Send one, with its Content-Length.")
        if length > limit:
            raise RefusedError(413, f"The body has {length} bytes, at most {limit} are taken.", "Send a smaller one.")

    def _body(self, length: int) -> BinaryIO:
        """The stream of the body, which is allowed to come from now on."""
        self._paced.end_s = time.monotonic() + BODY_S + length / SLOWEST_BYTES_PER_S
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        self._body_left = 0
        return cast("BinaryIO", self.rfile)

    def handle_expect_100(self) -> bool:
        """Nothing yet: first it is looked at who asks."""
        return True

    # what goes out

    def _refuse(self, refusal: Refusal) -> None:
        self._error(refusal.status, bad_request(refusal.message, refusal.hint))

    def _error(self, status: int, error: SkyloopError, **more: object) -> None:
        self.close_connection = True  # whatever of the body is still to come is not read
        if self._answered:  # in the midst of an answer nothing can be said any more
            return
        fields = {"kind": error.kind.value, "message": error.message, "hint": error.hint}
        with contextlib.suppress(OSError):
            self._json(status, {"error": fields, **more})

    def _json(self, status: int, document: dict[str, Any]) -> None:
        extra = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
        self._send(status, json.dumps(document).encode() + b"\n", "application/json", extra)

    def _send(self, status: int, body: bytes, kind: str, extra: dict[str, str]) -> None:
        self._head(status, len(body), kind, extra)
        self.wfile.write(body)

    def _head(self, status: int, length: int, kind: str, extra: dict[str, str]) -> None:
        if self._body_left:
            self.close_connection = True
        self._answered = True
        self.connection.settimeout(STALL_S)
        self.send_response(status)
        always = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        connection = {"Connection": "close"} if self.close_connection else {}
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(length),
            **always,
            **connection,
            **extra,
        }.items():
            self.send_header(name, value)
        self.end_headers()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What ``http.server`` itself refuses, in our form."""
        self._refuse(Refusal(code, f"{message or 'The request cannot be read'}.", _HINT))

    def version_string(self) -> str:
        return "Skyloop"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        if int(code) >= 400:
            _logger.info("%s %.200r %s", self.client_address[0], self.requestline, int(code))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (http.server's name)
        _logger.debug("%s %.200r", self.client_address[0], format % args)


def _by_name(headers: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name.lower(), []).append(value.strip())
    return found


def _range(header: str, size_bytes: int) -> range | None:
    """The bytes that a ``Range`` header asks for, all of them where it is none that we know; None for none that exist.

    >>> _range("bytes=2-", 5), _range("bytes=-2", 5), _range("bytes=1-99", 5), _range("bytes=5-", 5)
    (range(2, 5), range(3, 5), range(1, 5), None)
    """
    match = re.fullmatch(r"bytes=(\d{0,15})-(\d{0,15})", header.strip())
    if not match or match[0] == "bytes=-":
        return range(size_bytes)
    first, last = match.groups()
    if first:
        span = range(int(first), min(int(last) + 1 if last else size_bytes, size_bytes))
    else:
        span = range(max(0, size_bytes - int(last)), size_bytes)
    return span if span else None
