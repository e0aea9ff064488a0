"""What Chroma says of a failure, told apart by the few words that matter.

Foreign text decides, but is never repeated: it may hold parts of documents.
"""

from __future__ import annotations

from collections.abc import Callable

from s3sync_dagster.model.errors import (
    EmbeddingMismatch,
    FixConfiguration,
    InvalidSetting,
    NotPossible,
    S3SyncError,
)

_PASSING = ("Nothing found on disk", "Error finding id", "Missing metadata segment")
"""Damage that stays, but also what a reader meets beside a first write or a delete."""


def may_pass(said: str) -> bool:
    """Return whether what sounds like a damaged index may be gone at the next try."""
    return any(sign in said for sign in _PASSING)


def told_apart(said: str, where: str) -> S3SyncError | None:
    """Return our error for words that Chroma uses, None for all others.

    Args:
        said: the server's or the library's own text.
        where: what our message names.
    """
    for signs, build in _SAID:
        if any(sign in said for sign in signs):
            return build(where)
    return None


def index_damaged(where: str) -> S3SyncError:
    """Return the error of an index that only ``repair`` brings back."""
    return FixConfiguration(
        f"the vector index is damaged: {where}; run s3sync repair", reason="index_damaged"
    )


_SAID: tuple[tuple[tuple[str, ...], Callable[[str], S3SyncError]], ...] = (
    (
        ("hnsw segment", "Error in compaction", "Error finding id", "Error getting embedding"),
        index_damaged,
    ),
    (
        ("uota",),  # QuotaError, "Quota exceeded", "quota"
        lambda where: FixConfiguration(
            f"a quota of Chroma is used up: {where}", reason="quota_exceeded"
        ),
    ),
    (
        ("expecting embedding with dimension",),
        lambda where: EmbeddingMismatch(f"the vectors have another dimension than {where}"),
    ),
    (
        ("not enabled in local", "not supported for local", "not implemented"),
        lambda where: NotPossible(f"this Chroma server cannot do what was asked: {where}"),
    ),
    (
        ("Invalid where", "where clause"),
        lambda where: InvalidSetting(
            f"the filter is not one that Chroma understands: {where}", reason="invalid_filter"
        ),
    ),
)
