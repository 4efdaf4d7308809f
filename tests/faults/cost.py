"""What being able to go on costs: the same job with and without checkpoints and flushed writes, in pairs.

The order in a pair alternates, so that a machine that warms up or is used by others favours neither; the figure is the
median of the ratios, with the 95 % interval of the median by resampling.
"""

from __future__ import annotations

import functools
import os
import random
import shutil
import statistics
import time
from dataclasses import replace
from unittest import mock

from backend.protocol import GenerateRequest

from .work import Figure, Part, Send, engine, fork, requests, run_job

WANTED = 12
MOST = 1.03
LIMIT_S = 600.0


def run(part: Part) -> list[Figure]:
    """Pairs until there are enough."""
    known = requests(part.scratch / "inputs")
    jobs = [
        ("flat", replace(known["flat wrap"], frames=16, fps=8.0, steps=6)),
        ("sphere", replace(known["loop"], frames=16, fps=8.0, steps=4)),
    ]
    while part.left_s() > 120 and len(part.list("pairs")) < WANTED:
        number = len(part.list("pairs"))
        name, request = jobs[number // 2 % 2]
        order = (True, False) if number % 2 else (False, True)
        took = {durable: timed(part, request, durable) for durable in order}
        part.list("pairs").append([name, *took[True], *took[False]])
        part.save()
        part.say(f"  {name}: {took[True][0]:.2f} s, without {took[False][0]:.2f} s")
    return figures(part)


def figures(part: Part) -> list[Figure]:
    pairs = part.list("pairs")
    if not pairs:
        return [Figure("cost of durability", f"<= {MOST - 1:.0%}", "not measured", False)]
    (wall, low, high), (cpu, cpu_low, cpu_high) = (median([p[i] / p[i + 2] for p in pairs]) for i in (1, 2))
    found = f"{wall - 1:+.1%} ({low - 1:+.1%} to {high - 1:+.1%}), {len(pairs)} pairs"
    of_cpu = f"{cpu - 1:+.1%} ({cpu_low - 1:+.1%} to {cpu_high - 1:+.1%})"
    return [
        Figure("cost of durability, time", f"<= {MOST - 1:.0%}", found, wall <= MOST and len(pairs) >= WANTED),
        Figure("cost of durability, processor", f"<= {MOST - 1:.0%}", of_cpu, cpu <= MOST),
    ]


def median(ratios: list[float]) -> tuple[float, float, float]:
    """The median and its 95 % interval."""
    draw = random.Random(1)
    drawn = sorted(statistics.median(draw.choices(ratios, k=len(ratios))) for _ in range(2000))
    return statistics.median(ratios), drawn[49], drawn[1949]


def timed(part: Part, request: GenerateRequest, durable: bool) -> tuple[float, float]:
    """Seconds that the job takes, on the clock and of the processor."""
    folder = part.scratch / "job"

    def work(send: Send) -> None:
        if durable:
            run_job(folder, request, engine(), send)
            return
        from backend import pipeline

        none = functools.partial(pipeline.Pace, 0.0)
        with mock.patch.object(pipeline, "Pace", none), mock.patch.object(os, "fsync", lambda descriptor: None):
            run_job(folder, request, engine(), send)

    engine()
    before, start_s = os.times(), time.monotonic()
    last = fork(work, part.scratch / "output.txt").finish(LIMIT_S)
    took_s, after = time.monotonic() - start_s, os.times()
    shutil.rmtree(folder)
    if last is None or last.type != "done":
        raise RuntimeError(f"the job ended with {last and last.data}")
    processor_s = after.children_user + after.children_system - before.children_user - before.children_system
    return took_s, processor_s
