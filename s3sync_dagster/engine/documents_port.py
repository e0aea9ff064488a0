"""What documents and collections ask of the catalog."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from s3sync_dagster.engine.deletions_port import StandingDocuments

if TYPE_CHECKING:
    from s3sync_dagster.core.handed_on_ids import Place
    from s3sync_dagster.core.intent import Claim, DocumentCommit, Intent, Refusal
    from s3sync_dagster.core.lives import Lives
    from s3sync_dagster.core.outcome import KeyOutcome
    from s3sync_dagster.core.state import (
        CheckCursor,
        DocumentState,
        KnownCollection,
    )
    from s3sync_dagster.engine.rebuilding import RecoveredDocument
    from s3sync_dagster.model.document import Metadata
    from s3sync_dagster.model.source import Source


class DocumentsPort(StandingDocuments, Protocol):
    """Intents and commits."""

    def claim(self, token: str, source: Source, intents: Sequence[Intent]) -> list[Claim | Refusal]:
        """Put documents under the batch's intent."""
        ...

    def forget_bytes(self, token: str, source_id: str, ids: Sequence[int]) -> None:
        """Forget of which bytes documents are that were read back and are written over now."""
        ...

    def claim_removal(
        self, token: str, source_id: str, states: Sequence[DocumentState]
    ) -> list[DocumentState]:
        """Turn documents ``removing`` under the batch; returns those that are still theirs."""
        ...

    def count_told_by_heads(self, source_id: str, *, keys: int, going: int) -> bool:
        """Count documents that lose a sidecar of which a HEAD alone told that it is gone.

        Returns False where those are too many with what went lately: none is counted.
        """
        ...

    def claim_told_by_heads(
        self, token: str, source_id: str, states: Sequence[DocumentState]
    ) -> bool:
        """Claim and count removals that only HEADs tell; False: too many, and none is claimed."""
        ...

    def of_source(
        self, source_id: str, *, after_id: int = 0, limit: int = 1000
    ) -> list[DocumentState]:
        """Return documents of a source by row id, a page at a time."""
        ...

    def that_follow(
        self, source: Source, before: Source, *, limit: int = 200
    ) -> list[DocumentState]:
        """Return the documents in whose favour those of a source before would leave next."""
        ...

    def count(self, source_id: str) -> int:
        """Return how many documents with records a source has that are not being removed."""
        ...

    def removed_by_heads(self, source_id: str) -> int:
        """Return how many documents went lately that nothing but HEADs told to be gone."""
        ...

    def enqueue_unclean(self, source_id: str) -> int:
        """Ask for work on documents that are not clean; returns how many keys."""
        ...

    def forget(self, ids: Sequence[int]) -> None:
        """Delete rows whose records are gone."""
        ...

    def forget_swept(self, ids: Sequence[int]) -> list[DocumentState]:
        """Delete rows that a sweeper took; return those that their source has again."""
        ...

    def being_cleared(
        self, source: Source, collection_name: str, document_ids: Sequence[str]
    ) -> set[str]:
        """Return which record ids belong to sources whose records are being taken away."""
        ...

    def rings_closed(
        self, source: Source, asked: Mapping[str, Collection[Place]]
    ) -> dict[str, set[Place]]:
        """Return what keys close a ring by asking for: others have failed of an id in turn.

        Args:
            source: whose keys they are.
            asked: key -> collection and document id of what it is to have.
        """
        ...

    def written_by(
        self,
        source: Source,
        collection_name: str,
        document_ids: Sequence[str],
        *,
        collection_id: str,
    ) -> dict[str, str]:
        """Return the ids of the sources that wrote documents to this very collection, by theirs."""
        ...

    def collections(self, source_id: str) -> list[tuple[str, str, str]]:
        """Return (tenant, database, collection) of all documents of a source."""
        ...

    def read_back(
        self,
        source: Source,
        found: Sequence[RecoveredDocument],
        *,
        collection_name: str,
        collection_id: str,
    ) -> int:
        """Add documents that the catalog does not have, as not clean; return how many."""
        ...

    def may_write_over(self, source_id: str, owners: Collection[str]) -> Mapping[str, Lives | None]:
        """Return which sources' records this one may write over (``core.writers.is_free``)."""
        ...

    def ended(self) -> dict[str, Lives]:
        """Return the lives of sources that ended, by their ids."""
        ...

    def lives(self, source_id: str) -> Lives:
        """Return the lives of one id that ended."""
        ...

    def ask_for_freed(self) -> int:
        """Let all keys whose record ids were others' come now; returns how many."""
        ...

    def left_behind(self, *, after_id: int = 0, limit: int = 200) -> list[DocumentState]:
        """Return documents that late workers wrote for sources that were deleted."""
        ...

    def drop_source(self, source_id: str) -> None:
        """Forget a source and all that belongs to it."""
        ...

    def commit(
        self,
        token: str,
        source: Source,
        *,
        written: Sequence[DocumentCommit] = (),
        removed: Sequence[int] = (),
        left: Collection[int] = (),
        outcomes: Sequence[KeyOutcome] = (),
    ) -> set[int]:
        """Make acknowledged writes the truth; returns documents lost to another batch.

        ``together`` are all keys of the batch.
        """
        ...

    def forget_texts(self, source_id: str, states: Sequence[DocumentState]) -> int:
        """Let append mode write documents of whose records none is left; return how many."""
        ...


