"""What the generator says of an export, in the user's language and with the names that options have in the panel."""

from ...backend.exports.targets import TARGETS
from ...backend.protocol import SkyloopError
from ..core.exporting import advised
from ..ui import tr
from .properties import SKYLOOP_PG_export

_PROPERTIES = {"size": "height", "gltf": "with_scene", "force": "replace"}


def in_words(text: str) -> str:
    """One sentence."""
    return advised(tr(text), _title)


def error_in_words(error: SkyloopError) -> SkyloopError:
    """The same error, for users."""
    return SkyloopError(error.kind, in_words(error.message), in_words(error.hint))


def _title(name: str) -> str:
    """What the option ``--name`` of the command line is called."""
    for target in TARGETS.values():
        if option := target.option(name):
            return tr(option.title)
    known = SKYLOOP_PG_export.bl_rna.properties.get(_PROPERTIES.get(name, name))
    return tr(known.name) if known else name
