"""Log files: bounded, private to the user, free of secrets, never through a link. Standard library only."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

from ..media.files import open_append, private_folder
from ..protocol import SkyloopError
from .redacting import redacted

MAX_LOG_BYTES = 4 << 20  # of a log; one older of that size is kept beside it
KEPT_LOGS = 5


class RedactingFormatter(logging.Formatter):
    """Formats as usual, tracebacks included, and takes the secrets out of the result."""

    def __init__(self, form: str = "%(asctime)s %(levelname)s %(name)s: %(message)s") -> None:
        super().__init__(form)

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


class LogFile(RotatingFileHandler):
    """Appends to a file of at most :data:`MAX_LOG_BYTES`; a full one becomes ``NAME.1``.

    Raises ``SkyloopError`` when it is made where no plain file can be opened.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, maxBytes=MAX_LOG_BYTES, backupCount=1, encoding="utf-8", errors="backslashreplace")
        self.setFormatter(RedactingFormatter())

    def _open(self) -> TextIOWrapper:
        return TextIOWrapper(open_append(Path(self.baseFilename)), encoding=self.encoding, errors=self.errors)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """Say nothing: a log that cannot be written, as on a full disk, is no reason to print a traceback."""


@contextlib.contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """All that is logged goes into ``path`` too, from INFO on. Raises ``SkyloopError`` when it cannot be opened."""
    handler = LogFile(path)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(min(level, logging.INFO))
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        handler.close()


def start_process_log(folder: Path, name: str) -> Path | None:
    """Log this process into a new file of ``folder``, named after the time and the process; the newest few stay.

    Logs go to stderr too. Returns the file, or None where none can be made: a log is no reason not to start.
    """
    stream = logging.StreamHandler()
    stream.setFormatter(RedactingFormatter("%(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(stream)
    root.setLevel(logging.INFO)
    path = folder / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    try:
        private_folder(folder)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        root.addHandler(LogFile(path))
        _remove_older(folder, name)
    except (OSError, SkyloopError) as error:
        root.warning("no log in %s: %s", folder, error)
        return None
    return path


def _remove_older(folder: Path, name: str) -> None:
    logs = sorted(folder.glob(f"{name}-*.log"), key=lambda p: p.name, reverse=True)
    for old in logs[KEPT_LOGS:]:
        for path in (old, old.with_name(f"{old.name}.1")):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
