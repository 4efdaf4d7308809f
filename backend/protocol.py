"""What the add-on and the backend say to each other: requests, events and errors.

Standard library only, because both halves import it. A job is a folder: ``request.json`` is its only input, everything
else in it comes out. A message on the pipe only announces what is in the folder. Messages are JSON objects, one a line.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from . import controls
from .controls import MAX_PROMPT_CHARS as MAX_PROMPT_CHARS
from .controls import CameraKey, Region
from .typed import field_types, parse_json, plain, shown, typed

PROTOCOL_VERSION = 1
SCHEMA_VERSION = 1

MAX_FRAMES = 4096
MIN_HEIGHT_PX, MAX_HEIGHT_PX = 128, 4096
MAX_WIDTH_PX = 16384
MAX_MODEL_CHARS = 200
MAX_PLACE = 1_000_000
FOV_RANGE_DEG = (40.0, 110.0)
METHODS = ("skyloop", "dynamicscaler", "multidiffusion", "syncdiffusion", "independent", "native")
DEVICES = ("auto", "cpu", "cuda", "mps")


class ErrorKind(StrEnum):
    """Everything that can go wrong, as a closed set; the add-on picks the icon and the advice by it."""

    BAD_REQUEST = "bad_request"
    MISSING_MODEL = "missing_model"
    OUT_OF_MEMORY = "out_of_memory"
    DISK_FULL = "disk_full"
    DEVICE_LOST = "device_lost"
    CANCELLED = "cancelled"
    INTERNAL = "internal"


class SkyloopError(Exception):
    """A failure that a user can read: what happened in one sentence, and what to do in another."""

    def __init__(self, kind: ErrorKind, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.hint = hint

    @property
    def line(self) -> str:
        """Message and hint as one line."""
        return f"{self.message} {self.hint}".strip()

    @property
    def exit_code(self) -> int:
        """The command line's exit code: 2 the request is wrong, 130 cancelled, 1 anything else."""
        return {ErrorKind.BAD_REQUEST: 2, ErrorKind.MISSING_MODEL: 2, ErrorKind.CANCELLED: 130}.get(self.kind, 1)


def bad_request(message: str, hint: str = "") -> SkyloopError:
    """The request cannot be done as it stands: ``message`` says what is wrong, ``hint`` what would be right."""
    return SkyloopError(ErrorKind.BAD_REQUEST, message, hint)


