"""What the engine asks of the catalog; ``catalog`` fills it on SQLite and Postgres."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from s3sync_dagster.engine.documents_port import DocumentsPort, KnownCollectionsPort, RebuildingPort
from s3sync_dagster.engine.listings_port import ListingsPort, ReportsPort

if TYPE_CHECKING:
    from s3sync_dagster.core.facts import KeyFacts, SidecarChange, SidecarState
    from s3sync_dagster.core.moving import Succession
    from s3sync_dagster.core.news import Told
    from s3sync_dagster.core.reservation import Take
    from s3sync_dagster.core.shards import Placement
    from s3sync_dagster.core.state import (
        BatchRow,
        DocumentState,
        ObjectState,
        Origin,
        SourceRow,
    )
    from s3sync_dagster.engine.same_server import ServersPort
    from s3sync_dagster.model.errors import S3SyncError
    from s3sync_dagster.model.invocation import Batch, Trigger
    from s3sync_dagster.model.source import Source


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

    def find(self, name_or_id: str) -> Source:
        """Return a source as it is by now; raises ``NotFound``."""
        ...

    def mode_of(self, source_id: str) -> str | None:
        """Return the mode that a source has by now; None: there is no such source any more."""
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

    def was_put_back(self, source_id: str) -> bool:
        """Return whether a source's catalog was put back from a copy, looked through or not."""
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


class WorkPort(Protocol):
    """Reads and writes around a batch's keys."""

    def load(self, token: str) -> list[KeyFacts]:
        """Return the keys that a batch holds, as they were leased: best, oldest, by key."""
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


class PartitionsPort(Protocol):
    """What Dagster was told of keys."""

    def place(
        self, source_id: str, keys: Sequence[str], *, asked_in: int | None = None
    ) -> Placement:
        """Return where keys are shown; those that have no shard yet get one."""
        ...

    def added(self, source_id: str, partitions: Sequence[str], *, shard: int) -> None:
        """Note that Dagster knows these partitions, of those that have their place there still."""
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

    def waits_since_restore(self, source_id: str) -> bool:
        """Return whether a request is at work, or waits, that waited in the copy of a catalog."""
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

    def left_claimed(self, before_id: str) -> list[DocumentState] | None:
        """Return what somebody had claimed for what follows it, and left; None: he is at it."""
        ...

    def give_back(
        self, source_id: str, before_id: str, ids: Sequence[int], *, whole: Collection[int]
    ) -> bool:
        """Let such documents stand again, ``whole`` or not; False: another process is at it."""
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
    def servers(self) -> ServersPort:
        """Which server was asked for a source that names none."""
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
    def partitions(self) -> PartitionsPort:
        """What Dagster was told of keys."""
        ...

    @property
    def invocations(self) -> InvocationsPort:
        """Invocations."""
        ...
