"""What the add-on does that needs no Blender: the backend process, job folders, settings and the session's state."""
