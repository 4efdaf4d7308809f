"""The files of the judge of prompts, as ``backend/training/classifier.py`` writes and ``evaluation.judge`` reads them."""

from pathlib import Path

FOLDER = Path(__file__).parent
WEIGHTS = "classifier.safetensors"
FACTS = "text.json"
