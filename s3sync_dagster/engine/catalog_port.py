"""What the engine asks of the catalog; ``catalog`` fills it on SQLite and Postgres."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from s3sync_dagster.core.facts import KeyFacts, SidecarChange, SidecarState
    from s3sync_dagster.core.intent import Claim, DocumentCommit, Intent, Refusal
    from s3sync_dagster.core.moving import Succession
    from s3sync_dagster.core.news import Told
    from s3sync_dagster.core.outcome import KeyOutcome
    from s3sync_dagster.core.page import PageCommit, PageWindow
    from s3sync_dagster.core.reservation import Take
    from s3sync_dagster.core.state import (
        BatchRow,
        CheckCursor,
        Departing,
        DepartureCursor,
        DocumentState,
        KnownCollection,
        ListedReport,
        ListingRow,
        ObjectState,
        Origin,
        SourceRow,
    )
    from s3sync_dagster.engine.rebuilding import RecoveredDocument
    from s3sync_dagster.model.document import Metadata
    from s3sync_dagster.model.errors import S3SyncError
    from s3sync_dagster.model.invocation import Batch, Trigger
    from s3sync_dagster.model.source import Source


class ListingsPort(Protocol):
    """Numbered passes over a prefix."""

    def begin(self, source_id: str, *, owner: str, fresh: bool = False) -> ListingRow | None:
        """Take up or start the source's listing; None while another owner lives."""
        ...

    def window(
        self, source_id: str, *, after: str | None, until: str | None, limit: int
    ) -> PageWindow:
        """Return what is known of the first ``limit`` keys in (after, until]."""
        ...

    def marks(self, source_id: str, after: str | None, *, every: int, limit: int) -> list[str]:
        """Return each ``every``-th known key behind ``after`` that another one follows."""
        ...

    def live(self, source_id: str, keys: Collection[str]) -> dict[str, str]:
        """Return the status of those keys that have a pending or processing invocation."""
        ...

    def commit_page(
        self, listing: ListingRow, page: PageCommit, *, owner: str
    ) -> ListingRow | None:
        """Store a page; None when the listing is no longer ours."""
        ...

    def departing(self, listing: ListingRow) -> Departing:
        """Return how many documents a listing that has seen all pages would end."""
        ...

    def depart(
        self, listing: ListingRow, *, owner: str, cursor: DepartureCursor, removes: bool
    ) -> DepartureCursor | None:
        """Carry out a part of what a listing ends; returns where the next begins."""
        ...

    def meet(self, listing: ListingRow, *, commit: str) -> None:
        """Note which commit a listing that has just begun goes through."""
        ...

    def end(
        self, listing: ListingRow, *, owner: str, blocked: Departing | None = None
    ) -> ListingRow:
        """End a listing that has seen all pages."""
        ...

    def fail(self, listing: ListingRow, *, owner: str, error: str) -> None:
        """End a listing that cannot go on; it removes nothing."""
        ...

    def pause(self, listing: ListingRow, *, owner: str) -> None:
        """Give a running listing back between two ticks."""
        ...

    def end_dead(self, source_id: str, *, owner: str) -> None:
        """End the running listing of an owner that is known to be dead."""
        ...

    def live_owner(self, source_id: str) -> str | None:
        """Return the owner of the running listing, if there is one."""
        ...

    def live_sources(self) -> set[str]:
        """Return the ids of all sources with a running listing."""
        ...

    def latest(self, source_id: str) -> ListingRow | None:
        """Return the newest listing of a source."""
        ...


class ReportsPort(Protocol):
    """Inventory reports of which listings are made."""

    def note(self, listing: ListingRow, report: ListedReport, *, owner: str) -> ListingRow | None:
        """Store of which report a listing is made; None where the listing is no longer ours."""
        ...

    def amend(
        self,
        listing: ListingRow,
        *,
        owner: str,
        refused: bool = False,
        unasked: int = 0,
        error: str | None = None,
    ) -> None:
        """Store what came out about the report of which our listing is made, and what to say."""
        ...

    def last(self, source_id: str) -> ListingRow | None:
        """Return the newest listing of a source that names a report."""
        ...

    def whole(self, source_id: str) -> ListingRow | None:
        """Return the newest listing of a source that has seen all pages."""
        ...

    def has_unlisted(self, source_id: str) -> bool:
        """Return whether there are documents whose objects this source has heard nothing of."""
        ...

    def gone(self, source_id: str, keys: Sequence[str]) -> set[str]:
        """Return those of the keys whose object is known to be gone."""
        ...

    def retry_due(self, source_id: str) -> int:
        """Ask again for what failed and is due, as a listing would; returns how many keys."""
        ...


