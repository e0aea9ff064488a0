"""What stands around a hit, and which hits belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from s3sync_dagster.engine.hybrid import fetch_hits
from s3sync_dagster.model.document import Hit

if TYPE_CHECKING:
    from s3sync_dagster.engine.ports import RecordReader

_OF_DOCUMENT = ("s3sync_source", "document_key_sha256")
"""Metadata that all chunks of a document share."""


def document_of(hit: Hit) -> tuple[str, int | None]:
    """Return the hit's document id and its place in it; a stranger's record stands alone."""
    number = hit.metadata.get("s3sync_chunk")
    if isinstance(number, int) and hit.id.endswith(f"-{number}"):
        return hit.id.removesuffix(f"-{number}"), number
    return hit.id, None


def with_neighbours(collection: RecordReader, hits: Sequence[Hit], count: int) -> list[Hit]:
    """Return the hits with up to ``count`` chunks before and after each. One request."""
    wanted: list[tuple[list[str], list[str]]] = []
    for hit in hits:
        document, number = document_of(hit)
        if number is None:
            wanted.append(([], []))
            continue
        first = max(0, number - count)
        before = [f"{document}-{place}" for place in range(first, number)]
        after = [f"{document}-{place}" for place in range(number + 1, number + count + 1)]
        wanted.append((before, after))
    ids = dict.fromkeys(name for before, after in wanted for name in (*before, *after))
    found = fetch_hits(collection, list(ids)) if ids else {}
    return [
        replace(
            hit,
            before=tuple(found[name] for name in before if _is_beside(hit, found.get(name))),
            after=tuple(found[name] for name in after if _is_beside(hit, found.get(name))),
        )
        for hit, (before, after) in zip(hits, wanted, strict=True)
    ]


def _is_beside(hit: Hit, other: Hit | None) -> bool:
    """Tell whether a record is there, and of the hit's document: an id alone may be anybody's."""
    return other is not None and all(
        hit.metadata.get(name) == other.metadata.get(name) for name in _OF_DOCUMENT
    )


def by_document(hits: Sequence[Hit]) -> list[Hit]:
    """Return the hits with those of one document together, the document of the best one first."""
    groups: dict[str, list[Hit]] = {}
    for hit in hits:
        groups.setdefault(document_of(hit)[0], []).append(hit)
    return [hit for group in groups.values() for hit in group]
