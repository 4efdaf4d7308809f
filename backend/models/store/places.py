"""Where models are kept: one folder each, in the private runtime's home, or where the user moved them."""

from __future__ import annotations

from pathlib import Path

from ...media.files import writing
from ...protocol import ErrorKind, SkyloopError
from ...runtime import places

MODELS = "models"
LOCK = "models.lock"
TEXTS = "texts"
"""The cache of encoded prompts, beside the models."""
WEIGHTS = Path(__file__).parents[1] / "weights" / "builtin"


def origin(home: Path | None = None) -> Path:
    """The folder of models inside the runtime's home, whether they are there or only word of where they went."""
    return places.current(home or places.home()) / MODELS


def root(home: Path | None = None) -> Path:
    """The folder with a folder for each model. ``home``: of the runtime, by default this process's."""
    return places.current(origin(home))


def ready_root(home: Path | None = None) -> Path:
    """The same, made if missing. Raises ``SkyloopError``: ``missing_model`` when models were moved to where nothing is
    now, ``bad_request`` where no folder can be made."""
    at, first = root(home), origin(home)
    if at != first and not at.is_dir():
        text = f"The models were moved to {at}, which is not there."
        raise SkyloopError(ErrorKind.MISSING_MODEL, text, "Connect its disk, then try again.")
    with writing(at):
        at.mkdir(parents=True, exist_ok=True)
    return at


def folder(model_id: str, home: Path | None = None) -> Path:
    """The folder of a model, whether it is there or not."""
    return WEIGHTS if model_id == "builtin" else root(home) / model_id