@dataclass(frozen=True, kw_only=True)
class GenerateRequest:
    """One tree that holds all that affects a result. Serialised as ``request.json``.

    ``width`` x ``height`` are pixels; a sphere (``flat`` false) is 2:1 equirectangular. ``wrap`` joins the left and
    right edge of a flat panorama. ``fov_deg`` is how much of the world one model window sees while the layout forms.
    ``steps`` and ``guidance`` of 0 mean the model's own defaults. Files are absolute paths, empty for none:

    * ``regions``: prompts by direction, the later over the earlier.
    * ``image``: a picture to start from: a panorama of the whole sky (``image_fov_deg`` 0, turned by its yaw and
      pitch; for a flat panorama, all of it), or a photo of that horizontal field of view, placed at yaw and pitch.
    * ``source``: the folder of an earlier result, or its video, to keep but for a part that is made anew: where the
      picture ``mask`` is white, or within ``mask_at`` (yaw, pitch, radius in degrees). Size, frames, fps and loop are
      the source's. Without a mask all of it is made anew out of itself, at the same size or a larger one, and
      ``strength`` says how far: the part of the steps that are done again, from 0.05 (hardly another) to below 1.
    * ``motion``: 0 is still, 1 as the model moves, up to 2; ``motion_mask``: where white all of it, where black none.
    * ``camera``: how the shot looks at the sky; detail is only made where it ever does.
    * ``loras``: LoRA files for a foundation model, each with its strength (1 as trained).

    Without ``measure`` there are no quality figures, which take half of a processor's time: for drafts.
    """

    prompt: str
    negative: str = ""
    width: int = 1024
    height: int = 512
    frames: int = 16
    fps: float = 8.0
    loop: bool = True
    flat: bool = False
    wrap: bool = False
    seed: int = 0
    model: str = "builtin"
    method: str = "skyloop"
    steps: int = 0
    guidance: float = 0.0
    fov_deg: float = 90.0
    device: str = "auto"
    regions: tuple[Region, ...] = ()
    image: str = ""
    image_yaw_deg: float = 0.0
    image_pitch_deg: float = 0.0
    image_fov_deg: float = 0.0
    source: str = ""
    mask: str = ""
    mask_at: tuple[float, float, float] | None = None
    strength: float = 1.0
    motion: float = 1.0
    motion_mask: str = ""
    camera: tuple[CameraKey, ...] = ()
    loras: tuple[tuple[str, float], ...] = ()
    measure: bool = True
    schema: int = SCHEMA_VERSION

    @property
    def files(self) -> dict[str, str]:
        """The files and folders that are read, by field; LoRA files apart."""
        names = ("image", "source", "mask", "motion_mask")
        return {name: path for name in names if (path := getattr(self, name))}

    @property
    def lora_files(self) -> tuple[tuple[Path, float], ...]:
        """LoRA files as paths, and their strengths."""
        return tuple((Path(path), strength) for path, strength in self.loras)

    @property
    def masked(self) -> bool:
        """Whether it says which part of the source to make anew."""
        return bool(self.mask) or self.mask_at is not None

    @property
    def from_whole(self) -> bool:
        """Whether all of the source is made anew, out of itself."""
        return bool(self.source) and not self.masked

    def problems(self) -> list[str]:
        """Every reason why this cannot be generated, each naming the field and what would be right; empty when fine."""
        found: list[str] = []

        def check(ok: bool, text: str) -> None:
            if not ok:
                found.append(text)

        check(bool(self.prompt.strip()), "prompt is empty: describe the sky in a few words.")
        for name in ("prompt", "negative"):
            found += controls.text_problems(name, getattr(self, name))
        check(self.negative == "" or bool(self.negative.strip()), "negative is only spaces: leave it empty.")
        check(
            MIN_HEIGHT_PX <= self.height <= MAX_HEIGHT_PX and self.height % 16 == 0,
            f"height {self.height}: use a multiple of 16 from {MIN_HEIGHT_PX} to {MAX_HEIGHT_PX}.",
        )
        if not self.flat:
            check(
                self.width == 2 * self.height,
                f"size {self.width}x{self.height}: a 360° sky is twice as wide as high, such as 1024x512.",
            )
            check(not self.wrap, "wrap belongs to flat panoramas: a 360° sky always wraps.")
        else:
            check(
                MIN_HEIGHT_PX <= self.width <= MAX_WIDTH_PX and self.width % 16 == 0,
                f"width {self.width}: use a multiple of 16 from {MIN_HEIGHT_PX} to {MAX_WIDTH_PX}.",
            )
        check(1 <= self.frames <= MAX_FRAMES, f"frames {self.frames}: use 1 to {MAX_FRAMES}.")
        check(1.0 <= self.fps <= 120.0, f"fps {self.fps:g}: use 1 to 120.")
        check(0 <= self.seed < 2**63, f"seed {self.seed}: use 0 to 2^63-1.")
        check(0 <= self.steps <= 200, f"steps {self.steps}: use 1 to 200, or 0 for the model's own number.")
        check(0.0 <= self.guidance <= 30.0, f"guidance {self.guidance:g}: use 1 to 30, or 0 for the model's own.")
        lo, hi = FOV_RANGE_DEG
        check(lo <= self.fov_deg <= hi, f"fov {self.fov_deg:g}: use {lo:g} to {hi:g} degrees.")
        check(self.method in METHODS, f"method {self.method[:40]!r}: use {' or '.join(METHODS)}.")
        check(self.device in DEVICES, f"device {self.device[:40]!r}: use one of {', '.join(DEVICES)}.")
        named = 0 < len(self.model) <= MAX_MODEL_CHARS and self.model.isprintable()
        check(named, f"model {self.model[:40]!r}: use the id of a model.")
        return [*found, *controls.problems(self)]

    def validated(self) -> GenerateRequest:
        """This request, or a ``bad_request`` error that names the first problem."""
        if found := self.problems():
            raise bad_request(found[0])
        return self

    def to_json(self) -> dict[str, Any]:
        return plain(asdict(self))

    @staticmethod
    def from_json(document: Any) -> GenerateRequest:
        """Check the types and names of a parsed ``request.json``; values are checked by :meth:`problems`.

        Raises ``SkyloopError(bad_request)`` that names the field.
        """
        if not isinstance(document, dict):
            raise bad_request("request.json is not a JSON object.", "Write the request anew.")
        schema = document.get("schema", SCHEMA_VERSION)
        if schema != SCHEMA_VERSION:
            raise bad_request(
                f"request schema {shown(schema)} is not {SCHEMA_VERSION}.", "Use matching Skyloop versions."
            )
        types = field_types(GenerateRequest)
        if unknown := sorted(set(document) - set(types)):
            raise bad_request(f"unknown request field {shown(unknown[0])}.", f"Known: {', '.join(sorted(types))}.")
        if "prompt" not in document:
            raise bad_request("prompt is missing.", "Describe the sky in a few words.")
        return GenerateRequest(**{k: _typed(k, types[k], v) for k, v in document.items()})


