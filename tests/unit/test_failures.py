"""What libraries and systems raise, as a user reads it: one sentence about it, and what to do."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest

from backend.jobs.failures import as_skyloop_error
from backend.protocol import ErrorKind

SYSTEM = {
    errno.EIO: "disk failed",
    errno.EROFS: "only be read",
    errno.ENOENT: "not there",
    errno.ENOTDIR: "not there",
    errno.ENAMETOOLONG: "too long",
    errno.EMFILE: "Too many files",
    errno.EACCES: "may not",
    errno.EPERM: "may not",
    errno.EBUSY: "in use",
    errno.ELOOP: "link",
    errno.EXDEV: "system refused",
}


@pytest.mark.parametrize(("number", "words"), SYSTEM.items(), ids=[errno.errorcode[n] for n in SYSTEM])
@pytest.mark.parametrize("file", ["/skies/aurora/sky.mp4", None])
def test_what_the_system_refuses_is_said_in_words(number: int, words: str, file: str | None) -> None:
    error = as_skyloop_error(OSError(number, os.strerror(number), file))
    assert words in error.message
    assert (file or "file of the job") in error.message
    assert "not expect" not in error.message
    assert error.hint
    assert re.fullmatch(r"[^\n]*[^.]\.", error.message)


def test_a_cause_is_found_within_what_wraps_it() -> None:
    error = RuntimeError("the encoder stopped")
    error.__cause__ = OSError(errno.EIO, "Input/output error", "/skies/sky.mp4")
    assert "disk failed at /skies/sky.mp4" in as_skyloop_error(error).message


def test_real_refusals_of_the_system(tmp_path: Path) -> None:
    for act in (
        lambda: (tmp_path / "none" / "x").write_text("x"),
        lambda: (tmp_path / ("x" * 300)).write_text("x"),
        lambda: tmp_path.read_text(),
    ):
        with pytest.raises(OSError) as caught:  # noqa: PT011 (which one is the system's matter)
            act()
        assert "not expect" not in as_skyloop_error(caught.value).message


def test_what_libraries_raise_for_want_of_memory_or_room() -> None:
    torch, numpy, cv2 = (pytest.importorskip(name) for name in ("torch", "numpy", "cv2"))
    for act in (
        lambda: torch.empty(1 << 45),
        lambda: numpy.empty(1 << 50),
        lambda: cv2.resize(numpy.zeros((10, 10), numpy.uint8), (1 << 30, 1 << 20)),
    ):
        with pytest.raises(Exception) as caught:  # noqa: B017, PT011 (each library has its own class)
            act()
        assert as_skyloop_error(caught.value).kind is ErrorKind.OUT_OF_MEMORY, repr(caught.value)
    assert as_skyloop_error(torch.OutOfMemoryError("CUDA out of memory.")).kind is ErrorKind.OUT_OF_MEMORY
    lost = torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
    assert as_skyloop_error(lost).kind is ErrorKind.DEVICE_LOST


def test_a_full_disk_is_known_where_a_library_hides_its_number() -> None:
    """safetensors says it in words alone: its class is no OSError."""
    safetensors = pytest.importorskip("safetensors")
    error = safetensors.SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
    assert as_skyloop_error(error).kind is ErrorKind.DISK_FULL


def test_no_secret_is_in_an_error() -> None:
    error = as_skyloop_error(ValueError("cannot fetch https://me:s3cret@host/model with hf_s3crets3cret"))
    assert "s3cret" not in error.line
