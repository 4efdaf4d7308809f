"""A job is a folder: :mod:`.store` reads and writes it, :mod:`.runner` runs it. Standard library only."""
