"""Ways to reach the generator from another process: :mod:`.stdio`. Importing this loads no model code."""
