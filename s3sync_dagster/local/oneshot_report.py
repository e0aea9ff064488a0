"""What a one-shot sync tells: while it works, and at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from s3sync_dagster.core.outcome import KeyOutcome
from s3sync_dagster.core.state import ListingRow
from s3sync_dagster.model.source import Source

if TYPE_CHECKING:
    from s3sync_dagster.wiring import Parts

PAGE = 1000


@dataclass(slots=True)
class Summary:
    """What a sync did and what the source looks like now; the numbers add up to ``listed``."""

    listed: int = 0
    indexed: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: dict[str, int] = field(default_factory=dict[str, int])
    failed: dict[str, int] = field(default_factory=dict[str, int])
    pending: int = 0
    removed: int = 0
    chunks_written: int = 0
    metadata_updated: int = 0
    chunks_deleted: int = 0
    cut_off: int = 0
    """Underway of which the embedding model does not read the end."""
    embedded: int = 0
    requests: dict[str, int] = field(default_factory=dict[str, int])
    blocked_deletes: int = 0
    blocked_listing: int | None = None
    """Number of its listing, where the removals of that wait for an approval."""
    seconds: float = 0.0
    newly_failed: int = 0


@dataclass(frozen=True, slots=True)
class Underway:
    """How far a sync is between two commits, which may be minutes apart."""

    documents: int = 0
    """Documents that were cut."""
    cut: int = 0
    """Their chunks."""
    embedded: int = 0
    """Underway that have their vector, or are written already."""


class Progress:
    """What a sync tells while it works; the command draws it."""

    def watch(self, look: Callable[[], Underway]) -> None:
        """Whoever draws may look as often as it likes."""

    def listing(self, listing: ListingRow) -> None:
        """A page was committed."""

    def working(self, total: int) -> None:
        """So many keys wait."""

    def read(self, at_most: int) -> None:
        """So many keys were read, or fewer where a batch ended."""

    def keys(self, reports: Sequence[KeyOutcome]) -> None:
        """These keys have ended."""

    def note(self, line: str) -> None:
        """Something that people want to know."""


def absent_objects(parts: Parts, source: Source) -> Counter[tuple[str, str]]:
    """Count by state and reason the objects that the bucket lost and the guard keeps."""
    found = Counter[tuple[str, str]]()
    after = None
    while rows := parts.catalog.views.object_rows(source.id, after=after, limit=PAGE):
        after = rows[-1].object_key
        for row in rows:
            if row.missed:
                reason = row.reason if row.state in ("skipped", "failed") else ""
                found[row.state, reason or ""] += 1
    return found


def without(
    counts: Mapping[str, int], absent: Counter[tuple[str, str]], state: str
) -> dict[str, int]:
    """Return counts by reason without the absent objects of a state."""
    left = {reason: number - absent[state, reason] for reason, number in counts.items()}
    return {reason: number for reason, number in left.items() if number}
