"""Everything Skyloop adds to Blender, in order of dependence; taken away in the opposite order."""

import bpy

from . import (
    create,
    direct,
    explore,
    export,
    history,
    languages,
    models,
    panel,
    preferences,
    properties,
    running,
    session,
    setup,
    sky,
    vr,
)
from .create import panel as create_panel
from .direct import panel as direct_panel
from .explore import panel as explore_panel
from .export import panel as export_panel
from .history import panel as history_panel
from .models import panel as models_panel
from .sky import panel as sky_panel
from .vr import panel as vr_panel

# The groups and operators of the features; a group comes before the one that holds it, and what is drawn into a
# viewport before what is drawn over it.
FEATURES = (languages, running, sky, direct, explore, vr, models, export, create, history, setup)
# In the order in which the tab shows them.
PANELS = (
    panel,
    explore_panel,
    models_panel,
    create_panel,
    direct_panel,
    sky_panel,
    vr_panel,
    export_panel,
    history_panel,
)
CLASSES = (
    preferences.SKYLOOP_preferences,
    *(cls for feature in FEATURES for cls in feature.CLASSES),
    *(cls for module in PANELS for cls in module.CLASSES),
)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    properties.register()
    session.register()
    for feature in FEATURES:
        if hasattr(feature, "register"):
            feature.register()


def unregister() -> None:
    for feature in reversed(FEATURES):
        if hasattr(feature, "unregister"):
            feature.unregister()
    session.unregister()
    properties.unregister()
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
