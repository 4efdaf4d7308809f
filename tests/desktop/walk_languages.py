"""The panel in each of its languages, with everything unfolded."""

from typing import Any

import bpy
import walking as w


class Ready:
    """A generator that is there and is not asked for anything."""

    def ready(self) -> bool:
        return True


def walk() -> w.Walk:
    unfold()
    session = w.part("blender_addon.session").current()
    session.refresh()
    yield from w.open_tab("Skyloop")
    yield from w.until(lambda: session.setup.facts, 30.0, "no survey")
    yield from each_language("setup_")
    session.runtime = Ready()
    session.refresh()
    bpy.context.scene.skyloop.prompt = "northern lights over a frozen lake"
    with w.override():
        bpy.ops.skyloop.region_add()
    yield from each_language("")


def each_language(named: str) -> w.Walk:
    view = bpy.context.preferences.view
    view.use_translate_interface = view.use_translate_tooltips = view.use_translate_reports = True
    for language in ["en_US", *w.ARGS["languages"]]:
        view.language = language
        yield 2.0
        w.note(**{language: said()})
        w.shot(f"{named}{language}", "UI")


def unfold() -> None:
    """Begin as if no panel were folded in at first."""
    registration = w.part("blender_addon.registration")
    registration.unregister()
    for panel in registration.PANELS:
        for cls in panel.CLASSES:
            cls.bl_options = getattr(cls, "bl_options", set()) - {"DEFAULT_CLOSED"}
    registration.register()


def said() -> dict[str, Any]:
    words, ui = bpy.app.translations, w.part("blender_addon.ui")
    return {
        "locale": words.locale,
        "label": words.pgettext_iface(w.ARGS["label"]),
        "button": words.pgettext_iface("Generate Sky", "Operator"),
        "title": words.pgettext_iface(w.ARGS["title"], w.part("blender_addon.languages").OWN),
        "description": words.pgettext_tip(w.ARGS["description"]),
        "form": ui.tr(w.ARGS["form"]),
        "phase": ui.tr("Composing the sky"),
        "grey": grey(),
        "check": [ui.tr(check.message) for check in w.part("blender_addon.create.request").found_in(bpy.context)],
    }


def grey() -> str:
    """What an operator that cannot run says, as scripts and tooltips see it."""
    try:
        bpy.ops.skyloop.cancel()
    except RuntimeError as error:
        return str(error)
    return ""


w.start(walk())