class SourcesPort(Protocol):
    """Sources as rows."""

    def rows(self, *, origin: Origin | None = None) -> Sequence[SourceRow]:
        """Return all rows that can be read, oldest first."""
        ...

    def all(self, *, moved: bool = False) -> Sequence[Source]:
        """Return all sources; ``moved``: those too that were, and are not at the end of it."""
        ...

    def ids(self) -> set[str]:
        """Return the ids of all sources that have records here."""
        ...

    def mark_deleting(self, *source_ids: str, keep_records: bool) -> None:
        """Begin the deletion of sources, of all or of none."""
        ...

    def deleting(self, source_id: str) -> str | None:
        """Return ``records`` or ``keep`` for a source that is being deleted, else None."""
        ...

    def looked_through(self, source_id: str) -> list[str] | None:
        """Return the collections that may have records of a source which were forgotten.

        Empty: the catalog was put back from a copy, and nobody has looked since; None: there are
        none, that was not done or somebody has looked.
        """
        ...

    def look_through(self, source_id: str, names: Sequence[str]) -> None:
        """Note which collections may have records that were forgotten, none beside them."""
        ...

    def is_closed_unseen(self, source_id: str) -> bool:
        """Return whether readers with groups see nothing of a source of a restored catalog.

        Who may read was changed in its settings, and records that are forgotten say it as before.
        """
        ...

    def open_seen(self, source_id: str) -> None:
        """Note that all records of a source are known: each says by itself who may read it."""
        ...

    def there(self, source_id: str) -> bool:
        """Return whether there is such a source, and it is not being deleted."""
        ...

    def paused(self, source_id: str) -> bool:
        """Return whether a person paused the source, or it is being deleted."""
        ...

    def listing_asked(self, source_id: str) -> bool:
        """Return whether somebody waits for a listing of the source."""
        ...

    def due_for_listing(self, source_id: str, *, interval_seconds: int) -> bool:
        """Take the source's turn: True when a listing is due."""
        ...


class BatchesPort(Protocol):
    """Batches and the leases on their keys."""

    def pending_sources(self) -> list[str]:
        """Return ids of sources that have due pending invocations."""
        ...

    def reserve(
        self, source_id: str, *, take: Take, owner: str | None = None, run_id: str | None = None
    ) -> Batch | None:
        """Lease pending invocations of a source to a new batch; None when nothing is due."""
        ...

    def lease_keys(
        self, source_id: str, keys: Sequence[str], *, owner: str, run_id: str
    ) -> tuple[Batch | None, dict[str, str]]:
        """Lease just these keys; returns the batch, and the held keys with their runs."""
        ...

    def start(self, token: str, *, owner: str, run_id: str) -> bool:
        """Compare and set ``reserved -> running``."""
        ...

    def row(self, token: str) -> BatchRow | None:
        """Return a batch."""
        ...

    def keys(self, token: str) -> list[str]:
        """Return the object keys that a batch holds."""
        ...

    def live(self, *, source_id: str | None = None) -> Sequence[BatchRow]:
        """Return live batches, oldest first."""
        ...

    def yielded(self, token: str) -> None:
        """Note that a run was asked for."""
        ...

    def prolong(self, token: str) -> None:
        """Prolong the reservation of a batch whose run is still queued."""
        ...

    def take_back(self, token: str, *, why: S3SyncError | None = None) -> bool:
        """End a batch that is still reserved; its invocations say why."""
        ...

    def release(self, token: str, *, died: bool) -> bool:
        """End a live batch that will not finish."""
        ...

    def renew(self, token: str) -> float:
        """Extend the lease; returns the seconds granted, 0 when it is lost."""
        ...

    def begin(self, token: str, keys: Collection[str], *, survived: Collection[str] = ()) -> None:
        """Mark keys as begun, and take the mark back from others."""
        ...

    def give_back(self, token: str, keys: Collection[str]) -> None:
        """Return keys that were not begun."""
        ...

    def finish(self, token: str) -> bool:
        """End the batch."""
        ...


class DocumentsPort(Protocol):
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

    def of_key(self, source_id: str, object_key: str) -> list[DocumentState]:
        """Return the documents of one object."""
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

    def being_cleared(
        self, source: Source, collection_name: str, document_ids: Sequence[str]
    ) -> set[str]:
        """Return which record ids belong to sources whose records are being taken away."""
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

    def may_write_over(self, source_id: str, owners: Collection[str]) -> set[str]:
        """Return which sources' records this one may write over, where it has their ids."""
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

    def distrust(self, states: Sequence[DocumentState], *, spoilt: bool = False) -> None:
        """Mark the owners of these record ids not clean and enqueue them.

        ``spoilt``: others did it, and left some of their records.
        """
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
        """Make acknowledged writes the truth; returns documents lost to another batch."""
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
        self, source_id: str, place: KnownCollection, states: Sequence[DocumentState]
    ) -> int:
        """Make documents clean whose every record was found as it was written."""
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


