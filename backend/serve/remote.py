"""The process behind ``serve``: the worker in the main thread, HTTP beside it."""

from __future__ import annotations

import faulthandler
import json
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path

from ..jobs.logs import start_process_log
from ..protocol import Event, bad_request
from ..runtime import home
from .access import Access, is_loopback, load_token
from .http import HttpServer, Service
from .ring import EventRing
from .server import Server, Settings
from .uploads import Jobs


def main(host: str, port: int, *, root: Path | None, token_file: Path | None, settings: Settings) -> int:
    """Serve at ``host`` and ``port`` (0: any free one) until told to stop. Returns the exit code.

    Prints one JSON line ``{url, root, token_file}`` once it can be called. Raises ``SkyloopError``.
    """
    token_file = token_file or home() / "serve-token"
    access = Access(load_token(token_file), host)
    jobs, ring = Jobs(root or home() / "served"), EventRing()
    faulthandler.enable()

    def emit(event: Event) -> None:
        if event.type == "failed" and not event.job:  # such as an engine that cannot be loaded
            print(f"skyloop: {event.data['message']} {event.data['hint']}", file=sys.stderr)
        ring(_without_paths(event))

    server = Server(
        emit, locate=jobs.locate, settings=replace(settings, log=start_process_log(home() / "logs", "serve"))
    )
    try:
        http = HttpServer((host, port), Service(server, ring, jobs, access))
    except OSError as error:
        hint = "Choose another with --port, or 0 for any that is free."
        raise bad_request(f"{host} port {port} cannot be served ({error.strerror or error}).", hint) from error
    for name in ("SIGTERM", "SIGINT", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: server.stop())
    server.greet()
    threading.Thread(target=http.serve_forever, name="http", daemon=True).start()
    _announce(host, http.server_address[1], jobs.root, token_file)
    try:
        return server.run()
    finally:
        http.shutdown()
        http.server_close()


def _announce(host: str, port: int, root: Path, token_file: Path) -> None:
    shown = f"[{host}]" if ":" in host else host
    facts = {"url": f"http://{shown}:{port}", "root": str(root), "token_file": str(token_file)}
    print(json.dumps(facts), flush=True)
    if not is_loopback(host):
        text = (
            "others on the network can read what is sent, as it is not encrypted; a tunnel (ssh -L) is the safer way."
        )
        print(f"skyloop: {text}", file=sys.stderr)


def _without_paths(event: Event) -> Event:
    """A log by its name alone: the client fetches it from the job, and has no use for this machine's paths."""
    if event.type != "failed":
        return event
    log = Path(str(event.data.get("log", ""))).name if event.job else ""
    return replace(event, data={**event.data, "log": log})
