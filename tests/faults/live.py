"""A live server that is sent garbage: it must answer whatever came before, number its events, and end well."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from backend.jobs import store
from backend.protocol import Command, Event, GenerateRequest
from backend.serve import stdio

from .garbage import a_command, a_request, mutated

SERVER_LIMIT_S = 30.0


@dataclass
class _Listener:
    """The other end of a server's pipe."""

    stream: BinaryIO
    wrong: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def read(self) -> None:
        number = 0
        for line in self.stream:
            try:
                event = Event.from_line(line.decode("utf-8"))
            except ValueError as error:
                self.wrong.append(f"no event: {error}")
                continue
            if event.seq != number:
                self.wrong.append(f"event {event.seq} came as {number}")
            number = event.seq + 1
            self.counts[event.type] = self.counts.get(event.type, 0) + 1
            if "did not expect" in str(event.data.get("message")):
                self.wrong.append(str(event.data))


def serve(scratch: Path, size: int, draw: random.Random, wrong: Callable[[str], None]) -> int:
    """Send ``size`` lines to a server that runs in this process, and tell ``wrong`` what is not as it must be.

    How many were sent: it stops where a question, asked after each hundred, gets no answer.
    """
    jobs = [_a_job(scratch / f"fuzz{k}", draw) for k in range(4)]
    with _server(wrong) as (pipe, listener):
        for number in range(1, size + 1):
            command = a_command(draw) | ({"job": draw.choice(jobs)} if draw.random() < 0.5 else {})
            line = json.dumps(command) if draw.random() < 0.3 else mutated(draw, json.dumps(command))
            if "shutdown" not in line:
                pipe.write(line.replace("\n", " ").encode("utf-8", "surrogatepass") + b"\n")
            if number % 100 == 0:
                before, end_s = listener.counts.get("hello", 0), time.monotonic() + SERVER_LIMIT_S
                for kind in ("resume", "probe"):
                    pipe.write(Command(type=kind).to_line().encode() + b"\n")
                pipe.flush()
                while listener.counts.get("hello", 0) <= before and time.monotonic() < end_s:
                    time.sleep(0.001)
                if listener.counts.get("hello", 0) <= before:
                    wrong("did not answer")
                    return number
    return size


@contextlib.contextmanager
def _server(wrong: Callable[[str], None]) -> Iterator[tuple[BinaryIO, _Listener]]:
    """A server with an engine that does nothing, its pipe, and what it says; ``wrong`` hears what went wrong inside."""
    (their_in, our_out), (our_in, their_out) = os.pipe(), os.pipe()
    listener = _Listener(os.fdopen(our_in, "rb"))
    errors = _Errors()
    logger = logging.getLogger("backend")
    logger.addHandler(errors)
    propagate, logger.propagate = logger.propagate, False
    ended: list[int] = []
    streams = os.fdopen(their_in, "rb"), os.fdopen(their_out, "wb", buffering=0)
    serving = threading.Thread(target=lambda: ended.append(stdio.serve(*streams, _machinery)), daemon=True)
    reading = threading.Thread(target=listener.read, daemon=True)
    pipe = os.fdopen(our_out, "wb")
    try:
        serving.start()
        reading.start()
        yield pipe, listener
        pipe.close()
        serving.join(SERVER_LIMIT_S)
        if ended != [0]:
            wrong(f"ended with {ended}")
    finally:
        logger.removeHandler(errors)
        logger.propagate = propagate
        for stream in (pipe, *streams):
            with contextlib.suppress(OSError):
                stream.close()
        reading.join(SERVER_LIMIT_S)
        for text in (*listener.wrong, *errors.found):
            wrong(text)


class _Errors(logging.Handler):
    """Keeps what is logged as an error: an exception that nothing was ready for."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(self.format(record)[:500])


def _machinery() -> stdio.Machinery:
    def generate(request: GenerateRequest, job: Path, /, *, engine: Any = None) -> Iterator[Event]:
        yield Event(type="done", data={"result": {}})

    return stdio.Machinery(generate, list, engine=type("NoEngine", (), {"unload": lambda self: None})())


def _a_job(folder: Path, draw: random.Random) -> str:
    """A job folder whose request is fine or not."""
    folder.mkdir(exist_ok=True)
    text = json.dumps(a_request(draw))
    (folder / "request.json").write_text(draw.choice((text, mutated(draw, text))), "utf-8", "surrogatepass")
    return store.load(str(folder)).id
