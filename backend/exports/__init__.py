"""Skies for elsewhere: one module a target, written from one normalised film.

``targets.py`` (what there is), ``request.py`` (what is wanted) and ``orientation.py`` (which way round) are standard
library only, because Blender's panel is made of them. ``film.py`` makes any equirectangular film one that loops
cleanly, ``folder.py`` puts an export in its place whole or not at all, ``run.py`` is an export on one page.
"""
