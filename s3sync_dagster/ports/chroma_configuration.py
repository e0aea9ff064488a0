"""What a collection is made with, and the comparison with one that exists.

Chroma compares only the function's name, silently: another model under the same name, another
space or other settings would put vectors side by side that have nothing to do with each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from s3sync_dagster.model.errors import Conflict, EmbeddingMismatch
from s3sync_dagster.ports.chroma_schema import NOTHING, collection_schema, sparse_function

if TYPE_CHECKING:
    from s3sync_dagster.engine.ports import Embedder

SPACE = "cosine"
_SAME_VECTORS = {"onnx_mini_lm_l6_v2": "default"}
"""Names under which Chroma knows one and the same function."""
_DECIDES_NOTHING = frozenset(
    {
        "api_base",
        "api_key_env_var",
        "default_headers",
        "organization_id",
        "preferred_providers",
        "timeout",
        "url",
    }
)
"""Settings that say where a model runs, not which it is."""


def new_collection(name: str, embedder: Embedder, *, schema: bool = False) -> dict[str, Any]:
    """Return the body that creates a collection.

    Args:
        name: of the collection.
        embedder: its configuration is persisted, so that any stock client can query by text.
        schema: create by schema, as Cloud does; always done for sparse vectors, which only a
            schema can name (a single node then answers that it cannot).
    """
    sparse = getattr(embedder, "sparse", None)
    if schema or sparse is not None:
        return {"name": name, "schema": collection_schema(embedder, sparse, space=SPACE)}
    configuration = {"hnsw": {"space": SPACE}, "embedding_function": embedder.configuration()}
    return {"name": name, "configuration": configuration}


def check_collection(
    found: Mapping[str, Any], embedder: Embedder | None, *, reads: bool = False
) -> None:
    """Compare a collection as the API shows it with what the embedder makes.

    Who only deletes by id has no embedder, and may do so in a finished collection too, as who only
    ``reads`` may.

    Raises:
        Conflict: it is marked ``finished_ingest`` (reason of the same name).
        EmbeddingMismatch: another function, space or sparse index.
    """
    if embedder is None:
        return
    name = found["name"]
    if not reads and (found.get("metadata") or NOTHING).get("finished_ingest") is True:
        raise Conflict(
            f"the collection {name!r} is marked finished_ingest: nothing is added to it any more",
            reason="finished_ingest",
        )
    configuration = found.get("configuration_json") or NOTHING
    theirs = _identity(configuration.get("embedding_function"))
    ours = _identity(embedder.configuration())
    if theirs != ours:
        raise _mismatch(name, f"embedding function {_shown(theirs)}", _shown(ours))
    index = configuration.get("hnsw") or configuration.get("spann") or NOTHING
    if (space := index.get("space")) != SPACE:
        if reads:
            raise EmbeddingMismatch(
                f"the collection {name!r} compares vectors by {space!r}; questions are answered in "
                f"collections of {SPACE!r}, as sources make them (Chroma's default is 'l2'): ask "
                "it with Chroma's own client, or write it anew"
            )
        raise _mismatch(name, f"space {space!r}", repr(SPACE))
    sparse = getattr(embedder, "sparse", None)
    if sparse is not None:
        indexed, wanted = sparse_function(found, sparse.key), sparse.configuration()["name"]
        if indexed != wanted:
            raise _mismatch(name, f"the sparse function {indexed!r}", f"{wanted!r}")


def check_dimension(found: Mapping[str, Any], embedder: Embedder) -> None:
    """Compare the length of vectors. Apart, since some embedders ask their endpoint for theirs.

    Raises:
        EmbeddingMismatch: another dimension.
        Unavailable: the endpoint does not tell.
    """
    theirs = found.get("dimension")
    if theirs is not None and theirs != embedder.dimension:
        raise _mismatch(found["name"], f"vectors of {theirs} numbers", str(embedder.dimension))


def _mismatch(name: str, theirs: str, ours: str) -> EmbeddingMismatch:
    return EmbeddingMismatch(
        f"the collection {name!r} has {theirs}, this source needs {ours}; use another collection, "
        "or let `s3sync reindex SOURCE --into COLLECTION` build a new one beside it"
    )


def _identity(function: Mapping[str, Any] | None) -> tuple[str, dict[str, Any]] | None:
    """Return name and deciding settings; None for a function that Chroma does not know."""
    if not function or function.get("type") != "known":
        return None
    name = str(function.get("name"))
    settings: Mapping[str, Any] = function.get("config") or {}
    return _SAME_VECTORS.get(name, name), {
        key: value
        for key, value in settings.items()
        if key not in _DECIDES_NOTHING and value is not None
    }


def _shown(identity: tuple[str, dict[str, Any]] | None) -> str:
    if identity is None:
        return "unknown"
    name, settings = identity
    model = settings.get("model_name") or settings.get("model")
    return f"{name!r} ({model})" if isinstance(model, str) else repr(name)
