"""The schema of a collection on Cloud and distributed Chroma, as the hosted Sync makes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from s3sync_dagster.engine.ports import Embedder, SparseEmbedder

NOTHING: Mapping[str, Any] = {}
"""Where an answer has no such part."""


def collection_schema(
    embedder: Embedder, sparse: SparseEmbedder | None, *, space: str
) -> dict[str, Any]:
    """Return the ``schema`` of a new collection: dense index, and a sparse one under its key."""
    dense = {"space": space, "embedding_function": embedder.configuration() or {"type": "legacy"}}
    keys: dict[str, Any] = {
        "#document": {
            "string": {
                "fts_index": {"enabled": True, "config": {}},
                "string_inverted_index": {"enabled": False, "config": {}},
            }
        },
        "#embedding": {
            "float_list": {
                "vector_index": {"enabled": True, "config": {**dense, "source_key": "#document"}}
            }
        },
    }
    if sparse is not None:
        keys[sparse.key] = {
            "sparse_vector": {"sparse_vector_index": {"enabled": True, "config": _sparse(sparse)}}
        }
    return {
        "defaults": {
            "string": {
                "fts_index": {"enabled": False, "config": {}},
                "string_inverted_index": {"enabled": True, "config": {}},
            },
            "float_list": {"vector_index": {"enabled": False, "config": dense}},
            "sparse_vector": {
                "sparse_vector_index": {
                    "enabled": False,
                    "config": {"embedding_function": {"type": "unknown"}},
                }
            },
            "int": {"int_inverted_index": {"enabled": True, "config": {}}},
            "float": {"float_inverted_index": {"enabled": True, "config": {}}},
            "bool": {"bool_inverted_index": {"enabled": True, "config": {}}},
        },
        "keys": keys,
    }


def sparse_function(found: Mapping[str, Any], key: str) -> str | None:
    """Return the name of the function behind a collection's sparse index, None without one."""
    keys = (found.get("schema") or NOTHING).get("keys") or NOTHING
    vectors = (keys.get(key) or NOTHING).get("sparse_vector") or NOTHING
    index = vectors.get("sparse_vector_index") or NOTHING
    if not index.get("enabled"):
        return None
    return ((index.get("config") or NOTHING).get("embedding_function") or NOTHING).get("name")


def _sparse(sparse: SparseEmbedder) -> dict[str, Any]:
    config: dict[str, Any] = {
        "embedding_function": sparse.configuration(),
        "source_key": "#document",
    }
    if sparse.bm25:
        config["bm25"] = True
    return config
