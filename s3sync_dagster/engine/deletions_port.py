"""What the deletion of records that no document has asks of the catalog."""

from collections.abc import Sequence
from typing import Protocol

from s3sync_dagster.core.state import DocumentState, KnownCollection


class ToldOfDeletions(Protocol):
    """What the catalog is told of them (``catalog.Documents``)."""

    def holders(self, place: KnownCollection, document_ids: Sequence[str]) -> list[DocumentState]:
        """Return the documents, of whichever source, that have these ids in a collection."""
        ...

    def distrust(self, states: Sequence[DocumentState], *, spoilt: bool = False) -> None:
        """Mark the owners of these record ids not clean and enqueue them.

        ``spoilt``: others did it, and left some of their records.
        """
        ...

    def begin_deletion(self, place: KnownCollection) -> float | None:
        """Note that records are deleted there; return since when, None where others are at it."""
        ...

    def end_deletion(self, place: KnownCollection, since: float | None) -> None:
        """Note that those who grew into it are told."""
        ...

    def cut_off(self, source_id: str, known: KnownCollection) -> list[DocumentState] | None:
        """Return a source's documents written since one began that never ended; None: none is."""
        ...

    def end_cut_off(self, source_id: str, known: KnownCollection) -> None:
        """Note that these are told."""
        ...
