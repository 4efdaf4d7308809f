"""What is done to the models: downloading, checking, removing, moving. The backend's command line does it, as a child
of Blender's; one at a time, as it changes one folder.
"""

import re
from dataclasses import dataclass

from ...backend.protocol import SkyloopError, bad_request
from .. import places, work
from ..core.stock import advice
from ..core.tool import Tool, backend_command
from . import shelf

_ADDRESS = re.compile(r"https?://\S+")


@dataclass
class Work(work.Work):
    """``model`` is the id of the one that is downloaded, empty for anything else."""

    model: str

    def follow(self) -> SkyloopError | None:
        shelf.refresh()
        return in_words(self.tool.error) if self.tool.error else None


works = work.Works[Work]("models")
current, problem, why_not, step = works.current, works.problem, works.why_not, works.step
cancel, dismiss, end = works.cancel, works.dismiss, works.end  # a download goes on from there another time


def environ() -> dict[str, str]:
    """What the preferences say of the hub, for the child alone. Raises ``SkyloopError`` for what is no address."""
    found = places.preferences()
    if found is None:
        return {}
    named = {"HF_TOKEN": found.hub_token.strip(), "HF_ENDPOINT": found.hub_mirror.strip().rstrip("/")}
    if named["HF_ENDPOINT"] and not _ADDRESS.fullmatch(named["HF_ENDPOINT"]):
        raise bad_request(
            f"The mirror {named['HF_ENDPOINT'][:60]} is no address.",
            "Enter one that begins with https:// in the preferences, or leave it empty.",
        )
    return {name: value for name, value in named.items() if value}


def start(title: str, *words: str, model: str = "") -> None:
    """Run ``models WORDS``. Raises ``SkyloopError``; without a window also when the command fails."""

    def begun() -> Work:
        command = backend_command("models", *words, home=places.runtime_home())
        return Work(title, Tool(command, environ=environ()), model)

    works.begin(begun)


def in_words(error: SkyloopError) -> SkyloopError:
    """The command line's refusal, with what to do in Blender instead of commands to type."""
    return SkyloopError(error.kind, error.message, advice(error.hint))
