"""The options of the command line."""

from __future__ import annotations

import argparse
import math
import re
from pathlib import Path
from typing import NoReturn

from ..jobs.store import Status
from ..protocol import DEVICES, METHODS, GenerateRequest, bad_request
from . import bench, evaluate, export, frames, generate, jobs, light, models, serve, stdio
from .controls import add_controls, joined

_DEFAULT = GenerateRequest(prompt="")
DEFAULT_PORT = 8340


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line instead of the usage and a line."""
        raise bad_request(f"{message}.", f"See: {self.prog} --help")


def parse(argv: list[str]) -> argparse.Namespace:
    """Options with ``run(options, argv) -> document``. Raises ``SkyloopError(bad_request)``; exits after ``--help``."""
    return _parser().parse_args(joined(argv))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python3 -m backend", description="Skyloop: prompts to animated, seamless, looping skies.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    _add_generate(commands)
    _add_evaluate(commands)
    _add_bench(commands)
    _add_light(commands)
    _add_frames(commands)
    _add_export(commands)
    command = commands.add_parser("models", help="what can generate", allow_abbrev=False)
    models.add_options(command, _finish, _Parser)
    _add_jobs(commands)
    command = commands.add_parser("stdio", help="serve a parent process on stdin and stdout", allow_abbrev=False)
    _add_idle_unload(command)
    command.set_defaults(run=stdio.run)
    _add_serve(commands)
    return parser


def _add_serve(commands: argparse._SubParsersAction[_Parser]) -> None:
    text = "serve another machine over HTTP"
    command = commands.add_parser("serve", help=text, description=text, allow_abbrev=False)
    add = command.add_argument
    add("--host", default="127.0.0.1", metavar="ADDRESS", help="address to be reached at (default: this machine only)")
    add("--port", type=_port, default=DEFAULT_PORT, metavar="N", help=f"0 for any (default {DEFAULT_PORT})")
    add("--root", type=Path, metavar="DIR", help="folder of the jobs (default: served, in the runtime's folder)")
    add("--token-file", type=Path, metavar="FILE", help="file with the secret that clients send; made if missing")
    _add_idle_unload(command)
    command.set_defaults(run=serve.run)


def _add_idle_unload(command: argparse.ArgumentParser) -> None:
    command.add_argument("--idle-unload", type=_minutes, default=10.0, metavar="MINUTES",
        help="give the model's memory back after so long without a job (default 10)")  # fmt: skip


def _finish(command: argparse.ArgumentParser, run: object) -> None:
    command.add_argument("--json", action="store_true", help="print one JSON document on stdout and nothing else")
    command.set_defaults(run=run)


def _add_generate(commands: argparse._SubParsersAction[_Parser]) -> None:
    command = commands.add_parser("generate", help="make a sky", allow_abbrev=False)
    add = command.add_argument
    add("prompt", metavar="PROMPT", help="the sky in a few words")
    add("--out", type=Path, required=True, metavar="DIR", help="folder for sky.mp4, poster.png and result.json")
    add("--negative", default="", metavar="TEXT", help="what to keep out of it")
    add("--size", type=_size, metavar="WxH",
        help=f"pixels; a 360° sky is twice as wide as high (default {_DEFAULT.width}x{_DEFAULT.height})")  # fmt: skip
    add("--frames", type=int, metavar="N", help=f"length (default {_DEFAULT.frames})")
    add("--fps", type=float, metavar="F", help=f"frames a second (default {_DEFAULT.fps:g})")
    add("--loop", action=argparse.BooleanOptionalAction, help="the end leads into the start (default)")
    add("--flat", action="store_true", help="a flat panorama of any shape instead of a 360° sky")
    add("--wrap", action="store_true", help="join the left and right edge of a flat panorama")
    add("--seed", type=int, metavar="N", help="repeat an earlier result (default: a new one, which is printed)")
    add("--model", default=_DEFAULT.model, metavar="ID", help="see: models list")
    add("--method", default=_DEFAULT.method, metavar="NAME", help=f"how windows are joined: {', '.join(METHODS)}")
    add("--steps", type=int, default=_DEFAULT.steps, metavar="N", help="denoising steps (default: the model's)")
    add("--guidance", type=float, default=_DEFAULT.guidance, metavar="G",
        help="how closely to follow the prompt (default: the model's)")  # fmt: skip
    add("--fov", type=float, default=_DEFAULT.fov_deg, metavar="DEG",
        help=f"degrees one model window sees (default {_DEFAULT.fov_deg:g})")  # fmt: skip
    add("--no-measure", dest="measure", action="store_false", help="leave out the quality figures: drafts come sooner")
    add("--device", default=_DEFAULT.device, metavar="NAME", help=f"{', '.join(DEVICES)} (default auto)")
    add_controls(command)
    _finish(command, generate.run)


def _add_evaluate(commands: argparse._SubParsersAction[_Parser]) -> None:
    text = "measure an equirectangular video, or with --suite all methods over many prompts"
    command = commands.add_parser("evaluate", help=text, description=text, allow_abbrev=False)
    add = command.add_argument
    add("path", type=Path, nargs="?", metavar="PATH", help="a video, ours or not, or a job folder")
    add("--html", type=Path, metavar="FILE", help="also write the figures of PATH as a page with pictures")
    add("--suite", action="store_true", help="make and measure prompts x seeds x steps x methods, or go on with it")
    add("--out", type=Path, metavar="DIR", help="folder of the suite: jobs, suite.json, tables.md, report.html")
    add("--prompts", type=Path, metavar="FILE", help="a text file, a prompt a line (default: 20 of ours)")
    add("--seeds", type=int, metavar="N", help="skies a prompt (default 2)")
    add("--methods", type=_names, metavar="A,B", help=f"of {', '.join(METHODS)} (default: all)")
    add("--steps", type=_numbers, metavar="N,M", help="denoising steps (default 8,16,30)")
    add("--size", type=_size, metavar="WxH", help=f"pixels (default {_DEFAULT.width}x{_DEFAULT.height})")
    add("--frames", type=int, metavar="N", help=f"length (default {_DEFAULT.frames})")
    add("--device", metavar="NAME", help=f"{', '.join(DEVICES)} (default auto)")
    add("--workers", type=int, metavar="N", help="processes at once, which use a graphics card better (default 1)")
    add(
        "--minutes",
        type=float,
        metavar="M",
        help="begin no sky after that; the same command goes on later",
    )
    add("--report-only", action="store_true", default=None, help="make no sky, report on those that are there")
    add("--scorer", action="append", metavar="NAME=MODULE:CALLABLE",
        help="an outside score of each sky, such as CLIP; repeatable (see backend/evaluation/scorers.py)")  # fmt: skip
    _finish(command, evaluate.run)


def _add_bench(commands: argparse._SubParsersAction[_Parser]) -> None:
    text = "measure how fast this machine is"
    command = commands.add_parser("bench", help=text, description=text, allow_abbrev=False)
    command.add_argument("--model", default=_DEFAULT.model, metavar="ID", help="see: models list")
    command.add_argument(
        "--device", default=_DEFAULT.device, metavar="NAME", help=f"{', '.join(DEVICES)} (default auto)"
    )
    _finish(command, bench.run)


def _add_light(commands: argparse._SubParsersAction[_Parser]) -> None:
    text = "how much light a film gives from where, and where its sun is, into light.json beside it"
    command = commands.add_parser("light", help=text, description=text, allow_abbrev=False)
    command.add_argument(
        "path", type=Path, metavar="PATH", help="a job folder, or an equirectangular film, ours or not"
    )
    command.add_argument("--loop", action=argparse.BooleanOptionalAction, default=True,
        help="of a film that is not ours: the end leads into the start (default)")  # fmt: skip
    _finish(command, light.run)


def _add_frames(commands: argparse._SubParsersAction[_Parser]) -> None:
    text = "a film as numbered pictures: PNG, or EXR in linear light"
    command = commands.add_parser("frames", help=text, description=text, allow_abbrev=False)
    add = command.add_argument
    add("path", type=Path, metavar="PATH", help="a job folder or a film")
    add("--out", type=Path, required=True, metavar="DIR", help="a new or empty folder, or an earlier sequence")
    add("--format", choices=("png", "exr"), default="png", help="default png")
    add("--boost", type=float, default=0.0, metavar="STOPS",
        help="how far an EXR's sun goes beyond white, other lights less: an estimate (default 0)")  # fmt: skip
    _finish(command, frames.run)


def _add_export(commands: argparse._SubParsersAction[_Parser]) -> None:
    text = "a sky for an engine, the web, a player or a renderer: the right way round, and looping"
    command = commands.add_parser("export", help=text, description=text, allow_abbrev=False)
    export.add_options(command)
    command.add_argument("--size", type=_size, metavar="WxH", help="pixels (default: as large as the target plays)")
    _finish(command, export.run)


def _add_jobs(commands: argparse._SubParsersAction[_Parser]) -> None:
    command = commands.add_parser("jobs", help="look through a folder of skies, keep it in order", allow_abbrev=False)
    actions = command.add_subparsers(required=True, metavar="ACTION", parser_class=_Parser)

    def add(name: str, run: object, text: str) -> argparse.ArgumentParser:
        action = actions.add_parser(name, help=text, allow_abbrev=False)
        action.add_argument("--root", type=Path, metavar="DIR",
            help="the folder with the job folders (default: Skyloop in your home)")  # fmt: skip
        _finish(action, run)
        return action

    action = add("list", jobs.run_list, "the skies, newest first")
    action.add_argument("--status", choices=list(Status), metavar="S", help=f"only those {', '.join(Status)}")
    action.add_argument("--search", default="", metavar="WORDS", help="in prompt, model, method, seed and name")
    add("show", jobs.run_show, "how far one is, and its settings").add_argument("name", metavar="NAME")
    add("delete", jobs.run_delete, "remove skies for good").add_argument("names", nargs="+", metavar="NAME")
    for name, text in (("pin", "never prune these"), ("unpin", "prune these again")):
        action = add(name, jobs.run_pin, text)
        action.add_argument("names", nargs="+", metavar="NAME")
        action.set_defaults(pinned=name == "pin")
    action = add("prune", jobs.run_prune, "remove the oldest for good, but no pinned and no unfinished ones")
    action.add_argument("size", type=_bytes, metavar="SIZE", help="what may stay in all, such as 20GB")
    add("rebuild", jobs.run_rebuild, "make the index anew")


def _bytes(text: str) -> int:
    if not (match := re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)\s*([kKmMgGtT]?)[bB]?", text.strip())):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a size, write it as 500MB or 20GB")
    return int(float(match[1]) * 1000 ** " kmgt".index(match[2].lower() or " "))


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in text.split(",")))


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(dict.fromkeys(int(number) for number in text.split(",")))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} are no whole numbers, write them as 8,16,30") from None


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no port, use 1024 to 65535, or 0 for any")
    return int(text)


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = math.nan
    if not 0 < minutes <= 10_000:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no number of minutes, use 0.1 to 10000")
    return minutes


def _size(text: str) -> tuple[int, int]:
    if not (match := re.fullmatch(r"(\d{1,9})[xX×](\d{1,9})", text.strip())):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a size, write it as WIDTHxHEIGHT, such as 1024x512")
    return int(match[1]), int(match[2])
