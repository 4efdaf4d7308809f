"""The Skyloop tab itself: what is most pressing first, then the request, then what runs and what came of it.

Drawing only reads what is known already: no disk, no waiting.
"""

import bpy

from . import session
from .core.state import NOT_SET_UP
from .create.panel import draw_request
from .export.panel import draw_work as draw_export
from .running.panel import draw_problem, draw_result, draw_running, draw_waiting
from .setup.panel import draw_older, draw_setup
from .ui import SkyloopPanel, tr


class SKYLOOP_PT_main(SkyloopPanel, bpy.types.Panel):
    bl_label = "Skyloop"

    def draw(self, context: bpy.types.Context) -> None:
        layout, now = self.layout, session.current()
        if now.problem:
            draw_problem(layout, context, now)
        if now.state in NOT_SET_UP:
            draw_setup(layout, context, now)
            return
        draw_request(layout, context, now)
        if now.queue.tasks:
            draw_running(layout, now)
            draw_waiting(layout, now)
        elif now.unfinished:
            text = tr("{count} unfinished: see History").format(count=len(now.unfinished))
            layout.label(text=text, icon="RECOVER_LAST")
        draw_export(layout, context)
        if now.just_done:
            draw_result(layout, context, now, now.just_done)
        if now.setup.facts:
            draw_older(layout, now.setup.facts)


CLASSES = (SKYLOOP_PT_main,)
