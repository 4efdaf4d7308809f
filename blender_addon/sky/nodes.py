"""The node group "Skyloop Sky": everything between the film and the World's output, with a slider for each choice.

Each sky has a group of its own, as the film is in it. All is plain Blender: a file renders the same without the add-on,
and every slider can be keyed or driven. Inside, directions are those of the film: its centre is +X, as Blender maps it.
"""

import contextlib
import math
from dataclasses import dataclass
from typing import Any

import bpy

VERSION = 1  # of what is inside the group; an older one is made anew when its file is opened
VERSION_KEY = "skyloop_version"
SPARE_KEY = "skyloop_spare"  # of a group that was made ahead
GROUP = "Skyloop Sky"
FILM = "Film"
FULL_AT = 1.25  # times Boost Above, the boost is whole


@dataclass(frozen=True)
class Slider:
    """One input of the group. Angles are in radians, as everywhere in Blender's data."""

    name: str
    description: str
    default: Any = 0.0  # a number, or four of a colour
    low: float = 0.0
    high: float = 1.0
    angle: bool = False
    panel: str = ""  # where the node shows it


SLIDERS = (
    Slider("Front", "Where the middle of the film is: 0° is +Y, 90° is +X", 0.0, -4 * math.tau, 4 * math.tau, True),
    Slider("Strength", "Brightness of everything: picture, light and reflections", 1.0, 0.0, 100.0),
    Slider("Tint", "Multiplies the colours of the sky", (1.0, 1.0, 1.0, 1.0), panel="Picture"),
    Slider("Saturation", "0 is grey, 1 is as made, more is more colourful", 1.0, 0.0, 4.0, panel="Picture"),
    Slider(
        "Horizon Blur",
        "Softens the sky up and down around the horizon, as far as this angle",
        high=math.radians(45.0),
        angle=True,
        panel="Picture",
    ),
    Slider("Boost", "Stops by which highlights are made brighter than the film can show", 0.0, 0.0, 12.0, panel="HDR"),
    Slider(
        "Boost Above",
        "Brightness from which on highlights are boosted, wholly at a quarter more; 1 is the film's white",
        0.8,
        panel="HDR",
    ),
    Slider("Sun Focus", "How much the boost keeps to the sun: 0 is all highlights, 1 the sun alone", panel="HDR"),
    Slider(
        "Sun Size", "How far around the sun's middle the boost reaches", math.radians(15.0), 0.0, math.pi, True, "HDR"
    ),
    Slider(
        "Sun Yaw", "Where the sun is in the film, to the right of its middle", 0.0, -math.tau, math.tau, True, "HDR"
    ),
    Slider("Sun Pitch", "How high the sun is", 0.0, -math.pi / 2, math.pi / 2, True, "HDR"),
    Slider("Lighting", "Brightness of what the sky lights, beside that of its picture", 1.0, 0.0, 100.0, panel="Light"),
    Slider("Lamp", "How much of the sun's light is left to a lamp, and taken out of the sky's own", panel="Light"),
    Slider(
        "Lamp Above", "Brightness above which light is the lamp's; 1 is the film's white", 1.0, 0.0, 1e6, panel="Light"
    ),
)


def make(film: bpy.types.Image) -> bpy.types.NodeTree:
    """A new group that shows ``film``."""
    group = _spare() or _make()
    group.pop(SPARE_KEY, None)
    group.nodes[FILM].image = film
    return group


def prepare() -> bool:
    """Make the group of the next :func:`make` ahead, which is most of the work of a sky; whether there was none yet."""
    if _spare():
        return False
    _make()[SPARE_KEY] = True
    return True


def discard_spare() -> None:
    """Take away what :func:`prepare` made, where nothing came of it."""
    if spare := _spare():
        bpy.data.node_groups.remove(spare)


def _make() -> bpy.types.NodeTree:
    group = bpy.data.node_groups.new(GROUP, "ShaderNodeTree")
    with contextlib.ExitStack() as undo:
        undo.callback(bpy.data.node_groups.remove, group)
        fill(group)
        undo.pop_all()
    return group


