"""Sparse vectors for servers that index them: BM25 made here, Splade by Cloud's service."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from s3sync_dagster.model.embedding_kinds import SPLADE
from s3sync_dagster.model.errors import MissingEngine, Unavailable

if TYPE_CHECKING:
    from s3sync_dagster.embedding.embedder import Surroundings
    from s3sync_dagster.embedding.endpoint import Endpoint

Sparse = tuple[list[int], list[float]]
KEY_VARIABLE = "CHROMA_API_KEY"


class Bm25Sparse:
    """Chroma's own BM25 function: the terms must hash as they do in stock clients."""

    bm25 = True

    def __init__(self, key: str) -> None:
        """Prepare the function.

        Raises:
            MissingEngine: its stemmer is not installed.
        """
        from chromadb.utils.embedding_functions import ChromaBm25EmbeddingFunction

        self.key = key
        self._function = ChromaBm25EmbeddingFunction()
        try:
            self._function(["probe"])
        except (ImportError, ValueError):
            raise MissingEngine(
                "sparse vectors with BM25 need the package snowballstemmer; install it"
            ) from None

    def configuration(self) -> Mapping[str, Any]:
        """Return what stock clients rebuild."""
        return {
            "type": "known",
            "name": self._function.name(),
            "config": self._function.get_config(),
        }

    def embed_documents(self, texts: Sequence[str]) -> list[Sparse]:
        """Return term hashes and weights per text."""
        return [(made.indices, made.values) for made in self._function(list(texts))]

    def embed_query(self, text: str) -> Sparse:
        """Return term hashes and weights of a query."""
        (made,) = self._function.embed_query([text])
        return made.indices, made.values


class SpladeSparse:
    """Splade through the embedding service."""

    bm25 = False

    def __init__(self, key: str, endpoint: Endpoint, *, api_key_env: str | None = None) -> None:
        self.key = key
        self._endpoint = endpoint
        self._api_key_env = api_key_env or KEY_VARIABLE

    def configuration(self) -> Mapping[str, Any]:
        """Return what stock clients rebuild."""
        config = {"api_key_env_var": self._api_key_env, "model": SPLADE, "include_tokens": False}
        return {"type": "known", "name": "chroma-cloud-splade", "config": config}

    def embed_documents(self, texts: Sequence[str]) -> list[Sparse]:
        """Return token ids, ascending, and weights per text."""
        return self._endpoint.embed_rows(texts, self._ask)

    def embed_query(self, text: str) -> Sparse:
        """Return token ids and weights of a query."""
        return self.embed_documents([text])[0]

    def _ask(self, texts: Sequence[str]) -> list[Sparse]:
        body = {"texts": list(texts), "task": "", "target": "", "fetch_tokens": "false"}
        answer = self._endpoint.post(body)
        try:
            return [_sorted(made["indices"], made["values"]) for made in answer["embeddings"]]
        except (KeyError, TypeError, ValueError, OverflowError):
            raise Unavailable(
                f"{self._endpoint.address} did not answer as Chroma's sparse service does",
                reason="bad_vectors",
            ) from None


def _sorted(indices: Sequence[int], values: Sequence[float]) -> Sparse:
    """Return ascending indices: Chroma refuses any other order. ``ValueError`` for what is none."""
    pairs = sorted(zip(indices, values, strict=True))
    if not all(_is_term(index) and math.isfinite(value) for index, value in pairs):
        raise ValueError
    return [index for index, _ in pairs], [float(value) for _, value in pairs]


def _is_term(index: object) -> bool:
    return type(index) is int and 0 <= index < 2**32


def open_splade(key: str, around: Surroundings) -> SpladeSparse:
    """Return Splade by Cloud's service, or what speaks its wire."""
    from s3sync_dagster.embedding.chroma_cloud import open_cloud_endpoint  # noqa: PLC0415

    url = around.embed_url
    secret = around.api_key(KEY_VARIABLE) if url else around.required_key(KEY_VARIABLE)
    endpoint = open_cloud_endpoint(url, api_key=secret, model=SPLADE, path="/embed_sparse")
    return SpladeSparse(key, endpoint)
