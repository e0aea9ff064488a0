"""From configuration to embedder: opens what ``model.embedding_kinds`` lists."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from s3sync_dagster.embedding.embedder import ModelEmbedder, Surroundings, VectorStore
from s3sync_dagster.model.embedding_kinds import BM25, CPU, EMBEDDING_KINDS, SPARSE_MODELS
from s3sync_dagster.model.errors import InvalidSetting

if TYPE_CHECKING:
    from s3sync_dagster.engine.ports import SparseEmbedder
    from s3sync_dagster.model.source import EmbeddingConfig


def open_embedder(
    config: EmbeddingConfig,
    *,
    model_dir: Path | None = None,
    cache: VectorStore | None = None,
    api_key: Callable[[str], str | None] | None = None,
    embed_url: str | None = None,
    workers: int = 1,
    device: str = CPU,
) -> ModelEmbedder:
    """Return the embedder for a source's configuration; weights load at the first text.

    Args:
        config: kind, and what that kind needs besides.
        model_dir: where local models lie or are put; None: Chroma's own cache.
        cache: vectors of earlier runs.
        api_key: gives the value of a variable such as ``api_key_env`` names.
        embed_url: what speaks the wire of Chroma Cloud's embedding service (``CHROMA_EMBED_URL``).
        workers: threads that infer side by side, for a local model that gains from it.
        device: where ONNX Runtime runs local models, of ``embedding_kinds.DEVICES``.

    Raises:
        MissingEngine: a local model is nowhere to be found; names the ways to get it.
        InvalidSetting: a kind that there is none of, or a field that it needs is missing.
    """
    kind = EMBEDDING_KINDS.get(config.kind)
    if kind is None:
        known = ", ".join(EMBEDDING_KINDS)
        raise InvalidSetting(f"embedding.kind is {config.kind!r}; it has to be one of {known}.")
    if not all(getattr(config, name) for name in kind.needs):
        names = " and ".join(f"embedding.{name}" for name in kind.needs)
        raise InvalidSetting(f"embedding.kind {config.kind!r} needs {names}.")
    around = Surroundings(
        model_dir=model_dir,
        api_key=api_key or (lambda _variable: None),
        embed_url=embed_url,
        workers=workers,
        device=device,
    )
    # Each kind's module is imported only where it is used: runs pay for what they need.
    module = importlib.import_module(f"s3sync_dagster.embedding.{kind.module}")
    model = module.open_model(config, around)
    sparse = _open_sparse(config, around)
    return ModelEmbedder(model, cache=cache, sparse=sparse)


def _open_sparse(config: EmbeddingConfig, around: Surroundings) -> SparseEmbedder | None:
    if config.sparse_model is None:
        return None
    if config.sparse_model not in SPARSE_MODELS:
        known = " and ".join(SPARSE_MODELS)
        raise InvalidSetting(f"embedding.sparse_model {config.sparse_model!r}: known are {known}.")
    from s3sync_dagster.embedding import sparse  # noqa: PLC0415

    if config.sparse_model == BM25:
        return sparse.Bm25Sparse(config.sparse_key)
    return sparse.open_splade(config.sparse_key, around)
