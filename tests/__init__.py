"""Skyloop's tests: ``python3 -m tests`` runs all that can run on this machine."""
