"""Prompts as token embeddings, from the WordLlama table (MIT licence): 32 000 tokens in 256 dimensions.

The table ships inside the ``wordllama`` wheel; it is read directly, so neither that package's code nor the network is
used.
"""

from __future__ import annotations

import importlib.util
from functools import cached_property
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from ..protocol import ErrorKind, SkyloopError
from .storage import load_weights

MAX_TOKENS = 48


def _wordllama_folder() -> Path:
    spec = importlib.util.find_spec("wordllama")
    if spec is None or not spec.submodule_search_locations:
        raise SkyloopError(
            ErrorKind.MISSING_MODEL, "The word table (wordllama) is not installed.", "Repair the Skyloop runtime."
        )
    return Path(next(iter(spec.submodule_search_locations)))


class TextEncoder:
    """Prompt -> embeddings of its first 48 tokens."""

    def __init__(self, folder: Path | None = None) -> None:
        """``folder``: the ``wordllama`` package, found among the installed ones when not given."""
        self.folder = folder or _wordllama_folder()

    @cached_property
    def table(self) -> Tensor:
        """(32 000, 256) float32."""
        shapes = {"embedding.weight": (32_000, 256)}
        return load_weights(self.folder / "weights" / "l2_supercat_256.safetensors", shapes)["embedding.weight"]

    @cached_property
    def tokenizer(self) -> Tokenizer:
        return Tokenizer.from_file(str(self.folder / "tokenizers" / "l2_supercat_tokenizer_config.json"))

    def tokens(self, texts: list[str]) -> Tensor:
        """Token ids (B, 48), int64, -1 where there is none. Case is folded: a table without context knows no names."""
        ids = torch.full((len(texts), MAX_TOKENS), -1, dtype=torch.int64)
        self.tokenizer.no_padding()
        encodings = self.tokenizer.encode_batch([t.lower() for t in texts], add_special_tokens=False)
        for row, encoding in zip(ids, encodings, strict=True):
            kept = encoding.ids[:MAX_TOKENS]
            row[: len(kept)] = torch.tensor(kept, dtype=torch.int64)
        return ids

    def __call__(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """Embeddings (B, 48, 256), zero where there is no token, and the mask (B, 48) of tokens."""
        return embed(self.table, self.tokens(texts))


def embed(table: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Token ids (B, L), -1 for none -> embeddings (B, L, 256) and mask (B, L)."""
    mask = ids >= 0
    return table[ids.clamp(min=0)] * mask[..., None], mask
