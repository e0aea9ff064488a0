"""The models of a process: what embeds, what orders hits anew, and vectors of earlier runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from s3sync_dagster.engine.hybrid import Reranker
from s3sync_dagster.engine.ports import Embedder
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster.settings import Settings

if TYPE_CHECKING:
    from s3sync_dagster.catalog.database import Database
    from s3sync_dagster.embedding.cache import VectorCache
    from s3sync_dagster.embedding.embedder import ModelEmbedder

_log = logging.getLogger(__name__)


class OpenModels:
    """Each model is loaded at its first use, once a process, and lives until ``close``."""

    def __init__(
        self,
        settings: Settings,
        *,
        database: Callable[[], Database],
        api_key: Callable[[str], str | None],
        lock: threading.RLock,
    ) -> None:
        """Keep what models are opened with; nothing is opened yet.

        Args:
            settings: of the process.
            database: of the catalog; asked for at the first use of the cache.
            api_key: returns a variable that a source's configuration names.
            lock: of all that the process opens; one, so that nobody waits for who waits for him.
        """
        self._settings = settings
        self._database = database
        self._api_key = api_key
        self._lock = lock
        self._embedders: dict[tuple[str, str | None], ModelEmbedder] = {}
        self._reranker: Reranker | None = None
        self._vectors: VectorCache | None = None

    def embedder_for(self, config: EmbeddingConfig, *, apart: str | None) -> Embedder:
        """Return the model, loaded once a process.

        Args:
            config: of a source.
            apart: whose vectors are cached apart from those of others; None: nobody's.
        """
        with self._lock:
            key = repr(config)
            if (key, None) not in self._embedders:
                self._embedders[key, None] = self.new_embedder(config, cache=self.vector_cache)
            if apart is not None and (key, apart) not in self._embedders:
                self._embedders[key, apart] = self._embedders[key, None].apart(apart)
            return self._embedders[key, apart]

    def new_embedder(self, config: EmbeddingConfig, *, cache: VectorCache | None) -> ModelEmbedder:
        """Return the model, opened anew; without a cache each of its texts is inferred."""
        from s3sync_dagster.embedding import open_embedder  # noqa: PLC0415

        return open_embedder(
            config,
            model_dir=self._model_dir(),
            cache=cache,
            api_key=self._api_key,
            embed_url=self._settings.chroma_embed_url,
            workers=self._inference_workers(),
            device=self._settings.embedding_device,
        )

    @property
    def reranker(self) -> Reranker | None:
        """What orders hybrid hits anew, loaded once a process; None where none is named.

        Raises:
            MissingEngine: it is named and not at hand, or cannot be used.
        """
        with self._lock:
            if self._reranker is None and self._settings.reranker is not None:
                from s3sync_dagster.embedding.reranker import open_reranker  # noqa: PLC0415

                self._reranker = open_reranker(
                    self._settings.reranker,
                    model_dir=self._model_dir(),
                    workers=self._inference_workers(),
                    device=self._settings.embedding_device,
                )
            return self._reranker

    def _model_dir(self) -> Path | None:
        if (fault := self._settings.model_dir_fault) is not None:
            _say_once(fault)
        return self._settings.model_dir

    def _inference_workers(self) -> int:
        """Return how many batches a local model infers side by side."""
        from s3sync_dagster.workers.capacity import usable_cores  # noqa: PLC0415

        return self._settings.embedding_workers or max(1, usable_cores() // 2)

    @property
    def vector_cache(self) -> VectorCache:
        """Vectors of earlier runs: beside the catalog in Postgres, else a file of this home."""
        with self._lock:
            if self._vectors is None:
                from s3sync_dagster.embedding.cache import VectorCache  # noqa: PLC0415

                database = self._database()
                url = database.url
                where = self._settings.home / "cache" / "vectors.db"
                if not database.sqlite:
                    self._vectors = VectorCache(url.render_as_string(hide_password=False))
                else:
                    where.parent.mkdir(parents=True, exist_ok=True)
                    self._vectors = VectorCache(where)
            return self._vectors

    def close(self) -> None:
        """Close what was opened."""
        with self._lock:
            if self._vectors is not None:
                self._vectors.close()
            self._vectors = self._reranker = None
            self._embedders.clear()


@cache
def _say_once(sentence: str) -> None:
    _log.warning("%s", sentence)
