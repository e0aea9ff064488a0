"""What the catalog knows, as values: the rows on which the core decides."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from s3sync_dagster.model.document import Metadata
from s3sync_dagster.model.invocation import BatchState
from s3sync_dagster.model.source import Source

Origin = Literal["python", "yaml", "catalog", "moved"]
"""Who declares a source: the code, a component's YAML, or the catalog itself (API, CLI)."""
Outcome = Literal["indexed", "skipped", "failed"]
RetryClass = Literal["input", "configuration", "transient"]


PAGE_BITS = 24
"""Pages of one listing that can be told apart: 2 ** 24 of 1,000 keys."""


class ListingState(StrEnum):
    """``running -> complete | failed | blocked``; a person turns ``blocked`` into ``approved``."""

    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"
    BLOCKED = "blocked"
    APPROVED = "approved"


class DocumentPhase(StrEnum):
    """Only ``clean`` documents may be trusted; the others are pending work."""

    WRITING = "writing"
    CLEAN = "clean"
    REMOVING = "removing"


LOOKED_THROUGH = "seen"
"""Stands in a source's row once all was looked through that its restored catalog may have
forgotten: a move may be done again later that was done after the backup."""


LISTING_ASKED, LISTING_BEGUN = -1.0, -2.0
"""Due times of a source of which somebody asked for a listing: none has begun since, or one has and
has not ended well. What asks may be gone long before, so that the catalog keeps it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRow:
    """A source, and what the catalog knows of it besides."""

    source: Source
    origin: Origin
    created_at: float
    """Seconds since 1970, UTC, as all times here."""
    updated_at: float
    """When it was made or edited last."""
    paused: bool = False
    deleting: Literal["records", "keep"] | None = None
    """What becomes of its records, for one that is being deleted."""
    list_due_at: float = 0.0
    """``LISTING_ASKED`` or ``LISTING_BEGUN`` while somebody waits for a listing."""

    @property
    def listing_asked(self) -> bool:
        """Whether somebody waits for a listing, also where it is not listed by itself."""
        return self.list_due_at < 0


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueTrouble:
    """Why the queue of a source could not be read when it was asked last."""

    queue_url: str
    reason: str
    message: str
    """Sentence for people, with the way out."""
    since: float
    """When it was met first, seconds since 1970, UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRow:
    """A batch without its keys: who works on it, and until when."""

    token: str
    source_id: str
    state: BatchState
    priority: int
    """The best of its invocations', see ``Trigger.priority``."""
    size: int
    """Keys that it began with."""
    lease_until: float
    created_at: float
    owner: str | None = None
    run_id: str | None = None
    yielded_at: float | None = None
    """When a run was requested for it last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectState:
    """One object of a source, and how it ended last."""

    source_id: str
    object_key: str
    partition_key: str
    etag: str
    size: int
    version_id: str | None = None
    sequencer: str | None = None
    storage_class: str = "STANDARD"
    gone: bool = False
    missed: bool = False
    """A listing did not see it, and nothing has told of it since."""
    shown: bool = False
    """A listing that was blocked has shown it: what ends it may be a person's word of later."""
    skip_reason: str | None = None
    """Selection's verdict; None: selected."""
    outcome: Outcome | None = None
    """None: something has still to be done."""
    outcome_etag: str | None = None
    """Version that the outcome belongs to."""
    fingerprint: str | None = None
    """Of the source's configuration when the outcome was reached."""
    reason: str | None = None
    error: str | None = None
    retry_class: RetryClass | None = None
    next_retry_at: float | None = None
    """Seconds since 1970, UTC."""
    told_count: int = 0
    """How often something was told of it."""
    awaits_approval: bool = False
    """The listing that is blocked now shows it as one whose records would go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What an owner asked of a document, until it can be written."""

    custom_id: str | None
    metadata: Metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentState:
    """One document of a collection: what was written, and whether it can be trusted."""

    id: int
    source_id: str
    object_key: str
    tenant: str
    database_name: str
    collection_name: str
    document_id: str
    """Prefix of the record ids ``{document_id}-{i}``."""
    custom_id: str | None
    metadata: Metadata
    """The user's, of the invocation or sidecar that made it."""
    owner: str
    """``source``, ``request``, ``sidecar:<key>``, ``kept:<key>``, of a sidecar that is gone, or
    ``BESIDE``."""
    phase: DocumentPhase
    carried: Metadata = field(default_factory=dict[str, object])  # type: ignore[assignment]
    """What the object carried when it was written, see ``core.carried``."""
    etag: str | None = None
    fingerprint: str | None = None
    count: int = 0
    high_water: int = 0
    """Ids from 0 to high_water - 1 may exist in the collection."""
    digests: bytes = b""
    """16 bytes a record: text digest, metadata digest."""
    metadata_keys: tuple[str, ...] = ()
    """Names of all metadata keys that its records may hold."""
    batch_token: str | None = None
    collection_id: str | None = None
    """Chroma's id of the collection that it was written to; in any other one its record ids may be
    somebody else's. None: written before ids were kept."""
    withheld: str | None = None
    """Reader keys, as JSON, under which its records have nothing of ``metadata``, which no owner
    gave. None: an owner gave it, a sidecar, or there is none. ``UNSEEN`` and ``RESTORED``: so it
    is, but its records may still have what somebody else said. See ``core.vouching``. ``UNTOLD``
    before any of these: what says by now who may read is not known to be in its records."""
    said: Said | None = None
    """What it is to be as soon as it can be written; None: what it is."""
    written_as: tuple[str, ...] = ()
    """Ids of other sources that its records may name: of whom it was taken over, or read back,
    until it is written. Empty among them: they may name none."""

    @property
    def vouched(self) -> bool:
        """Whether its metadata may say who reads it."""
        told = None if self.withheld is None else self.withheld.removeprefix(UNTOLD)
        return told in (None, "", UNSEEN, RESTORED)

    @property
    def untold(self) -> bool:
        """Whether its records do not say who may read it by now, as far as anybody knows."""
        return (self.withheld or "").startswith(UNTOLD)

    @property
    def begun_only(self) -> bool:
        """Whether its first version was never written whole: nothing of it is worth keeping."""
        return self.phase is DocumentPhase.WRITING and self.never_whole

    @property
    def never_whole(self) -> bool:
        """Whether it was never written whole, be it on its way in or out."""
        return self.phase is not DocumentPhase.CLEAN and self.etag is None


