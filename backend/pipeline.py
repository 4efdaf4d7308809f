"""From a request to a finished sky: the whole method, readable on one page.

compose    the request's method denoises a canvas, window by window (:mod:`.methods`)
decode     latents to frames, tile by tile, straight into the video file (:mod:`.decode`)
light      how much of it comes from where, and from which sun (:mod:`.lighting`)
measure    the quality figures, unless it is a draft, against single windows of the same model (:mod:`.measuring`)

A job that was interrupted goes on from its folder: from the last checkpoint of its canvas (:mod:`.checkpoints`) and
from the segments of its movie that are there. Its result is the same, bit for bit, as without the interruption.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from . import __version__, counting, lighting
from .canvas import Canvas
from .checkpoints import FOLDER, Pace, Saved, Shelf, UnusableStateError, resumed
from .conditioning import encode_prompts
from .edit import Edit
from .engine import Engine
from .fields import Fields
from .inputs import check_inputs, source_video
from .jobs.store import is_file
from .lookahead import Behind
from .media.files import atomic_write, discard, is_real_folder, open_read, sweep_parts
from .media.reading import MAX_BYTES, read_frames
from .media.segments import Segments
from .media.stills import write_png
from .media.video import VideoWriter
from .memory import watched
from .methods import Task, method
from .models.base import ModelSpec, VideoModel
from .models.memory_plan import Plan
from .models.sparing import Sparing
from .protocol import Event, GenerateRequest, phase
from .render import decode_frames, render

if TYPE_CHECKING:
    from .evaluation.spatial import ReferenceView

# Previews come a second apart or more, and take at most a tenth of the time.
PREVIEW_HEIGHT, PREVIEW_INTERVAL_S, PREVIEW_PAUSE = 256, 1.0, 9.0
MOVIE, POSTER, LIGHT, RESULT = "sky.mp4", "poster.png", lighting.FILE, "result.json"

Steps = Generator[Event, None, Any]


def generate(
    request: GenerateRequest,
    job: Path,
    *,
    engine: Engine | None = None,
    reference: Sequence[ReferenceView] | None = None,
    pace: Pace | None = None,
) -> Generator[Event, None, None]:
    """Generate ``request`` into the folder ``job``: ``sky.mp4``, ``poster.png``, ``light.json``, ``result.json``,
    ``preview.png``.

    Yields ``phase`` and ``preview`` events and last a ``done`` event with the content of ``result.json``. Close the
    iterator to cancel; called again, it goes on from there. ``reference`` are single windows of the model to measure
    against, sampled here when not given; ``pace`` says how often a checkpoint is written. Raises ``SkyloopError``, or
    what torch and the disk raise.
    """
    request.validated()
    for folder in filter(is_real_folder, (job, job / FOLDER)):
        sweep_parts(folder)
    check_inputs(request)
    with watched(job) as ran_out:
        yield from _generate(request, job, engine or Engine(), reference, pace or Pace(), ran_out)


def _generate(
    request: GenerateRequest,
    job: Path,
    engine: Engine,
    reference: Sequence[ReferenceView] | None,
    pace: Pace,
    ran_out: bool,
) -> Generator[Event, None, None]:
    clock = Clock()
    yield phase("load", 0, 1, "model")
    with clock("load"):
        model, fields = engine.model(request.model, request.device, request.lora_files), Fields(job)
        if ran_out:  # of memory, in an earlier run of this job
            fields, model = Fields(job, memory_bytes=0), Sparing(model, most_windows=1)
        if isinstance(model, Sparing):
            model.expect(counting.evaluations(request))
        engine.reset_peak(model.device)
        task = Task(model, in_full(request, model.spec), encode_prompts(model, request), fields)
        shelf = Shelf(job / FOLDER, identity(task, engine), pace)
    loaded = phase("load", 1, 1, "model")
    yield replace(loaded, data=loaded.data | noted(model))
    canvas, evaluations = yield from compose(task, job, shelf, clock)
    if not is_file(job / MOVIE):
        yield from write_movie(task, canvas, job, clock)
    if not (request.flat or is_file(job / LIGHT)):
        yield from write_light(request, job, clock)
    found: dict[str, Any] = {}
    if request.measure:
        from .measuring import measure  # with the libraries that only figures need: the first window comes sooner

        with clock("measure"):
            found = yield from measure(task, canvas, reference, job / MOVIE, shelf)
    result = {
        "request": request.to_json(),
        "model": model.spec.id,
        "versions": versions(),
        "device": engine.device_name(model.device),
        "plan": plan.to_json() if (plan := plan_of(model)) else {},
        "seconds": clock.seconds,
        "evaluations": evaluations,
        "peak_memory_mb": engine.peak_memory_mb(model.device),
        "figures": found,
        "files": {name: facts_of(job / name) for name in (MOVIE, POSTER, LIGHT) if is_file(job / name)},
    }
    atomic_write(job / RESULT, json.dumps(result, indent=1, ensure_ascii=False, allow_nan=False).encode())
    shelf.clear()
    yield Event(type="done", data={"result": result})


def plan_of(model: VideoModel) -> Plan | None:
    """How a model is laid out in memory; None of one that needs no plan, such as the built-in one."""
    return getattr(model, "plan", None)


def noted(model: VideoModel) -> dict[str, str]:
    """The same in words, as ``note`` of an event; nothing where there is no plan."""
    return {"note": plan.short()} if (plan := plan_of(model)) else {}


def versions() -> dict[str, str]:
    """What a result depends on besides its request, as far as it has a number."""
    return {"skyloop": __version__, "torch": str(torch.__version__)}


def facts_of(path: Path) -> dict[str, Any]:
    """Size in bytes and digest of a file, which must not be a link."""
    with open_read(path, MAX_BYTES) as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def identity(task: Task, engine: Engine) -> str:
    """A digest of all that the bits of a result depend on."""
    request, spec = task.request, task.model.spec
    files = request.files | ({"source": str(source_video(request))} if request.source else {})
    files |= {f"lora {number}": path for number, (path, _) in enumerate(request.loras, 1)}
    facts = {
        "request": request.to_json(),
        "model": [spec.id, spec.revision],
        "versions": versions(),
        "device": [engine.device_name(task.model.device), torch.get_num_threads()],
        "files": {name: facts_of(Path(path).resolve()) for name, path in files.items()},
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def in_full(request: GenerateRequest, spec: ModelSpec) -> GenerateRequest:
    """The request with the model's own steps and guidance where it leaves them open."""
    return replace(request, steps=request.steps or spec.steps, guidance=request.guidance or spec.guidance)