def camera_path(document: Any) -> tuple[CameraKey, ...]:
    """The keys of a parsed JSON list of objects with the fields of :class:`CameraKey`; values are not checked.

    Raises ``SkyloopError(bad_request)`` that names the key and field.
    """
    return _typed("camera", tuple[CameraKey, ...], document)


def _typed(name: str, want: Any, value: Any) -> Any:
    try:
        return typed(name, want, value)
    except ValueError as error:
        raise bad_request(str(error)) from error


@dataclass(frozen=True, kw_only=True)
class Command:
    """What the add-on asks of the backend, one a line: ``{"type": "generate", "job": "/home/me/skies/aurora"}``.

    ``job`` is the absolute path of the job folder, as text, which is also the job's name in every event (over HTTP: its
    name on the server). ``to`` is a place among the waiting jobs, 0 the next to run; those beyond the end mean the end.

    ========= ====================================================================
    generate  do the job whose ``request.json`` is in the folder, from its checkpoint when it has one; a finished job
              is announced done, and not made again. Jobs wait for each other
    cancel    a running job stops at its next window, a waiting one is dropped; its folder and checkpoint stay
    move      a waiting job takes the place ``to``
    pause     the running job halts at its next window and keeps its memory; waiting ones do not start
    resume    go on after ``pause``
    unload    give memory back: at once when idle or paused (a paused job goes back to the front of the queue, and its
              checkpoint brings it back), else when the running job ends; answered by ``accepted``
    probe     answered by ``hello`` with the devices, once no job runs
    shutdown  exit, as does the end of the pipe: all jobs are announced cancelled, but in its folder the running one
              stays begun, to go on with when it is sent again
    ========= ====================================================================
    """

    type: str
    job: str = ""
    to: int = 0

    def to_line(self) -> str:
        return json.dumps({k: v for k, v in asdict(self).items() if v}, ensure_ascii=False)

    @staticmethod
    def from_line(line: str) -> Command:
        """Parse one line of the pipe. Raises ``SkyloopError(bad_request)`` that names the field that is wrong."""
        try:
            document = parse_json(line)
        except ValueError as error:
            raise bad_request(f"not a JSON line ({error}): {line[:80]!r}.", _EXAMPLE) from error
        if not isinstance(document, dict):
            raise bad_request(f"not a JSON object: {line[:80]!r}.", _EXAMPLE)
        if document.get("type") not in tuple(REQUEST_TYPES):
            raise bad_request(
                f"type {str(document.get('type'))[:40]!r} is no command of this backend.",
                f"Known: {', '.join(sorted(REQUEST_TYPES))}. {_NEWER}",
            )
        types = field_types(Command)
        if unknown := sorted(set(document) - set(types)):
            raise bad_request(f"unknown field {unknown[0][:40]!r} in {document['type']}.", _NEWER)
        job = document.get("job", "")
        if document["type"] in ("generate", "cancel", "move") and not (isinstance(job, str) and job):
            raise bad_request(f"job {str(job)[:40]!r}: {document['type']} needs a job, as text.")
        command = Command(**{k: _typed(k, types[k], v) for k, v in document.items()})
        if not 0 <= command.to <= MAX_PLACE or (command.to and command.type != "move"):
            raise bad_request(f"to {str(command.to)[:40]}: use 0 to {MAX_PLACE}, and only with move.")
        return command


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened to a job (the path of its folder, as sent), or to the backend (``job`` empty).

    ``seq`` counts the events of one stream (the pipe, or a job's ``events.jsonl``) from 0 without gaps. ``data`` by
    ``type``:

    ======== =====================================================================
    hello     protocol, version, devices: [{id, name, memory_mb}]; devices is empty in the first one, which comes
              before anything heavy is loaded; a second follows with them
    accepted  (none)
    queue     running: job or "", waiting: [job, ...] next first, paused: bool; after every change
    phase     name, done, total, unit; ``done == total`` ends the phase; where there is more to tell: note, words
    preview   file: a PNG in the job folder, replaced in place
    done      result: the content of ``result.json``
    failed    kind (:class:`ErrorKind`), message, hint, log
    cancelled (none)
    heartbeat (none); every 2 s from the first hello on
    ======== =====================================================================
    """

    type: str
    job: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    seq: int = 0

    def to_line(self) -> str:
        head = {"type": self.type, "seq": self.seq, "job": self.job}
        # The head comes first for readers of the log, and again so that data cannot replace it.
        return json.dumps(finite({**head, **self.data, **head}), ensure_ascii=False, allow_nan=False)

    @staticmethod
    def from_line(line: str) -> Event:
        """Parse one line of the pipe. Raises ``ValueError`` when it is not an event."""
        try:
            document = json.loads(line)
        except RecursionError as error:
            raise ValueError(f"not an event: {line[:80]!r}") from error
        if not isinstance(document, dict) or document.get("type") not in tuple(EVENT_TYPES):
            raise ValueError(f"not an event: {line[:80]!r}")
        kind, job, seq = document.pop("type"), document.pop("job", ""), document.pop("seq", 0)
        if not isinstance(job, str) or type(seq) is not int:
            raise ValueError(f"not an event: {line[:80]!r}")
        return Event(type=kind, job=job, seq=seq, data=document)


EVENT_TYPES = frozenset({"hello", "accepted", "queue", "phase", "preview", "done", "failed", "cancelled", "heartbeat"})
LAST_EVENTS = frozenset({"done", "failed", "cancelled"})
# In a command's environment: it says on stderr how far each phase is, in lines, a few a second.
PROGRESS_LINES = {"SKYLOOP_PROGRESS": "lines"}
"""One of these ends every accepted job."""
REQUEST_TYPES = frozenset({"generate", "cancel", "move", "pause", "resume", "unload", "probe", "shutdown"})
_EXAMPLE = 'Send one such as {"type": "probe"}.'
_NEWER = "The add-on may be newer than this backend: use Repair to bring them together."


def finite(value: Any) -> Any:
    """A JSON value with null for NaN and infinities: JSON has none, and a figure is one where it cannot be measured."""
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def phase(name: str, done: int, total: int, unit: str = "step") -> Event:
    """Progress of one phase of a job: ``done`` of ``total`` ``unit``s."""
    return Event(type="phase", data={"name": name, "done": done, "total": total, "unit": unit})


def failed(error: SkyloopError, log: str = "") -> Event:
    return Event(
        type="failed",
        data={"kind": error.kind.value, "message": error.message, "hint": error.hint, "log": log},
    )
