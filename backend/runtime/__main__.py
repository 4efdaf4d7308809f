"""``python3 -m backend.runtime``: make, look at, test, repair, move or remove the private runtime."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ..protocol import ErrorKind, SkyloopError, bad_request
from . import console_progress, ensure, move, remove, repair, retire, status, target_of
from .places import SPECS, spec_of


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m backend.runtime", description=__doc__)
    parser.add_argument(
        "action", nargs="?", default="status", choices=("install", "status", "self-test", "repair", "move", "remove")
    )
    parser.add_argument("--env", choices=tuple(SPECS), help="which environment (default: backend; remove: all)")
    parser.add_argument("--home", type=Path, help="the folder for runtimes (default: SKYLOOP_HOME or your data folder)")
    parser.add_argument("--to", type=Path, metavar="DIR", help="move: the new folder, on any disk")
    parser.add_argument("--old", action="store_true", help="remove: only what an earlier Skyloop left")
    return parser


def _self_test(env: str, home: Path | None) -> None:
    from .child import Runner
    from .verify import self_test

    about = status(env, home)
    if not about["ready"]:
        raise SkyloopError(
            ErrorKind.INTERNAL,
            f"The environment {env!r} is not installed.",
            f"Make it with: python3 -m backend.runtime install --env {env}",
        )
    run = Runner(Path(about["home"]) / "install.log")
    folder = Path(about["python"]).parents[1]
    report = self_test(folder, spec_of(env), run)
    print(json.dumps({k: report[k] for k in ("torch", "accelerators", "notes")}, indent=1))


def _move(to: Path | None, home: Path | None) -> None:
    if to is None:
        raise bad_request("move needs a folder.", "Give it as --to DIR.")
    old, new = Path(status("backend", home)["home"]), target_of(to.expanduser().absolute())
    move(new, home=old, progress=console_progress())
    print(f"It is in {new} now. Removed {retire(old, new)} MB from {old}, which leads there.")


def main(argv: list[str]) -> int:
    arguments = _parser().parse_args(argv)
    env = arguments.env or "backend"
    try:
        if arguments.action == "install":
            ensure(env, home=arguments.home, progress=console_progress())
        if arguments.action == "repair":
            repair(env, home=arguments.home, progress=console_progress())
        if arguments.action in ("install", "repair", "status"):
            print(json.dumps(status(env, arguments.home), indent=1, ensure_ascii=False))
        elif arguments.action == "self-test":
            _self_test(env, arguments.home)
        elif arguments.action == "move":
            _move(arguments.to, arguments.home)
        else:
            print(f"Removed {remove(arguments.env, home=arguments.home, old=arguments.old)} MB.")
    except SkyloopError as error:
        print(f"\nskyloop: {error.line}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("\nskyloop: Cancelled. Start again to go on from here.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
