"""The half of Skyloop that runs in Blender. Importing this package imports nothing of Blender."""
