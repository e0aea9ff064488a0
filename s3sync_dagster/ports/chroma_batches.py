"""How many records one write takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from s3sync_dagster.model.errors import Conflict

if TYPE_CHECKING:
    from s3sync_dagster.engine.ports import WriteLimits
    from s3sync_dagster.model.document import Record

METADATA_BYTES = 1024
"""Allowance for a record's id and metadata on the wire."""


def batches(
    records: Sequence[Record], *, dimension: int, limits: WriteLimits
) -> Iterator[tuple[int, int]]:
    """Yield ranges ``(start, end)`` that keep both limits; a huge record stands alone."""
    vector_bytes = dimension * 4 * 4 // 3  # base64
    start = size = 0
    for place, record in enumerate(records):
        own = len(record.document.encode()) + vector_bytes + METADATA_BYTES
        full = place - start >= limits.max_records or size + own > limits.max_bytes
        if place > start and full:
            yield start, place
            start, size = place, 0
        size += own
    if records:
        yield start, len(records)


def refuse_duplicates(ids: Sequence[str]) -> None:
    """Raise ``Conflict`` for an id that stands twice: one of the two would silently be lost."""
    if len(set(ids)) < len(ids):
        twice = next(name for place, name in enumerate(ids) if name in ids[:place])
        raise Conflict(f"the record id {twice!r} stands twice in one write", reason="duplicate_id")
