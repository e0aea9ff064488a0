"""``hash``: vectors from hashed words. For tests and benchmarks; it is no language model."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from s3sync_dagster.engine.ports import ModelLimits

if TYPE_CHECKING:
    from s3sync_dagster.embedding.embedder import Surroundings
    from s3sync_dagster.engine.ports import Vector, Vectors
    from s3sync_dagster.model.source import EmbeddingConfig

_WORD = re.compile(r"\w+")
DIMENSION = 384


class HashModel:
    """Signed feature hashing of lower-case words: texts that share words are near each other."""

    name = "s3sync-hash"
    limits = ModelLimits(default_size_bytes=1024)

    def __init__(self, *, dimension: int = DIMENSION) -> None:
        self.dimension = dimension
        self._codes: dict[str, int] = {}

    def configuration(self) -> Mapping[str, Any]:
        """Return a name of our own: no stock client can embed queries for it."""
        return {"type": "known", "name": self.name, "config": {"dimension": self.dimension}}

    def cache_key(self) -> str:
        """Return the kind and the dimension."""
        return f"hash:{self.dimension}"

    def infer(self, texts: Sequence[str]) -> Vectors:
        """Return normalised rows; a text without words is hashed as one."""
        import numpy as np

        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        codes = self._codes
        for row, text in zip(vectors, texts, strict=True):
            words = _WORD.findall(text.lower()) or [text]
            found = np.array([codes.get(word) or self._code(word) for word in words])
            signs = 1.0 - 2.0 * (found & 1)
            row[:] = np.bincount(found >> 1, weights=signs, minlength=self.dimension)
            if not row.any():  # words may cancel each other out
                row[0] = 1.0
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def infer_query(self, text: str) -> Vector:
        """Return the same vector as for a document."""
        return self.infer([text])[0]

    def _code(self, word: str) -> int:
        """Return twice the word's place, odd where it counts down."""
        number = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest())
        code = (number >> 1) % self.dimension * 2 + (1 - (number & 1))
        if len(self._codes) < 100_000:  # bounded: texts of one corpus share their words
            self._codes[word] = code
        return code


def open_model(_config: EmbeddingConfig, _around: Surroundings) -> HashModel:
    """Return the model."""
    return HashModel()
