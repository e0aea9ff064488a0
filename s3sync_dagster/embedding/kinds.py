"""From configuration to embedder: the one place that knows every kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from s3sync_dagster.embedding.embedder import Model, ModelEmbedder, VectorStore
from s3sync_dagster.model.errors import InvalidSetting

if TYPE_CHECKING:
    from s3sync_dagster.core.interfaces import Embedder
    from s3sync_dagster.model.source import EmbeddingConfig


def open_embedder(
    config: EmbeddingConfig,
    *,
    model_dir: Path | None = None,
    cache: VectorStore | None = None,
    api_key: Callable[[str], str | None] | None = None,
) -> Embedder:
    """Return the embedder for a source's configuration; weights load at the first text.

    Args:
        config: kind, and what that kind needs besides.
        model_dir: where local models lie or are put; None: ``~/.cache/s3sync/models``.
        cache: vectors of earlier runs.
        api_key: gives the value of the variable that ``api_key_env`` names.

    Raises:
        MissingEngine: a local model is nowhere to be found; names the ways to get it.
        InvalidSetting: a field that this kind needs is missing.
    """
    model = _open_model(config, model_dir, api_key or _no_key)
    return cast("Embedder", ModelEmbedder(model, cache=cache))


def _open_model(
    config: EmbeddingConfig, model_dir: Path | None, api_key: Callable[[str], str | None]
) -> Model:
    # Each kind's module is imported only where it is used: runs pay for what they need.
    match config.kind:
        case "hash":
            from s3sync_dagster.embedding.hashing import HashModel  # noqa: PLC0415

            return HashModel()
        case "minilm":
            from s3sync_dagster.embedding.minilm import MiniLmModel  # noqa: PLC0415
            from s3sync_dagster.embedding.minilm_files import find_minilm  # noqa: PLC0415

            return MiniLmModel(find_minilm(model_dir))
        case _:
            raise InvalidSetting(f"embedding.kind {config.kind!r} is not one of minilm, hash")


def _no_key(_variable: str) -> str | None:
    return None
