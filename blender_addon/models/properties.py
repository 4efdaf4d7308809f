"""Files that change a model, kept with the scene."""

import bpy
from bpy.props import BoolProperty, CollectionProperty, FloatProperty, IntProperty, StringProperty

from ...backend.controls import LORA_STRENGTH_RANGE
from .. import places


def look(self: "SKYLOOP_PG_lora", context: bpy.types.Context) -> None:
    """When a file is chosen: see whether it can be one, as nothing is read from the disk while Blender draws."""
    path = places.absolute(self.path, self.id_data)
    self.problem = ""
    if path.suffix.lower() != ".safetensors":
        self.problem = f"{path.name or '?'} is no .safetensors file"
    elif not path.is_file():
        self.problem = f"{path.name} is not there"


class SKYLOOP_PG_lora(bpy.types.PropertyGroup):
    """One LoRA file. ``name`` is that of the file."""

    path: StringProperty(name="File", description="A LoRA file for the chosen model", subtype="FILE_PATH", update=look)
    strength: FloatProperty(
        name="Strength",
        description="How far it changes the model: 1 as it was trained, 0 not at all, below 0 the other way",
        min=LORA_STRENGTH_RANGE[0],
        max=LORA_STRENGTH_RANGE[1],
        default=1.0,
        step=5,
        precision=2,
    )
    enabled: BoolProperty(name="Use", description="Whether the next sky is made with it", default=True)
    problem: StringProperty(options={"HIDDEN"}, description="Why it cannot be used, as last looked")


class SKYLOOP_PG_models(bpy.types.PropertyGroup):
    """What goes with the chosen model."""

    loras: CollectionProperty(
        type=SKYLOOP_PG_lora,
        name="LoRA Files",
        description="Styles and subjects that somebody trained for the model. The built-in model has none",
    )
    lora_index: IntProperty(name="Chosen File", description="The LoRA file that is selected in the list")
    followed: StringProperty(options={"HIDDEN"}, description="The model whose size and length were taken over last")


CLASSES = (SKYLOOP_PG_lora, SKYLOOP_PG_models)
