"""Node groups that an older version of the add-on left in a file are made anew when it is opened."""

import bpy
from bpy.app.handlers import persistent

from .. import places
from . import nodes, timeline


def upgrade_all() -> None:
    """All old groups of this file; values, keys and links stay."""
    for group in bpy.data.node_groups:
        if nodes.is_ours(group) and not places.is_linked(group) and group[nodes.VERSION_KEY] < nodes.VERSION:
            upgrade(group)


def upgrade(group: bpy.types.NodeTree) -> None:
    """Make the inside of ``group`` as this version makes it; its film, and how it plays, stay."""
    known = {item.name for item in group.interface.items_tree}
    image = group.nodes[nodes.FILM].image
    group.nodes.clear()
    nodes.fill(group)
    group.nodes[nodes.FILM].image = image
    for world in bpy.data.worlds:
        node = nodes.node_of(world)
        if node and node.node_tree == group:
            for new in (slider for slider in nodes.SLIDERS if slider.name not in known):
                node.inputs[new.name].default_value = new.default  # else it is zero in a node that is there already
            timeline.set_up(world, world.skyloop.frames)


@persistent
def _after_load(*_arguments: object) -> None:
    upgrade_all()


def register() -> None:
    bpy.app.handlers.load_post.append(_after_load)


def unregister() -> None:
    bpy.app.handlers.load_post.remove(_after_load)
