"""What the hub says: which files a repository has at a commit, their sizes and digests; and its errors in plain words.

The hub is Hugging Face's, or the mirror that ``HF_ENDPOINT`` names; the token is ``HF_TOKEN``, or the one that
``hf auth login`` left. Proxies and certificates are those of the environment.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ...protocol import ErrorKind, SkyloopError, bad_request
from ..catalogue import Entry, Source
from .meter import Wait
from .record import File, inside

if TYPE_CHECKING:
    from huggingface_hub import ModelInfo

SUFFIXES = (".json", ".safetensors", ".txt", ".model", ".jinja", ".gguf")
"""What is downloaded: nothing that runs programs when it is read."""
WEIGHTS = (".safetensors", ".gguf")
_VARIANT = re.compile(r"\.(fp16|bf16|fp8|non_ema|ema)(?=[.-])")
_DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_ASK_S = 20.0
_LONGEST_PAUSE_S = 600.0


def listing(entry: Entry, wait: Wait) -> list[File]:
    """The files of a model, in the order of its sources. Raises ``SkyloopError`` as :func:`plain_words`."""
    files: dict[str, File] = {}
    for source in entry.source:
        for file in _files(entry, source, source.revision, wait):
            files.setdefault(file.path, file)
    return list(files.values())


def pieces(file: File, start: int, piece_bytes: int) -> Iterator[tuple[int, bytes]]:
    """The content of a file from byte ``start`` on, in pieces with the byte that each begins at: from the first where
    the server cannot do otherwise. For use inside :func:`plain_words`."""
    from huggingface_hub import constants, get_session, hf_hub_url
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

    asked = build_hf_headers(library_name="skyloop") | {"Accept-Encoding": "identity"}
    if start:
        asked["Range"] = f"bytes={start}-"
    url = hf_hub_url(file.repo, file.name, revision=file.commit)
    patience_s = constants.HF_HUB_DOWNLOAD_TIMEOUT
    with get_session().stream("GET", url, headers=asked, timeout=patience_s, follow_redirects=True) as answer:
        hf_raise_for_status(answer)
        at = start if answer.status_code == 206 else 0
        for piece in answer.iter_bytes(piece_bytes):
            yield at, piece
            at += len(piece)


def quiet() -> None:
    """Keep the library's own bars and warnings off the terminal: what matters is told by us."""
    from huggingface_hub.utils import disable_progress_bars, logging

    disable_progress_bars()
    logging.set_verbosity_error()


@contextmanager
def plain_words(entry: Entry, repo: str) -> Iterator[None]:
    """Turn what huggingface_hub raises inside into ``SkyloopError``: ``bad_request`` where the user can do something,
    ``internal`` for the network."""
    from httpx2 import HTTPError
    from huggingface_hub import errors

    page = f"https://huggingface.co/{repo}"
    try:
        yield
    except errors.OfflineModeIsEnabled as error:
        text = "HF_HUB_OFFLINE is set, so nothing can be downloaded."
        raise bad_request(text, "Unset it, or use a folder that you have: models add ID FOLDER.") from error
    except errors.GatedRepoError as error:
        raise _gated(entry, page) from error
    except errors.RepositoryNotFoundError as error:  # the hub does not tell strangers which of the two it is
        text = f"{repo} is not at {host()}, or not for everybody."
        raise bad_request(text, f"Update Skyloop; or see {page}, and set HF_TOKEN.") from error
    except errors.RevisionNotFoundError as error:
        text = f"{host()} no longer has {repo} at the commit that {entry.name} is known by."
        hint = f"Update Skyloop, or use a folder that you have: models add {entry.id} FOLDER."
        raise SkyloopError(ErrorKind.INTERNAL, text, hint) from error
    except errors.HfHubHTTPError as error:
        raise _refused(entry, repo, page, error.response.status_code) from error
    except (HTTPError, ValueError) as error:
        text = (
            f"{host()} cannot be reached ({str(error).splitlines()[0][:120] if str(error) else type(error).__name__})."
        )
        hint = "Check the internet connection or proxy, then start again: it goes on where it stopped."
        raise SkyloopError(ErrorKind.INTERNAL, text, hint) from error