def stood_last(document: DocumentState) -> tuple[bool, bool, int]:
    """Order the documents of an object: those on their way out gave way to what stands.

    What a restored catalog had forgotten gives way to whatever it has.
    """
    return document.phase is not DocumentPhase.REMOVING, document.owner != BESIDE, document.id


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadedFile:
    """A file as it was uploaded last."""

    key: str
    etag: str
    size: int
    modified_at: float
    """Seconds since 1970, UTC."""
    body: str
    """Name of its bytes; another upload of the file has another one."""
    content_type: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


ABSENT = ""
"""The id of a collection that does not exist."""
UNSEEN = "unseen"
"""``DocumentState.withheld`` of a document that is vouched for, whose records may not be."""
UNTOLD = "untold:"
"""Before ``DocumentState.withheld``: see ``core.closing``."""
RECOVERED = f"{UNTOLD}recovered"
"""``DocumentState.withheld`` of one that was read back from records, whose readers nobody knows."""
RESTORED = "restored:"
"""Before the id of the collection, on each document of a catalog that was restored: which of its
records are still what it says, or its own, is not known until they were looked at."""


BESIDE = "beside"
"""``DocumentState.owner`` of one that a restored catalog had forgotten, beside one that it has of
the object. It goes once that is whole; nobody knows any more who asked for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCollection:
    """A collection that a source has written to, and which one of that name it was."""

    tenant: str
    database_name: str
    collection_name: str
    collection_id: str | None
    """Chroma's id of it; None: documents were written before ids were kept."""
    deleting_since: float | None = field(default=None, compare=False)
    """POSIX seconds, since when somebody deletes records there that no document has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckCursor:
    """How far the rolling check of a collection has come."""

    document: int = 0
    """Row id of the document that is next."""
    record: int = 0
    """The first of its records that is next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One document that a key is asked to have."""

    collection_name: str
    custom_id: str | None = None
    metadata: Metadata = field(default_factory=dict[str, object])  # type: ignore[assignment]
    owner: str = "source"
    vouched: bool = True
    """Whether its metadata may say who reads it, see ``core.vouching``."""
    recovered: bool = False
    """Whether they are what records of a lost catalog said, see ``core.vouching.believed``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedReport:
    """An inventory report of which a listing is made."""

    place: str
    """Where the reports of its configuration are delivered."""
    name: str
    """Its folder there, which sorts by time: ``2026-11-23T01-00Z``."""
    created_at: float
    """When the bucket began to be looked at for it, seconds since 1970 by its own clock."""
    settings: str = ""
    """Digest of what the source was like; empty once it was edited since."""
    refused: bool = False
    """What it holds could not be believed: it is not read again before somebody asks."""
    listed: bool = False
    """The bucket itself was listed instead, which tells more than this one, the last there was."""
    unasked: int = 0
    """Keys that it contradicts and of which the bucket did not tell: they stay as they were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingRow:
    """One numbered pass over a source's prefix."""

    id: int
    source_id: str
    state: ListingState
    cursor: str | None
    started_at: float
    pages: int = 0
    """How often the bucket was asked, or it was taken up, so far."""
    finished_at: float | None = None
    listed: int = 0
    new: int = 0
    changed: int = 0
    selected: int = 0
    gone: int = 0
    """Documents that it removes, or would remove where it is blocked."""
    left_out: int = 0
    """New objects that it has not taken: the tenant has all that it may have."""
    error: str | None = None
    report: ListedReport | None = None
    """What it is made of, or could have been, where the source has its reports."""

    @property
    def number(self) -> int:
        """The number that stands for now: what is told from here on has it, or a later one."""
        return page_number(self.id, pages=self.pages)


def page_number(listing_id: int, *, pages: int) -> int:
    """Return a number that grows from page to page and from listing to listing of a source.

    It orders what listings and others tell, which clocks of several hosts, or one that was put
    right, do not.
    """
    return (listing_id << PAGE_BITS) + pages


@dataclass(frozen=True, slots=True, kw_only=True)
class Departing:
    """How much a complete listing would end."""

    documents: int
    """Documents of what it did not see, or what is left out now."""
    of: int
    """Documents of the source, those included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DepartureCursor:
    """How far the departures of a listing have come."""

    kind: int = 0
    """Unseen, left out, gone before, sidecars gone before."""
    after: str | None = None
    """The last key of that kind."""