class KnownCollectionsPort(Protocol):
    """Which collections a source writes to."""

    def of_source(self, source_id: str) -> list[KnownCollection]:
        """Return the collections that a source has written to."""
        ...

    def meet(
        self, source_id: str, met: KnownCollection, *, emptied: bool = False, seconds: float = 3600
    ) -> int | None:
        """Note which collection was met; distrust documents that were not written to it."""
        ...

    def forget_unused(self, source_id: str, place: KnownCollection) -> bool:
        """Forget a collection in which the source has nothing."""
        ...

    def records(self, source_id: str, place: KnownCollection) -> int:
        """Return how many records the source's trusted documents have in a collection."""
        ...

    def due_for_check(
        self, source_id: str, *, interval_seconds: float
    ) -> list[tuple[KnownCollection, CheckCursor]]:
        """Return the collections of which a part is to be held against the catalog now."""
        ...

    def checked(
        self, source_id: str, place: KnownCollection, cursor: CheckCursor, *, at: float
    ) -> None:
        """Note how far the rolling check has come, and when; 0: the rest is due at once."""
        ...

    def to_check(
        self, source_id: str, place: KnownCollection, *, from_id: int, limit: int
    ) -> list[DocumentState]:
        """Return documents from a row id on: the trusted, and those that only a look can mend."""
        ...

    def holders(self, place: KnownCollection, document_ids: Sequence[str]) -> list[DocumentState]:
        """Return the documents, of whichever source, that have these ids in a collection."""
        ...

    def trust_again(
        self,
        source_id: str,
        place: KnownCollection,
        states: Sequence[DocumentState],
        *,
        etags: Mapping[int, str] = ...,
    ) -> int:
        """Make documents clean whose every record was found as it was written.

        ``etags``: of the bytes of which they are, by their ids, where these were forgotten.
        """
        ...

    def doubt(
        self,
        source_id: str,
        place: KnownCollection,
        said: Sequence[tuple[DocumentState, Metadata]],
    ) -> int:
        """Keep documents from readers whose records name others than a restored catalog does."""
        ...

    def keep(
        self,
        source_id: str,
        place: KnownCollection,
        left: Sequence[tuple[DocumentState, str]],
    ) -> int:
        """Have append mode keep documents of a restored catalog that are not as it has them."""
        ...


class RebuildingPort(Protocol):
    """What stays of documents when a catalog or a collection is lost."""

    def kept_owners(self) -> set[str]:
        """Return the ids of deleted sources whose records were to stay."""
        ...

    def not_written_again(self, source: Source) -> list[DocumentState]:
        """Return documents of the source's collection that nothing would write again now."""
        ...

    def to_be_read(self, source: Source, keys: Collection[str]) -> set[str]:
        """Return those of these keys that the source writes now, or would."""
        ...

    def gone_with_collection(self, source: Source, states: Sequence[DocumentState]) -> None:
        """Note that documents have lost their records with the collection, for good."""
        ...

    def let_go(
        self,
        source: Source,
        found: Sequence[RecoveredDocument],
        *,
        collection_name: str,
        collection_id: str,
    ) -> int:
        """Add documents that are to go once others of their objects are whole; returns how many."""
        ...

    def give_way(
        self, source: Source, place: KnownCollection, states: Sequence[DocumentState]
    ) -> int:
        """Have documents of which there is no record any more be removed; returns how many."""
        ...
