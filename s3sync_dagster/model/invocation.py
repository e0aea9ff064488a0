"""The unit of work and the batch that takes it."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from s3sync_dagster.model.document import Metadata, MetadataValue


class InvocationStatus(StrEnum):
    """``pending -> processing -> complete | failed | cancelled`` (contract: ``JobStatus``)."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETE = "complete"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = ("complete", "failed", "cancelled")
"""Of what nobody works on any more. Plain texts, as the catalog stores them."""


class Trigger(StrEnum):
    """Who asked."""

    API = "api"
    EVENT = "event"
    LISTING = "listing"
    SIDECAR = "sidecar"
    UI = "ui"
    CLI = "cli"
    RETRY = "retry"

    @property
    def automatic(self) -> bool:
        """True for what coalesces while pending and is pruned by age."""
        return self in (Trigger.EVENT, Trigger.LISTING, Trigger.SIDECAR, Trigger.RETRY)

    @property
    def priority(self) -> int:
        """Smaller is served first: people, then events, then listings."""
        if not self.automatic:
            return 0
        return 2 if self in (Trigger.LISTING, Trigger.RETRY) else 1


InvocationKind = Literal["sync", "remove"]


class Result(StrEnum):
    """How a key ends in a batch: the one vocabulary for a key's fate."""

    INDEXED = "indexed"
    UPDATED = "updated"
    METADATA_UPDATED = "metadata_updated"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"
    REMOVED = "removed"
    LEFT_TO_RUN = "left_to_run"
    """Another run has it."""
    FAILED = "failed"
    PENDING = "pending"
    """The attempt failed; it is tried again by itself."""

    @property
    def status(self) -> InvocationStatus:
        """What becomes of the key's invocations."""
        if self in (Result.FAILED, Result.PENDING):
            return InvocationStatus(self.value)
        return InvocationStatus.COMPLETE

    @property
    def done(self) -> bool:
        """False where the attempt failed."""
        return self.status is InvocationStatus.COMPLETE

    @property
    def shown(self) -> str:
        """The word for people, who are not told of metadata apart."""
        return Result.UPDATED.value if self is Result.METADATA_UPDATED else self.value


class BatchState(StrEnum):
    """``reserved -> running -> done``; a batch that died is ``released``."""

    RESERVED = "reserved"
    RUNNING = "running"
    DONE = "done"
    RELEASED = "released"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """One request to bring one document in line with one object."""

    id: str
    source_id: str
    object_key: str
    tenant: str
    database_name: str
    collection_name: str
    """The target collection, or the source's own when it was asked for."""
    kind: InvocationKind
    trigger: Trigger
    status: InvocationStatus
    created_at: datetime
    target_collection_name: str | None = None
    custom_id: str | None = None
    metadata: Metadata = field(default_factory=dict[str, MetadataValue])
    vouched: bool = False
    """Whether an owner gave ``metadata``: only then may it say who reads the document."""
    owner: str | None = None
    """``sidecar:<key>`` for what a sidecar asks."""
    force: bool = False
    reindex: bool = False
    """An older fingerprint is reason enough, whatever the source of who does the work says."""
    restored: bool = False
    """It waited in a copy that the catalog was put back from: it may have been done meanwhile."""
    told_count: int | None = None
    """Of a removal: how often something had been told of its object when it was asked for."""
    attempts: int = 0
    deaths: int = 0
    """Workers that died while this was begun."""
    silent_deaths: int = 0
    """Workers that died with this in their batch, but not begun."""
    result: Result | None = None
    reason: str | None = None
    """Stable word for a skip or a failure."""
    error: str | None = None
    """Sentence for people."""
    next_attempt_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    batch_token: str | None = None
    run_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one run takes: leased invocations of one source."""

    token: str
    source_id: str
    state: BatchState
    keys: tuple[str, ...]
    """Object keys, each once, in key order."""
    lease_until: datetime
    created_at: datetime
    owner: str | None = None
    run_id: str | None = None
