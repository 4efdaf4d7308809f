"""Skyloop: animated, seamless, looping 360° skies from a prompt.

This is the entry of the Blender extension. Nothing of Blender is imported until ``register()``, so that the command
line and the tests can load this folder as an ordinary package.
"""


def register() -> None:
    from .blender_addon import registration

    registration.register()


def unregister() -> None:
    from .blender_addon import registration

    registration.unregister()
