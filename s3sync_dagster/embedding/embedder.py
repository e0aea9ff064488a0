"""One embedder around every kind of model: cache, counters and the check of what comes back."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from s3sync_dagster.engine.clock import Clock
from s3sync_dagster.model.errors import InvalidSetting, LimitExceeded, Unavailable

if TYPE_CHECKING:
    from s3sync_dagster.engine.ports import ModelLimits, SparseEmbedder, Vector, Vectors

SLICE_TEXTS, LEAST_SLICE_TEXTS = 2048, 16
SLICE_SECONDS = 2.0
"""About so long is inferred between two writes to the cache: what a run that is killed or
interrupted has to infer again. Within the bounds above, by the time of the slice before."""

TEXTS_IN_MEMORY = 20_000
"""Texts whose vectors are held in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the models of this process are opened with; see ``open_embedder``."""

    model_dir: Path | None
    api_key: Callable[[str], str | None]
    embed_url: str | None
    workers: int
    device: str

    def required_key(self, variable: str) -> str:
        """Return the key that a variable holds. Raises ``InvalidSetting``."""
        key = self.api_key(variable)
        if not key:
            raise InvalidSetting(
                f"the embedding endpoint needs a key: the variable {variable} is not set",
                reason="missing_key",
            )
        return key


class Model(Protocol):
    """What one kind of embedding has to know; ``ModelEmbedder`` does the rest."""

    name: str
    limits: ModelLimits

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        ...

    def configuration(self) -> Mapping[str, Any] | None:
        """Return what Chroma persists of the embedding function."""
        ...

    def cache_key(self) -> str:
        """Return what tells this model and task from all others."""
        ...

    def infer(self, texts: Sequence[str]) -> Vectors:
        """Return one row of float32 per document text; at least one text."""
        ...

    def infer_query(self, text: str) -> Vector:
        """Return the query's vector."""
        ...


class VectorStore(Protocol):
    """What the embedder needs of a cache (``embedding.cache.VectorCache``)."""

    def get(self, model: str, texts: Sequence[str]) -> dict[str, Vector]:
        """Return the vectors that are known, by text."""
        ...

    def put(self, model: str, texts: Sequence[str], vectors: Vectors) -> None:
        """Remember vectors."""
        ...

    def forget(self, model: str, texts: Sequence[str]) -> None:
        """Forget vectors that were found and are none: others take their place."""
        ...


