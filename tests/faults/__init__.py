"""What a backend must survive, for as long as one lets it run: ``python3 -m tests.faults``."""
