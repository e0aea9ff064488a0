"""Our own models as embedding functions of Chroma's client.

After ``register_embedding_functions()`` a stock client in this process can query collections of
the kinds ``minilm-bf16``, ``static`` and ``hash`` by text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from s3sync_dagster.embedding.kinds import open_embedder
from s3sync_dagster.model.source import EmbeddingConfig

if TYPE_CHECKING:
    from s3sync_dagster.engine.ports import Embedder


def register_embedding_functions() -> None:
    """Make the names ``s3sync-{kind}`` of these kinds known to Chroma's client."""
    from chromadb.utils.embedding_functions import register_embedding_function

    for kind in ("minilm-bf16", "static", "hash"):
        register_embedding_function(_function(EmbeddingConfig(kind=kind)))


def _function(config: EmbeddingConfig) -> Any:
    """Return a class as Chroma's client wants it: static name, configuration, call."""
    from chromadb import EmbeddingFunction

    class Function(EmbeddingFunction[Any]):
        def __init__(self) -> None:
            self._embedder: Embedder = open_embedder(config)

        def __call__(self, input: Any) -> Any:  # noqa: A002 - the client looks at the name
            return list(self._embedder.embed_documents(input))

        @staticmethod
        def name() -> str:
            return f"s3sync-{config.kind}"

        def get_config(self) -> dict[str, Any]:
            return dict((self._embedder.configuration() or {})["config"])

        @staticmethod
        def build_from_config(config: dict[str, Any]) -> Any:
            return Function()

        def default_space(self) -> Any:
            return "cosine"

        def supported_spaces(self) -> Any:
            return ["cosine", "l2", "ip"]

    return Function
