"""What the deletion of records that no document has asks of the catalog."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from s3sync_dagster.core.standing import Heir
from s3sync_dagster.core.state import DocumentState, KnownCollection, ObjectState
from s3sync_dagster.model.source import Source


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


class StandingDocuments(ToldOfDeletions, Protocol):
    """What tells what stands in the place of a record (``catalog.Documents``)."""

    def heirs(self, source_ids: Collection[str]) -> Mapping[str, Heir]:
        """Return who has the objects of sources by now that ended; absent: it is not known."""
        ...

    def of_key(self, source_id: str, object_key: str) -> list[DocumentState]:
        """Return the documents of one object."""
        ...

    def removal_blocked(self, source_id: str) -> bool:
        """Return whether the guard holds a listing of the source until a person approves it."""
        ...

    def listing_asked(self, source_id: str) -> bool:
        """Return whether a listing of the source is asked for, as by a restore, and not whole."""
        ...

    def may_have_forgotten(self, source_id: str, collection_name: str) -> bool:
        """Return whether a collection may have records that a restored catalog does not know."""
        ...

    def objects_there(self, source_id: str, keys: Sequence[str]) -> dict[str, ObjectState | None]:
        """Return what is known of these objects, without those that are known not to be there.

        None: it may be there, and how it ended is not known, or is not the end.
        """
        ...

    def sidecars_known(self, source: Source) -> bool:
        """Return whether all that the sidecars of a source ask for is known."""
        ...
