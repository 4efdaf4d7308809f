"""Logs: bounded, private, free of secrets, and never written through a link."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.jobs import logs
from backend.jobs.logs import LogFile, logging_to, start_process_log
from backend.jobs.redacting import redacted
from backend.protocol import SkyloopError

SECRETS = {
    "https://me:s3cret@host/x": "https://***@host/x",
    "https://s3cret@host/x": "https://***@host/x",
    "Authorization: Bearer s3cret-s3cret": "Authorization: ***",
    "{'authorization': 'Basic s3cret='}": "{'authorization': '***'}",
    "sent Bearer s3crets3cret.": "sent Bearer ***",
    "token hf_s3crets3cret is": "token hf_*** is",
    "GET /x?a=1&token=s3cret&b=2": "GET /x?a=1&token=***&b=2",
}


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    for handler in set(root.handlers) - set(handlers):
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)


@pytest.mark.parametrize(("text", "clean"), SECRETS.items())
def test_secrets_are_taken_out(text: str, clean: str) -> None:
    assert redacted(text) == clean


@pytest.mark.parametrize("text", ["https://host/a@b", "bearer of news", "an author: me", "half_life", "a@b.example"])
def test_what_is_no_secret_stays(text: str) -> None:
    assert redacted(text) == text


def test_tracebacks_and_arguments_keep_no_secret_either(tmp_path: Path) -> None:
    with logging_to(tmp_path / "log.txt"):
        try:
            raise ValueError("cannot open https://me:s3cret@host")
        except ValueError:
            logging.getLogger("x").exception("with %s", "hf_s3crets3cret")
    text = (tmp_path / "log.txt").read_text(encoding="utf-8")
    assert "Traceback" in text
    assert "s3cret" not in text


def test_a_log_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_LOG_BYTES", 10_000)
    with logging_to(tmp_path / "log.txt"):
        for i in range(1000):
            logging.getLogger("x").info("line %d of many that fill the log", i)
    assert {p.name for p in tmp_path.iterdir()} == {"log.txt", "log.txt.1"}
    assert all(p.stat().st_size <= 10_000 for p in tmp_path.iterdir())
    assert "line 999" in (tmp_path / "log.txt").read_text()


@pytest.mark.skipif(os.name == "nt", reason="making a link needs rights on Windows")
def test_no_log_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    (tmp_path / "log.txt").symlink_to(tmp_path / "mine")
    with pytest.raises(SkyloopError):
        LogFile(tmp_path / "log.txt")
    assert (tmp_path / "mine").read_text() == "precious"


def test_of_the_logs_of_processes_the_newest_stay(
    tmp_path: Path, root_logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "logs"
    made = []
    for second in range(8):
        monkeypatch.setattr(logs.time, "strftime", lambda form, s=second: f"20260101-00000{s}")
        made.append(start_process_log(folder, "stdio"))
    assert made[-1]
    assert sorted(folder.iterdir()) == made[-5:]
    assert str(os.getpid()) in made[-1].name
    root_logger.info("hello")
    assert "hello" in made[-1].read_text()
    if os.name != "nt":
        assert folder.stat().st_mode & 0o777 == 0o700
        assert made[-1].stat().st_mode & 0o777 == 0o600


def test_without_a_place_for_a_log_the_process_starts_all_the_same(tmp_path: Path, root_logger: logging.Logger) -> None:
    (tmp_path / "file").touch()
    assert start_process_log(tmp_path / "file" / "logs", "stdio") is None
    root_logger.info("on stderr")
