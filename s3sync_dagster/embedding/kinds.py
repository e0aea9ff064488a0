"""From configuration to embedder: the one place that knows every kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from s3sync_dagster.embedding.embedder import Model, ModelEmbedder, VectorStore
from s3sync_dagster.model.errors import InvalidSetting

if TYPE_CHECKING:
    from s3sync_dagster.engine.ports import Embedder, SparseEmbedder
    from s3sync_dagster.model.source import EmbeddingConfig


def open_embedder(
    config: EmbeddingConfig,
    *,
    model_dir: Path | None = None,
    cache: VectorStore | None = None,
    api_key: Callable[[str], str | None] | None = None,
    embed_url: str | None = None,
    workers: int = 1,
) -> Embedder:
    """Return the embedder for a source's configuration; weights load at the first text.

    Args:
        config: kind, and what that kind needs besides.
        model_dir: where local models lie or are put; None: Chroma's own cache.
        cache: vectors of earlier runs.
        api_key: gives the value of a variable such as ``api_key_env`` names.
        embed_url: what speaks the wire of Chroma Cloud's embedding service (``CHROMA_EMBED_URL``).
        workers: threads that infer side by side, for a local model that gains from it.

    Raises:
        MissingEngine: a local model is nowhere to be found; names the ways to get it.
        InvalidSetting: a field that this kind needs is missing.
    """
    keys = api_key or _no_key
    model = _open_model(config, model_dir, keys, embed_url, workers)
    sparse = _open_sparse(config, keys, embed_url)
    return cast("Embedder", ModelEmbedder(model, cache=cache, sparse=sparse))


def _open_model(
    config: EmbeddingConfig,
    model_dir: Path | None,
    api_key: Callable[[str], str | None],
    embed_url: str | None,
    workers: int,
) -> Model:
    # Each kind's module is imported only where it is used: runs pay for what they need.
    match config.kind:
        case "hash":
            from s3sync_dagster.embedding.hashing import HashModel  # noqa: PLC0415

            return HashModel()
        case "minilm":
            from s3sync_dagster.embedding.minilm import MiniLmModel  # noqa: PLC0415
            from s3sync_dagster.embedding.minilm_files import find_minilm  # noqa: PLC0415

            return MiniLmModel(find_minilm(model_dir), workers=workers)
        case "static":
            from s3sync_dagster.embedding.static import StaticModel, find_static  # noqa: PLC0415

            return StaticModel(find_static(model_dir))
        case "onnx":
            return _open_onnx(config, model_dir, workers)
        case "openai":
            return _open_openai(config, api_key)
        case "chroma-cloud":
            return _open_chroma_cloud(config, api_key, embed_url)


def _open_onnx(config: EmbeddingConfig, model_dir: Path | None, workers: int) -> Model:
    from s3sync_dagster.embedding.onnx import OnnxModel, find_model  # noqa: PLC0415

    if not config.model:
        raise InvalidSetting(
            "embedding.kind 'onnx' needs embedding.model: the folder of a sentence-embedding "
            "model, or its name"
        )
    folder = find_model(config.model, model_dir)
    return OnnxModel(folder, model=config.model, task=config.task, workers=workers)


def _open_openai(config: EmbeddingConfig, api_key: Callable[[str], str | None]) -> Model:
    from s3sync_dagster.embedding.endpoint import Endpoint  # noqa: PLC0415
    from s3sync_dagster.embedding.openai import OpenAiModel  # noqa: PLC0415

    if not config.endpoint_url or not config.model:
        raise InvalidSetting(
            "embedding.kind 'openai' needs embedding.endpoint_url (such as http://localhost:8080/v1)"
            " and embedding.model"
        )
    key = _required_key(config.api_key_env, api_key) if config.api_key_env else None
    base = config.endpoint_url.rstrip("/")
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return OpenAiModel(
        Endpoint(f"{base}/embeddings", headers=headers),
        model=config.model,
        api_base=base,
        api_key_env=config.api_key_env,
        task=config.task,
    )


def _open_chroma_cloud(
    config: EmbeddingConfig, api_key: Callable[[str], str | None], embed_url: str | None
) -> Model:
    from s3sync_dagster.embedding import chroma_cloud  # noqa: PLC0415

    url = config.endpoint_url or embed_url
    variable = config.api_key_env or chroma_cloud.KEY_VARIABLE
    # An endpoint of one's own may need no key; the hosted service always does.
    key = api_key(variable) if url else _required_key(variable, api_key)
    return chroma_cloud.ChromaCloudModel(
        chroma_cloud.open_cloud_endpoint(url, api_key=key),
        model=config.model,
        task=config.task,
        api_key_env=config.api_key_env,
    )


def _open_sparse(
    config: EmbeddingConfig, api_key: Callable[[str], str | None], embed_url: str | None
) -> SparseEmbedder | None:
    if config.sparse_model is None:
        return None
    from s3sync_dagster.embedding import chroma_cloud, sparse  # noqa: PLC0415

    if config.sparse_model == sparse.BM25:
        return sparse.Bm25Sparse(config.sparse_key)
    if config.sparse_model == sparse.SPLADE:
        key = (
            api_key(sparse.KEY_VARIABLE)
            if embed_url
            else _required_key(sparse.KEY_VARIABLE, api_key)
        )
        endpoint = chroma_cloud.open_cloud_endpoint(
            embed_url, api_key=key, model=sparse.SPLADE, path="/embed_sparse"
        )
        return sparse.SpladeSparse(config.sparse_key, endpoint)
    raise InvalidSetting(
        f"embedding.sparse.model {config.sparse_model!r}: known are {sparse.BM25} and "
        f"{sparse.SPLADE}"
    )


def _required_key(variable: str, api_key: Callable[[str], str | None]) -> str:
    key = api_key(variable)
    if not key:
        raise InvalidSetting(
            f"the embedding endpoint needs a key: the variable {variable} is not set",
            reason="missing_key",
        )
    return key


def _no_key(_variable: str) -> str | None:
    return None