def _files(entry: Entry, source: Source, commit: str, wait: Wait) -> list[File]:
    about = _patiently(lambda: _about(entry, source.repo, commit), wait)
    if not about.sha or not about.siblings:
        raise SkyloopError(ErrorKind.INTERNAL, f"{host()} does not say what {source.repo} has.", "Try again later.")
    found: list[File] = []
    for sibling in about.siblings:
        path = _place(source, sibling.rfilename)
        if path and sibling.size is not None:
            sha256 = str(sibling.lfs.sha256) if sibling.lfs else ""
            git = "" if sha256 else str(sibling.blob_id or "")
            found.append(File(path, sibling.size, sha256, git, source.repo, about.sha, sibling.rfilename))
    missing = [p for p in source.files if not any(fnmatchcase(f.name, p) for f in found)]
    odd = [f.name for f in found if not _DIGEST.fullmatch(f.sha256 or f.git)]
    if missing or odd:
        what = f"no longer has {missing[0]}" if missing else f"gives no digest for {odd[0]}"
        text = f"{source.repo} at {host()} {what}, which {entry.name} needs."
        hint = "Update Skyloop, or use a folder that you have: models add ID FOLDER."
        raise SkyloopError(ErrorKind.INTERNAL, text, hint)
    return found


def _about(entry: Entry, repo: str, commit: str) -> ModelInfo:
    from huggingface_hub import HfApi

    with plain_words(entry, repo):
        return HfApi().model_info(repo, revision=commit or None, files_metadata=True, timeout=_ASK_S)


def _patiently(ask: Callable[[], ModelInfo], wait: Wait) -> ModelInfo:
    """What ``ask`` returns, asking again where the hub or the network may soon do better."""
    for usual_s in (1.0, 2.0, 4.0):
        try:
            return ask()
        except SkyloopError as error:
            if not passing(error):
                raise
            wait(pause_s(error, usual_s))
    return ask()


def status_of(error: SkyloopError) -> int:
    """The hub's answer that led to what :func:`plain_words` raised; 0 when there was none."""
    return getattr(getattr(error.__cause__, "response", None), "status_code", 0)


def passing(error: SkyloopError) -> bool:
    """Whether what :func:`plain_words` raised may be gone with the next request."""
    status = status_of(error)
    return error.kind is ErrorKind.INTERNAL and (status == 0 or status == 429 or status >= 500)


def pause_s(error: SkyloopError, usual_s: float) -> float:
    """How long to wait before the next request: as long as the hub asks for, within reason."""
    from huggingface_hub.utils import parse_ratelimit_headers

    headers = getattr(getattr(error.__cause__, "response", None), "headers", {})
    limit, after = parse_ratelimit_headers(headers), headers.get("Retry-After", "")
    asked_s = int(after) if after.isdigit() else limit.reset_in_seconds if limit and limit.remaining == 0 else 0
    return min(max(asked_s, usual_s), _LONGEST_PAUSE_S)


def _place(source: Source, name: str) -> str:
    """The path in the model's folder of a file of the repository; empty for what is not wanted."""
    pure = PurePosixPath(name)
    if not any(fnmatchcase(name, pattern) for pattern in source.files) or pure.suffix not in SUFFIXES:
        return ""
    if not inside(name):
        return ""
    if pure.suffix in WEIGHTS and (match := _VARIANT.search(pure.name)):
        if match[1] != source.variant:
            return ""
        pure = pure.with_name(_VARIANT.sub("", pure.name, count=1))
    elif pure.suffix in WEIGHTS and source.variant:
        return ""
    return str(PurePosixPath(source.into) / pure) if source.into else str(pure)


def host() -> str:
    """Who is asked."""
    from huggingface_hub import constants

    return constants.ENDPOINT.partition("://")[2] or constants.ENDPOINT


def _gated(entry: Entry, page: str) -> SkyloopError:
    from huggingface_hub import get_token

    if get_token():
        text = f"Your account may not download {entry.name} yet."
        return bad_request(text, f"Accept its conditions at {page} with the account of your token, then start again.")
    text = f"{entry.name} can be downloaded only with an account."
    hint = (
        f"Accept its conditions at {page}, make a token at https://huggingface.co/settings/tokens, set it as HF_TOKEN."
    )
    return bad_request(text, hint)


def _refused(entry: Entry, repo: str, page: str, status: int) -> SkyloopError:
    from huggingface_hub import get_token

    if status in (401, 403):
        if entry.gated:
            return _gated(entry, page)
        if get_token():
            text = f"{host()} does not accept your token for {repo}."
            return bad_request(text, "Renew it (HF_TOKEN, or hf auth login), or take it away.")
        return bad_request(f"{host()} lets nobody without an account have {repo}.", f"See {page}, then set HF_TOKEN.")
    if status == 404:
        text = f"{host()} no longer has the files of {repo} that the download began with, or never had them."
        hint = f"Begin anew with: models remove {entry.id}; a mirror may lack them: unset HF_ENDPOINT."
        return SkyloopError(ErrorKind.INTERNAL, text, hint)
    if status == 429:
        return SkyloopError(
            ErrorKind.INTERNAL, f"{host()} asks for a pause.", "Start again in some minutes: it goes on."
        )
    text = f"{host()} has a problem of its own (status {status})."
    return SkyloopError(ErrorKind.INTERNAL, text, "Start again later: it goes on where it stopped.")