def _so_far(saved: Saved) -> tuple[int, dict[str, float]]:
    """Evaluations and seconds of the run that saved this. Raises ``UnusableStateError``."""
    try:
        seconds = {str(name): float(value) for name, value in saved.facts["seconds"].items()}
        if all(0 <= value < math.inf for value in seconds.values()):
            return int(saved.facts["evaluations"]), seconds
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UnusableStateError(f"its facts are damaged: {error!r}") from error
    raise UnusableStateError("it took no possible time")


def compose(task: Task, job: Path, shelf: Shelf, clock: Clock) -> Steps:
    """Run the request's method, or go on with it. Returns the clean canvas and the number of window evaluations."""
    checkpoints = shelf.of("sky")

    def run(saved: Saved | None) -> Steps:
        evaluations, preview_due = 0, -math.inf
        if saved:
            evaluations, seconds = _so_far(saved)
            clock.go_on(seconds)
        else:
            for name in (RESULT, MOVIE, POSTER, LIGHT):  # of another request
                discard(job / name)
            shelf.clear()
        now = replace(task, saved=saved)
        denoising = method(now.request.method)(now)
        while True:
            start = time.perf_counter()
            try:
                p = next(denoising)
            except StopIteration as finished:
                return finished.value, evaluations
            clock.add(p.stage, time.perf_counter() - start)
            evaluations += p.evaluations
            if p.state:
                with clock("checkpoint"):
                    facts = {"evaluations": evaluations, "seconds": clock.seconds}
                    checkpoints.offer(p.state, now.generator, facts)
            yield phase(p.stage, p.done, p.total, "tile" if p.stage in ("upsample", "read") else "window")
            if p.clean is not None and time.monotonic() > preview_due:
                start = time.monotonic()
                with clock("preview"):
                    write_preview(now.model, p.clean, now.request, job)
                end = time.monotonic()
                preview_due = end + max(PREVIEW_INTERVAL_S, PREVIEW_PAUSE * (end - start))
                yield Event(type="preview", data={"file": "preview.png"})

    return (yield from resumed(checkpoints, task.fields, run))


def write_movie(task: Task, canvas: Canvas, job: Path, clock: Clock) -> Steps:
    """Decode the clean canvas into ``sky.mp4`` and its middle frame into ``poster.png``, or go on with it."""
    request = task.request
    width, height, middle = request.width, request.height, request.frames // 2
    segments = Segments(job / FOLDER, width, height, request.fps, request.frames)
    if is_file(job / POSTER):
        segments.find()
    spans = segments.spans[len(segments.files) :]
    with clock("decode"), ThreadPoolExecutor(1) as pool:
        edit = Edit(request, spans[0].start) if request.masked and spans else None
        pieces = render(task.model, canvas, height, width, spans, task.fields)

        def write(video: VideoWriter, first: int, frames: Sequence[np.ndarray]) -> None:
            for number, made in enumerate(frames, first):
                frame = edit(made) if edit else made
                if number == middle:
                    write_png(job / POSTER, frame)
                video.write(frame)

        for span in spans:
            with segments.writer() as video, Behind(pool) as behind:
                at = span.start
                while at < span.stop:
                    piece = next(pieces)
                    behind(write, video, at, piece.frames)
                    at += len(piece.frames)
                    task.fields.release()
                    yield phase("decode", piece.done, piece.total, "tile")
        segments.join(job / MOVIE)


def write_light(request: GenerateRequest, job: Path, clock: Clock) -> Steps:
    """What the finished movie gives as light, into ``light.json``."""
    with clock("light"):
        moments: list[lighting.Moment] = []
        for moment in lighting.watch(read_frames(job / MOVIE)):
            moments.append(moment)
            yield phase("light", len(moments), max(len(moments), request.frames), "frame")
        lighting.write(job / LIGHT, moments, request.fps, loop=request.loop)


def write_preview(model: VideoModel, clean: Canvas, request: GenerateRequest, job: Path) -> None:
    """The first frame of the predicted clean canvas, small."""
    height = min(PREVIEW_HEIGHT, request.height)
    width = max(1, round(height * request.width / request.height))
    first = replace(clean, latents=[z[:, :1] for z in clean.latents], loop=False)
    frames = decode_frames(model, first, height, width, range(1))
    write_png(job / "preview.png", next(iter(frames)))


class Clock:
    """Seconds by phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - start)

    def go_on(self, seconds: dict[str, float]) -> None:
        """Add what an earlier run took."""
        for name, value in seconds.items():
            self.add(name, value)

    def add(self, name: str, seconds: float) -> None:
        self.seconds[name] = round(self.seconds.get(name, 0.0) + seconds, 3)