def _spare() -> bpy.types.NodeTree | None:
    """Looked for each time, as undo or another file may have come between."""
    return next((g for g in bpy.data.node_groups if SPARE_KEY in g and not g.users and is_ours(g)), None)


def put(world: bpy.types.World, group: bpy.types.NodeTree) -> bpy.types.Node:
    """Make ``group`` all that ``world`` shows; returns its node."""
    if world.node_tree is None:
        world.use_nodes = True  # before Blender 5.0 a World starts without nodes
    tree = world.node_tree
    assert tree
    tree.nodes.clear()
    node = tree.nodes.new("ShaderNodeGroup")
    node.node_tree, node.name, node.label, node.width = group, GROUP, GROUP, 220.0
    output = tree.nodes.new("ShaderNodeOutputWorld")
    output.location = (300.0, 0.0)
    tree.links.new(node.outputs["Sky"], output.inputs["Surface"])
    return node


def node_of(world: bpy.types.World) -> bpy.types.Node | None:
    """The group's node in a World; None when somebody has taken it out. It may have been renamed."""
    nodes = world.node_tree.nodes if world.node_tree else ()
    return next((n for n in nodes if n.bl_idname == "ShaderNodeGroup" and is_ours(n.node_tree)), None)


def is_ours(group: bpy.types.NodeTree | None) -> bool:
    return bool(group and VERSION_KEY in group and FILM in group.nodes)


def film_node(world: bpy.types.World) -> bpy.types.Node | None:
    """The texture node that plays the film of a sky."""
    node = node_of(world)
    return node.node_tree.nodes[FILM] if node else None


def slider(world: bpy.types.World, name: str) -> bpy.types.NodeSocket | None:
    """An input of the group in a World: what its panel shows, and what can be keyed."""
    node = node_of(world)
    return node.inputs.get(name) if node else None


def value(world: bpy.types.World, name: str) -> float:
    """What a slider stands at; what it stands at in a new sky where its node is gone."""
    socket = slider(world, name)
    return float(socket.default_value if socket else next(s.default for s in SLIDERS if s.name == name))


def set_value(world: bpy.types.World, name: str, value: float) -> None:
    if socket := slider(world, name):
        socket.default_value = value


def fill(group: bpy.types.NodeTree) -> None:
    """Wire an empty group; inputs that it has already stay."""
    _declare(group)
    given = group.nodes.new("NodeGroupInput")
    given.name, given.location = "Given", (-400.0, 0.0)
    _Wiring(group, given).wire()
    group[VERSION_KEY] = VERSION


def _declare(group: bpy.types.NodeTree) -> None:
    """Give the group the inputs that it lacks; those that are there keep their links and values."""
    face = group.interface
    there = {item.name: item for item in face.items_tree}
    if "Sky" not in there:
        face.new_socket("Sky", in_out="OUTPUT", socket_type="NodeSocketShader")
    for wanted in SLIDERS:
        parent = there.get(wanted.panel)
        if wanted.panel and parent is None:
            parent = there[wanted.panel] = face.new_panel(wanted.panel)
        if wanted.name in there:
            continue
        colour = isinstance(wanted.default, tuple)
        kind = "NodeSocketColor" if colour else "NodeSocketFloat"
        socket = face.new_socket(wanted.name, in_out="INPUT", socket_type=kind, parent=parent)
        socket.description, socket.default_value = wanted.description, wanted.default
        if not colour:
            if wanted.angle:
                socket.subtype = "ANGLE"
            elif (wanted.low, wanted.high) == (0.0, 1.0):
                socket.subtype = "FACTOR"
            socket.min_value, socket.max_value, socket.default_value = wanted.low, wanted.high, wanted.default


Value = Any  # an output socket, or a number


