"""Ways to reach the generator from another process. Importing this loads no model code.

:mod:`.server` is the process itself, with its :mod:`.queue` and :mod:`.watchdog`; :mod:`.stdio` and :mod:`.http` are
the two ways in.
"""
