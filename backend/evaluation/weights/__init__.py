"""The files of the judge of prompts: `backend/training/classifier.py` writes them, `evaluation/judge.py` reads them."""

from pathlib import Path

FOLDER = Path(__file__).parent
WEIGHTS = "classifier.safetensors"
FACTS = "text.json"
