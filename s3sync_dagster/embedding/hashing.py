"""``hash``: vectors from hashed words. For tests and benchmarks; it is no language model."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from s3sync_dagster.engine.ports import ModelLimits

if TYPE_CHECKING:
    from s3sync_dagster.embedding.embedder import Surroundings
    from s3sync_dagster.engine.ports import Vector, Vectors
    from s3sync_dagster.model.source import EmbeddingConfig

_WORD = re.compile(r"\w+")
DIMENSION = 384


class _Codes(dict[str, int]):
    """Place and sign of each word, in one number."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self._dimension = dimension

    def __missing__(self, word: str) -> int:
        number = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest())
        code = (number >> 1) % self._dimension * 2 + (1 - (number & 1))
        if len(self) < 100_000:  # bounded: texts of one corpus share their words
            self[word] = code
        return code


class HashModel:
    """Signed feature hashing of lower-case words: texts that share words are near each other."""

    name = "s3sync-hash"
    limits = ModelLimits(default_size_bytes=1024)

    def __init__(self, *, dimension: int = DIMENSION) -> None:
        self.dimension = dimension
        self._codes = _Codes(dimension)

    def configuration(self) -> Mapping[str, Any]:
        """Return a name of our own: no stock client can embed queries for it."""
        return {"type": "known", "name": self.name, "config": {"dimension": self.dimension}}

    def cache_key(self) -> str:
        """Return the kind and the dimension."""
        return f"hash:{self.dimension}"

    def infer(self, texts: Sequence[str]) -> Vectors:
        """Return normalised rows; a text without words is hashed as one."""
        import numpy as np

        words = [_WORD.findall(text.lower()) or [text] for text in texts]
        lengths = [len(found) for found in words]
        codes = np.fromiter(
            map(self._codes.__getitem__, chain.from_iterable(words)), np.int64, sum(lengths)
        )
        rows = np.repeat(np.arange(len(texts)) * self.dimension, lengths)
        vectors = (
            np.bincount(
                rows + (codes >> 1),
                weights=1.0 - 2.0 * (codes & 1),
                minlength=len(texts) * self.dimension,
            )
            .reshape(len(texts), self.dimension)
            .astype(np.float32)
        )
        vectors[~vectors.any(axis=1), 0] = 1.0  # words may cancel each other out
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def infer_query(self, text: str) -> Vector:
        """Return the same vector as for a document."""
        return self.infer([text])[0]


def open_model(_config: EmbeddingConfig, _around: Surroundings) -> HashModel:
    """Return the model."""
    return HashModel()
