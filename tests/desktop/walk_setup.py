"""First look: nothing is installed yet."""

import walking as w


def walk() -> w.Walk:
    yield from w.open_tab("Skyloop")
    w.note(width=w.region("UI").width, scale=w.bpy.context.preferences.system.ui_scale)
    w.show("setup")
    w.show("all", "")


w.start(walk())
