"""The child process that the add-on starts: commands on stdin, events on stdout, one JSON object a line.

The end of stdin means that the parent is gone. What it does with the commands is :mod:`.server`'s.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import BinaryIO

from ..jobs import store
from ..jobs.logs import start_process_log
from ..protocol import Command, Event, SkyloopError
from ..runtime import home
from .parent import Parent
from .server import Machinery, Server, Settings, load_machinery

_MAX_LINE_BYTES = 1 << 20
_logger = logging.getLogger(__name__)


def main(settings: Settings | None = None) -> int:
    """Serve this process's stdin and stdout until told to stop, or until the parent is gone. Returns the exit code."""
    parent = Parent()
    parent.bind()
    commands, events = _claim_pipes()
    if parent.gone():  # before it was bound: no signal will come
        return 1
    faulthandler.enable()  # a crash inside a library leaves its stack on stderr, which the add-on keeps
    settings = replace(settings or Settings(), log=start_process_log(home() / "logs", "stdio"))
    return serve(commands, events, load_machinery, parent=parent, settings=settings, signals=True)


def serve(
    commands: BinaryIO,
    events: BinaryIO,
    load: Callable[[], Machinery],
    *,
    parent: Parent | None = None,
    settings: Settings | None = None,
    signals: bool = False,
) -> int:
    """Serve a pair of streams, in the main thread. ``signals``: heed those that ask for an end."""
    outbox = _Outbox(events)
    server = Server(outbox, load, parent=parent, settings=settings)
    outbox.on_broken = server.stop
    for name in ("SIGTERM", "SIGINT", "SIGBREAK") if signals else ():
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: server.stop())
    server.greet()
    threading.Thread(target=_read, args=(commands, server, outbox), name="reader", daemon=True).start()
    return server.run()


def _claim_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Keep the real stdin and stdout for the protocol; what libraries print goes to stderr, and they read nothing."""
    commands = os.fdopen(os.dup(0), "rb")
    events = os.fdopen(os.dup(1), "wb", buffering=0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return commands, events


class _Outbox:
    """Writes numbered events, one whole line at a time, from any thread."""

    def __init__(self, stream: BinaryIO) -> None:
        self.on_broken: Callable[[], None] = lambda: None
        self._stream = stream
        self._lock = threading.Lock()
        self._seq = 0

    def __call__(self, event: Event) -> None:
        with self._lock:
            line = store.encode_line(replace(event, seq=self._seq).to_line())
            self._seq += 1
            try:
                while line:
                    line = line[self._stream.write(line) :]
            except OSError:  # nobody reads any more
                self.on_broken()


def _read(commands: BinaryIO, server: Server, outbox: _Outbox) -> None:
    with contextlib.suppress(OSError):
        while line := commands.readline(_MAX_LINE_BYTES):
            whole = line.endswith(b"\n")
            while not whole and (rest := commands.readline(_MAX_LINE_BYTES)):
                whole = rest.endswith(b"\n")
            if line.strip():
                _receive(line, server, outbox)
    server.stop()


def _receive(line: bytes, server: Server, outbox: _Outbox) -> None:
    command: Command | None = None
    try:
        command = Command.from_line(line.decode("utf-8", errors="replace"))
        server.obey(command)
    except Exception as error:  # the reader thread must survive whatever it is sent
        if not isinstance(error, SkyloopError):
            _logger.exception("cannot obey %r", line[:200])
        outbox(server.refusal(command, error))