class WorkPort(Protocol):
    """Reads and writes around a batch's keys."""

    def load(self, token: str) -> list[KeyFacts]:
        """Return the keys that a batch holds."""
        ...

    def record_objects(
        self,
        source_id: str,
        refs: Sequence[Told],
        *,
        known: Mapping[str, ObjectState | None] | None = None,
    ) -> dict[str, str | None]:
        """Store what a HEAD or GET told, unless something newer was told meanwhile."""
        ...

    def record_events(
        self,
        source_id: str,
        *,
        upserts: Sequence[Told],
        sync: Sequence[str],
        remove: Sequence[str],
        sequencers: dict[str, str],
    ) -> None:
        """Commit what events told of one source, with the work that they ask for."""
        ...

    def claims_of(self, source_id: str, paths: Collection[str]) -> dict[str, list[SidecarState]]:
        """Return the sidecars that name these keys, in the order of the sidecars' keys."""
        ...

    def apply_sidecars(
        self,
        token: str,
        source_id: str,
        changes: Sequence[SidecarChange],
        *,
        held: Collection[str] = (),
    ) -> None:
        """Store what sidecars ask for, with the work that follows, while the batch is running."""
        ...

    def ask_again_where_answered(self, source_id: str) -> int:
        """Ask at once for what a service has failed that answers again."""
        ...

    def keys_of_partitions(self, source_id: str, partitions: Sequence[str]) -> dict[str, str]:
        """Return partition key -> object key."""
        ...

    def partitions_to_add(self, source_id: str, keys: Sequence[str]) -> list[str]:
        """Return partition keys that Dagster was not told yet."""
        ...

    def partitions_added(self, source_id: str, partitions: Sequence[str], *, added: bool) -> None:
        """Note that Dagster knows these partitions, or knows them no more."""
        ...


class InvocationsPort(Protocol):
    """Requests for work."""

    def request(
        self, source: Source, keys: Iterable[str], *, trigger: Trigger, force: bool = False
    ) -> list[str]:
        """Ask for work on keys; returns the ids of the invocations."""
        ...

    def live_count(self, source_id: str) -> int:
        """Return pending and processing invocations of a source."""
        ...


class MovesPort(Protocol):
    """Sources that were moved, and what is left of them."""

    def left_by(self, source_id: str) -> list[Source]:
        """Return the sources in whose place this one stands, which wait for their deletion."""
        ...

    def succession(self, source: Source, before: Source) -> Succession:
        """Return how far a source has come in the place of the one before."""
        ...

    def meeting(self, source: Source, before: Source) -> list[str]:
        """Return the collections with documents of the source before where this one writes too."""
        ...

    def claim_leaving(
        self, source: Source, before: Source, *, limit: int = 200
    ) -> list[DocumentState] | None:
        """Claim documents of the source before that may go now; None: another is at it."""
        ...

    def forget_left(self, before_id: str, ids: Sequence[int], *, gone: Sequence[int]) -> bool:
        """Forget those of the claimed documents whose records are gone; False: it came late."""
        ...

    def ask_for_unseen(self, source: Source, told: Callable[[str], Told | None]) -> int:
        """Have keys looked for that only the sources before know; returns how many."""
        ...

    def unseen(self, source_id: str) -> Iterator[list[str]]:
        """Yield the keys of documents that only the sources before one know, part by part."""
        ...

    def hand_requests(self, before_id: str, source: Source) -> int:
        """Give requests that wait for the source before to the new one; returns how many."""
        ...

    def hand_over(self, before_id: str, source: Source) -> bool:
        """Give objects that only the source before had to the new one; False: not at its end."""
        ...


class CatalogPort(Protocol):
    """The catalog as the engine sees it."""

    @property
    def sources(self) -> SourcesPort:
        """Sources."""
        ...

    @property
    def moves(self) -> MovesPort:
        """Sources that were moved."""
        ...

    @property
    def listings(self) -> ListingsPort:
        """Listings."""
        ...

    @property
    def reports(self) -> ReportsPort:
        """Inventory reports of which listings are made."""
        ...

    @property
    def batches(self) -> BatchesPort:
        """Batches."""
        ...

    @property
    def documents(self) -> DocumentsPort:
        """Documents."""
        ...

    @property
    def collections(self) -> KnownCollectionsPort:
        """Collections."""
        ...

    @property
    def rebuilding(self) -> RebuildingPort:
        """What stays of documents when a catalog or a collection is lost."""
        ...

    @property
    def work(self) -> WorkPort:
        """Keys of a batch."""
        ...

    @property
    def invocations(self) -> InvocationsPort:
        """Invocations."""
        ...
