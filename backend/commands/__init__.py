"""The command line: one module a command, standard library only until the request has been checked.

Exit codes: 0 done, 2 the request is wrong, 1 failed, 130 cancelled. Every failure is one line on stderr that starts
with ``skyloop:``; with ``--json`` it is one JSON document on stdout instead.
"""

from __future__ import annotations

import io
import json
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable

from ..jobs.failures import as_skyloop_error
from ..protocol import ErrorKind, SkyloopError, finite
from .errors import FailedError, typed
from .parser import parse

_MAX_CHARS = 300  # of a message: one that quotes what was typed stays a line


def main(argv: list[str]) -> int:
    """Run one command and return the exit code."""

    def run() -> object:
        options = parse(argv)
        return options.run(options, argv)

    return guarded(run, as_json="--json" in argv)


def guarded(run: Callable[[], object], *, as_json: bool) -> int:
    """Call ``run`` as a command: what it returns is the document, what it raises becomes one line; the exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file name in another encoding is no reason to fail
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # an orderly end, like Ctrl-C
    try:
        document = run()
    except FailedError as failure:
        return _report(failure.error, failure.log, as_json=as_json)
    except SkyloopError as error:  # the set-up's bring their log along
        return _report(error, str(getattr(error, "log", "")), as_json=as_json)
    except KeyboardInterrupt:
        return _report(SkyloopError(ErrorKind.CANCELLED, "Cancelled."), "", as_json=as_json)
    except Exception as error:  # the request boundary: a traceback belongs into a log, not into a terminal
        return _report(as_skyloop_error(error), _write_traceback(), as_json=as_json)
    if document is not None and as_json:
        _print_json(document)
    return 0


def _print_json(document: object) -> None:
    sys.stdout.write(json.dumps(finite(document), allow_nan=False, indent=1) + "\n")
    sys.stdout.flush()


def _report(error: SkyloopError, log: str, *, as_json: bool) -> int:
    hint = typed(error.hint)
    if as_json:
        fields = {"kind": error.kind.value, "message": error.message, "hint": hint, "log": log}
        _print_json({"error": fields})
    else:
        message = error.message if len(error.message) <= _MAX_CHARS else f"{error.message[:_MAX_CHARS]}…"
        line = " ".join(f"skyloop: {message} {hint}{f' Log: {log}' if log else ''}".split())
        sys.stderr.write(line + "\n")
    return error.exit_code


def _write_traceback() -> str:
    with tempfile.NamedTemporaryFile("w", prefix="skyloop-", suffix=".log", delete=False, encoding="utf-8") as file:
        file.write(traceback.format_exc())
    return file.name