class ModelEmbedder:
    """An ``Embedder`` over one model. Safe for several threads where the model is."""

    def __init__(
        self,
        model: Model,
        *,
        cache: VectorStore | None = None,
        sparse: SparseEmbedder | None = None,
        clock: Clock | None = None,
        apart: str | None = None,
    ) -> None:
        self._model = model
        self._apart = apart
        self._clock = clock or Clock()
        self._slice = 2 * LEAST_SLICE_TEXTS
        self._cache = cache
        self.sparse = sparse
        self._lock = threading.Lock()
        self.inferred = 0
        self._gave_numbers = False
        self.name = model.name
        self.limits = model.limits

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self._model.dimension

    def configuration(self) -> Mapping[str, Any] | None:
        """Return ``{"name", "type", "config"}`` as Chroma persists it for stock clients."""
        return self._model.configuration()

    def cache_key(self) -> str:
        """Return what tells this model and task from all others."""
        return self._model.cache_key()

    def apart(self, owner: str) -> ModelEmbedder:
        """Return one of the same model whose cached vectors are of this owner's texts alone.

        How long a text takes would tell who has it besides.
        """
        return ModelEmbedder(
            self._model, cache=self._cache, sparse=self.sparse, clock=self._clock, apart=owner
        )

    def _kept_as(self) -> str:
        name = self.cache_key()
        return name if self._apart is None else f"{name}\0{self._apart}"

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Return one row per text; equal texts and cached ones cost no inference.

        Of many texts they lie on disk, in a file without a name: those of a large model take 12 KB
        each. All are made before any is returned, so that a model which refuses one half-way
        through a large document has changed nothing.

        Raises:
            Unavailable: the model's endpoint failed; a retry may help.
            FixConfiguration: it cannot work as configured.
        """
        import numpy as np

        if not texts:
            return np.empty((0, self.dimension), dtype=np.float32)
        if len(texts) <= TEXTS_IN_MEMORY:
            return self._embed(texts)
        shape = (len(texts), self.dimension)
        with _room_for(4 * shape[0] * shape[1]) as file:
            rows = np.memmap(file, dtype=np.float32, mode="r+", shape=shape)
        for start in range(0, len(texts), TEXTS_IN_MEMORY):
            part = texts[start : start + TEXTS_IN_MEMORY]
            rows[start : start + len(part)] = self._embed(part)
        return rows

    def _embed(self, texts: Sequence[str]) -> Vectors:
        import numpy as np

        distinct = list(dict.fromkeys(texts))
        known = self._cached(distinct)
        missing = [text for text in distinct if text not in known]
        start = 0
        while part := missing[start : start + self._slice]:
            start += len(part)
            began = self._clock.monotonic()
            vectors = self._checked(self._model.infer(part), rows=len(part))
            with self._lock:
                self.inferred += len(part)
                seconds, least = self._clock.monotonic() - began, self._model.limits.least_texts
                self._slice = next_slice(len(part), seconds, least=least)
            if self._cache:
                self._cache.put(self._kept_as(), part, vectors)
            known.update(zip(part, vectors, strict=True))
        return np.stack([known[text] for text in texts])

    def _cached(self, texts: Sequence[str]) -> dict[str, Vector]:
        """Return the vectors that the cache has, by text; it forgets those that are of no use."""
        import numpy as np

        if self._cache is None:
            return {}
        cached = self._cache.get(self._kept_as(), texts)
        # An endpoint may give others under the same name by now: a shorter form, another model.
        known = {
            text: row
            for text, row in cached.items()
            if len(row) == self.dimension and np.isfinite(row).all()
        }
        if useless := [text for text in cached if text not in known]:
            self._cache.forget(self._kept_as(), useless)
        return known

    def embed_query(self, text: str) -> Vector:
        """Return the query's vector, with the model's query prompt where it has one."""
        return self._checked(self._model.infer_query(text).reshape(1, -1), rows=1)[0]

    def _checked(self, vectors: Vectors, *, rows: int) -> Vectors:
        """Refuse vectors that would damage a collection: wrong shape, NaN, infinity.

        A model that gave numbers before, or of the texts beside it, refuses a text; else it is at
        fault itself.
        """
        import numpy as np

        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        right = vectors.shape == (rows, self.dimension) and self.dimension > 0
        told = np.isfinite(vectors).all(axis=1) if right else np.zeros(0, dtype=bool)
        self._gave_numbers |= bool(told.any())
        if right and self._gave_numbers and not told.all():
            raise LimitExceeded(
                f"the embedding model {self.name!r} makes no numbers of a text, as weights of "
                "sixteen bits do of some: a smaller chunking.max_size_bytes, or weights of 32 "
                "bits, may help",
                reason="text_refused",
            )
        if not right or not told.all():
            raise Unavailable(
                f"the embedding model {self.name!r} gave vectors of shape {vectors.shape}, or with "
                f"NaN or infinity, where {rows} x {self.dimension} finite numbers were expected",
                reason="bad_vectors",
            )
        return vectors


def next_slice(texts: int, seconds: float, *, least: int = LEAST_SLICE_TEXTS) -> int:
    """Return how many texts come next, after so many that took so long."""
    if seconds <= 0:
        return SLICE_TEXTS
    return round(min(max(texts * SLICE_SECONDS / seconds, least), SLICE_TEXTS))


def _room_for(size: int) -> IO[bytes]:
    """Return a file without a name that has so many bytes, before a model is paid for them."""
    file = None
    try:
        file = tempfile.TemporaryFile()  # noqa: SIM115  (the caller closes it)
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
    except OSError as error:
        if file is not None:
            file.close()
        # Of a full disk ``tempfile`` finds no folder at all.
        folder = repr(tempfile.tempdir) if tempfile.tempdir else "a temporary folder"
        raise Unavailable(
            f"the vectors of a large document need {size / 1e6:,.0f} MB in {folder} "
            f"({error.strerror}): make room there, or set TMPDIR to a folder that has it",
            reason="disk_full",
        ) from error
    return file
