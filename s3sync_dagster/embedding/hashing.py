"""``hash``: vectors from hashed words. For tests and benchmarks; it is no language model."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from s3sync_dagster.core.interfaces import ModelLimits

if TYPE_CHECKING:
    from s3sync_dagster.core.interfaces import Vector, Vectors

_WORD = re.compile(r"\w+")
DIMENSION = 384


class HashModel:
    """Signed feature hashing of lower-case words: texts that share words are near each other."""

    name = "s3sync-hash"
    limits = ModelLimits(default_size_bytes=1024)

    def __init__(self, *, dimension: int = DIMENSION) -> None:
        self.dimension = dimension
        self._places: dict[str, tuple[int, float]] = {}

    def configuration(self) -> Mapping[str, Any]:
        """Return a name of our own: no stock client can embed queries for it."""
        return {"type": "known", "name": self.name, "config": {"dimension": self.dimension}}

    def cache_key(self) -> str:
        """Return the kind and the dimension."""
        return f"hash:{self.dimension}"

    def infer(self, texts: Sequence[str]) -> Vectors:
        """Return normalised rows; a text without words is hashed as one."""
        import numpy as np

        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in zip(vectors, texts, strict=True):
            for word in _WORD.findall(text.lower()) or [text]:
                place, sign = self._place(word)
                row[place] += sign
            if not row.any():  # words may cancel each other out
                row[0] = 1.0
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def infer_query(self, text: str) -> Vector:
        """Return the same vector as for a document."""
        return self.infer([text])[0]

    def _place(self, word: str) -> tuple[int, float]:
        known = self._places.get(word)
        if known is None:
            number = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest())
            known = ((number >> 1) % self.dimension, 1.0 if number & 1 else -1.0)
            if len(self._places) < 100_000:  # bounded: texts of one corpus share their words
                self._places[word] = known
        return known
