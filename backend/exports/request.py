"""What is wanted of an export. Standard library only: the panel makes one, the command line makes one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ..protocol import MAX_HEIGHT_PX, MIN_HEIGHT_PX, bad_request
from .targets import TARGETS, Target, Value

FACINGS = {"forward": "Engine's Forward", "blender": "As in Blender"}


@dataclass(frozen=True, kw_only=True)
class ExportRequest:
    """One tree that holds all that affects an export; files and folders as text.

    * ``source``: a job folder or any equirectangular film. ``out``: the folder that the export becomes.
    * ``facing``: ``forward`` puts the frame's centre where the engine looks by default; ``blender`` where it is in the
      Blender scene, so that geometry exported as glTF stands under the same sky. ``front_deg``: where that is, in
      degrees to the right of Blender's +Y.
    * ``prerotate``: turn the pixels, so that the engine's own panorama material needs no rotation.
    * ``height``: pixels; 0 is the film's own, or the most that the target plays.
    * ``gltf``: a glTF scene to go with it, with Blender's axes as glTF has them (+Y up).
    * ``force``: replace an earlier export in ``out``; files that are not its own stay as they are.
    * ``options``: by name, those of :data:`.targets.TARGETS`; what is left out has its default.
    """

    source: str
    target: str
    out: str
    facing: str = "forward"
    front_deg: float = 0.0
    prerotate: bool = False
    height: int = 0
    gltf: str = ""
    force: bool = False
    options: Mapping[str, Value] = field(default_factory=dict)

    def problems(self) -> list[str]:
        """Every reason why this cannot be exported, each with what would be right; empty when fine."""
        target = TARGETS.get(self.target)
        if target is None:
            return [f"target {self.target[:40]!r}: use one of {', '.join(TARGETS)}."]
        found = []
        if self.facing not in FACINGS:
            found.append(f"facing {self.facing[:40]!r}: use {' or '.join(FACINGS)}.")
        if not -360 <= self.front_deg <= 360:
            found.append(f"front {self.front_deg:g}: use -180 to 180 degrees.")
        if self.height and not (MIN_HEIGHT_PX <= self.height <= MAX_HEIGHT_PX and self.height % 16 == 0):
            found.append(f"height {self.height}: use a multiple of 16 from {MIN_HEIGHT_PX} to {MAX_HEIGHT_PX}.")
        if self.gltf and not target.takes_scene:
            able = [name for name, other in TARGETS.items() if other.takes_scene]
            found.append(f"A glTF scene does not go into {target.name}: use target {', '.join(able)}.")
        for name, value in self.options.items():
            option = target.option(name)
            if option is None:
                known = ", ".join(option.name for option in target.options) or "none of its own"
                found.append(f"{name} is not for target {target.name}: it has {known}.")
            elif problem := option.problem(value):
                found.append(problem)
        return found

    def validated(self) -> ExportRequest:
        """This request, or a ``bad_request`` error that names the first problem."""
        if found := self.problems():
            raise bad_request(found[0])
        return self

    @property
    def about(self) -> Target:
        return TARGETS[self.target]

    @property
    def sky(self) -> ExportRequest:
        """What the sky itself is written by: this request; of target ``scene`` that of the target beside the scene,
        turned as in Blender."""
        if self.target != "scene":
            return self
        beside = self.text("beside")
        gltf = self.gltf if TARGETS[beside].takes_scene else ""
        return replace(self, target=beside, facing="blender", gltf=gltf, options={})

    def chosen(self, name: str) -> Value:
        """The value of one of the target's options. Raises ``KeyError`` for one that it has not."""
        option = self.about.option(name)
        if option is None:
            raise KeyError(name)
        return self.options.get(name, option.default)

    def text(self, name: str) -> str:
        """:meth:`chosen` of an option with choices."""
        return str(self.chosen(name))

    def number(self, name: str) -> float:
        """:meth:`chosen` of an option that is a number."""
        return float(self.chosen(name))