class _Wiring:
    """Writes formulas as nodes. Values are output sockets or numbers."""

    def __init__(self, group: bpy.types.NodeTree, given: bpy.types.Node) -> None:
        self.tree, self.given = group, given

    def wire(self) -> None:
        """Film direction -> film -> boost -> grade -> what the camera sees, and what lights."""
        here = self.direction()
        film = self.node("ShaderNodeTexEnvironment", Vector=here)
        film.name = film.label = FILM
        colour = self.boosted(film.outputs["Color"], here)
        picture = self.graded(colour)
        seen = self.scaled(picture, self["Strength"])
        light = self.scaled(
            self.without_sun(picture, colour), self.math("MULTIPLY", self["Strength"], self["Lighting"])
        )
        rays = self.node("ShaderNodeLightPath").outputs
        # A mirror or a clear window shows the picture too. EEVEE's one ray for all light is said to be both.
        both = self.math("MULTIPLY", rays["Is Reflection Ray"], rays["Is Transmission Ray"])
        sharp = self.math("SUBTRACT", rays["Is Singular Ray"], both)
        direct = self.math("MAXIMUM", rays["Is Camera Ray"], sharp)
        background = self.node("ShaderNodeBackground", Color=self.mix(direct, light, seen), Strength=1.0)
        end = self.tree.nodes.new("NodeGroupOutput")
        self.tree.links.new(background.outputs["Background"], end.inputs["Sky"])
        # At once: Blender looks over the whole tree after every change.
        places = [(180.0 * (number // 4), -220.0 * (number % 4)) for number in range(len(self.tree.nodes))]
        self.tree.nodes.foreach_set("location", [x for place in places for x in place])

    def direction(self) -> Value:
        """Where to look in the film: turned by Front, shaken up and down by chance near the horizon.

        Renderers take many samples a pixel, so chance comes out as a blur, and costs one film, not several.
        """
        ahead = self.node("ShaderNodeTexCoord").outputs["Generated"]
        turn = self.math("SUBTRACT", self["Front"], math.pi / 2)
        turned = self.node("ShaderNodeVectorRotate", Vector=ahead, Angle=turn)
        turned.rotation_type = "Z_AXIS"
        vector = turned.outputs["Vector"]
        chance = self.xyz(self.node("ShaderNodeTexWhiteNoise", Vector=self.vector("SCALE", vector, Scale=1e3)), "Color")
        reach = self.math("SINE", self["Horizon Blur"])
        height = self.math("ABSOLUTE", self.xyz_of(vector)[2])
        # All of it at the horizon, none from twice its angle on. (By zero, Blender divides to zero.)
        near = self.math("SUBTRACT", 1.0, self.math("DIVIDE", height, self.math("MULTIPLY", reach, 2.0)), clamp=True)
        shake = self.math("SUBTRACT", self.math("ADD", chance[0], chance[1]), 1.0)  # a triangle from -1 to 1
        rise = self.math("MULTIPLY", self.math("MULTIPLY", shake, reach), near)
        up = self.node("ShaderNodeCombineXYZ", Z=rise).outputs["Vector"]
        return self.vector("ADD", vector, up)

    def boosted(self, colour: Value, here: Value) -> Value:
        """Highlights times 2 to the power of Boost, less of it far from the sun as Sun Focus says."""
        grey = self.node("ShaderNodeRGBToBW", Color=colour).outputs["Val"]
        bright = self.smooth(grey, self["Boost Above"], self.math("MULTIPLY", self["Boost Above"], FULL_AT))
        far = self.smooth(self.sun_distance(here), 0.0, self["Sun Size"])
        kept = self.math("SUBTRACT", 1.0, self.math("MULTIPLY", far, self["Sun Focus"]))
        stops = self.math("MULTIPLY", self.math("MULTIPLY", bright, kept), self["Boost"])
        return self.scaled(colour, self.math("POWER", 2.0, stops))

    def sun_distance(self, here: Value) -> Value:
        """The angle between ``here`` and the sun, in radians."""
        level = self.math("COSINE", self["Sun Pitch"])
        sun = self.node(
            "ShaderNodeCombineXYZ",
            X=self.math("MULTIPLY", level, self.math("COSINE", self["Sun Yaw"])),
            Y=self.math("MULTIPLY", self.math("MULTIPLY", level, self.math("SINE", self["Sun Yaw"])), -1.0),
            Z=self.math("SINE", self["Sun Pitch"]),
        ).outputs["Vector"]
        unit = self.vector("NORMALIZE", here)
        return self.math("ARCCOSINE", self.math("MINIMUM", self.vector("DOT_PRODUCT", unit, sun, out="Value"), 1.0))

    def graded(self, colour: Value) -> Value:
        grey = self.node("ShaderNodeRGBToBW", Color=colour).outputs["Val"]
        coloured = self.mix(self["Saturation"], self.grey(grey), colour)
        return self.vector("MAXIMUM", self.vector("MULTIPLY", coloured, self["Tint"]), (0.0, 0.0, 0.0))

    def without_sun(self, picture: Value, colour: Value) -> Value:
        """``picture`` with what is brighter than Lamp Above dimmed to that, by as much as Lamp says."""
        bright = self.math("MAXIMUM", self.brightest(colour), 1e-6)
        kept = self.math("MINIMUM", self.math("DIVIDE", self["Lamp Above"], bright), 1.0)
        left = self.math("SUBTRACT", 1.0, self.math("MULTIPLY", self.math("SUBTRACT", 1.0, kept), self["Lamp"]))
        return self.scaled(picture, left)

    def __getitem__(self, slider: str) -> Value:
        return self.given.outputs[slider]

    def node(self, kind: str, **inputs: Value) -> bpy.types.Node:
        made = self.tree.nodes.new(kind)
        for name, value in inputs.items():
            self.feed(made.inputs[name], value)
        return made

    def feed(self, socket: bpy.types.NodeSocket, value: Value) -> None:
        if isinstance(value, bpy.types.NodeSocket):
            self.tree.links.new(value, socket)
        else:
            socket.default_value = value

    def math(self, operation: str, *values: Value, clamp: bool = False) -> Value:
        made = self.tree.nodes.new("ShaderNodeMath")
        made.operation, made.use_clamp = operation, clamp
        for socket, value in zip(made.inputs, values, strict=False):
            self.feed(socket, value)
        return made.outputs["Value"]

    def vector(self, operation: str, *values: Value, out: str = "Vector", **named: Value) -> Value:
        made = self.tree.nodes.new("ShaderNodeVectorMath")
        made.operation = operation  # first, as it decides which inputs there are
        for name, value in named.items():
            self.feed(made.inputs[name], value)
        for socket, value in zip(made.inputs, values, strict=False):
            self.feed(socket, value)
        return made.outputs[out]

    def scaled(self, colour: Value, factor: Value) -> Value:
        return self.vector("SCALE", colour, Scale=factor)

    def mix(self, factor: Value, a: Value, b: Value) -> Value:
        """``a`` at factor 0, ``b`` at 1, and on beyond."""
        made = self.tree.nodes.new("ShaderNodeMix")
        made.data_type, made.clamp_factor = "VECTOR", False
        sockets = {socket.identifier: socket for socket in made.inputs}
        for name, value in (("Factor_Float", factor), ("A_Vector", a), ("B_Vector", b)):
            self.feed(sockets[name], value)
        return next(socket for socket in made.outputs if socket.identifier == "Result_Vector")

    def smooth(self, value: Value, low: Value, high: Value) -> Value:
        """0 up to ``low``, 1 from ``high`` on, smooth between."""
        made = self.tree.nodes.new("ShaderNodeMapRange")
        made.interpolation_type = "SMOOTHSTEP"
        for name, given in (("Value", value), ("From Min", low), ("From Max", high)):
            self.feed(made.inputs[name], given)
        return made.outputs["Result"]

    def xyz(self, node: bpy.types.Node, out: str) -> list[Value]:
        return self.xyz_of(node.outputs[out])

    def xyz_of(self, vector: Value) -> list[Value]:
        return list(self.node("ShaderNodeSeparateXYZ", Vector=vector).outputs)

    def grey(self, value: Value) -> Value:
        return self.node("ShaderNodeCombineXYZ", X=value, Y=value, Z=value).outputs["Vector"]

    def brightest(self, colour: Value) -> Value:
        red, green, blue = self.xyz_of(colour)
        return self.math("MAXIMUM", self.math("MAXIMUM", red, green), blue)
