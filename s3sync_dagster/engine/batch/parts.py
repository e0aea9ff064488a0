"""What a batch works with, and what it says of each key."""

import random
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Literal

from s3sync_dagster.core.state import DocumentPhase, DocumentState, RetryClass
from s3sync_dagster.core.targets import Wish
from s3sync_dagster.core.work import SidecarChange, WorkItem
from s3sync_dagster.engine.catalog_port import CatalogPort
from s3sync_dagster.engine.clock import Clock
from s3sync_dagster.engine.ports import (
    Chunker,
    Collections,
    Embedder,
    Extractor,
    ObjectStore,
    WorkerPool,
)
from s3sync_dagster.model.document import Chunk, Document
from s3sync_dagster.model.errors import EmptyText, FixInput, S3SyncError, UnsupportedFile
from s3sync_dagster.model.invocation import Result
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.model.source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How failures that pass by themselves are met."""

    tries: int = 3
    """Calls in this run, the first included."""
    first_wait_seconds: float = 0.5
    """Before the second call; doubled each time, with jitter."""
    attempts: int = 5
    """Attempts of an invocation over all runs, then it is failed."""
    backoff_seconds: float = 30.0
    """Before the second attempt; doubled each time up to an hour, with jitter."""
    final: bool = False
    """True for a one-shot sync, which hands nothing on to a later run."""

    def wait_seconds(self, tried: int, chance: random.Random) -> float:
        """Return the pause after ``tried`` calls."""
        return min(self.first_wait_seconds * 2 ** (tried - 1), 15.0) * chance.uniform(0.5, 1.5)

    def backoff(self, attempts: int, chance: random.Random) -> float:
        """Return the seconds until the next attempt after ``attempts`` of them."""
        return min(self.backoff_seconds * 2 ** max(attempts - 1, 0), 3600.0) * chance.uniform(
            0.8, 1.2
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyReport:
    """What people are told of a key: partition metadata, log lines, the summary."""

    key: str
    partition_key: str | None
    state: str
    """``indexed``, ``updated``, ``unchanged``, ``skipped``, ``removed``, ``failed`` ..."""
    reason: str | None = None
    error: str | None = None
    chunks: int = 0
    bytes: int = 0
    cut_off: int = 0
    """Chunks of which the embedding model does not read the end."""
    pages: int = 0
    etag: str = ""
    ms: dict[str, float] = field(default_factory=dict[str, float])
    """Milliseconds per step."""


@dataclass(slots=True)
class Tally:
    """What a batch did, counted where it happened."""

    chunks_written: int = 0
    metadata_updated: int = 0
    chunks_deleted: int = 0
    not_begun: int = 0


@dataclass(slots=True, kw_only=True)
class Engine:
    """The dependencies of the three steps, for one source."""

    source: Source
    catalog: CatalogPort
    store: ObjectStore
    collections: Collections
    embedder: Embedder
    extractor: Extractor
    chunker: Chunker
    pool: WorkerPool
    clock: Clock
    patience: Patience = field(default_factory=Patience)
    threads: int = 8
    """Objects that are read at once; 1 keeps everything in the caller's thread."""
    take_seconds: float = 300.0
    """Keys are begun for so long; the rest goes back."""
    at: Callable[[str], None] = lambda _step: None
    """Called at each named step; tests kill the process there."""
    report: Callable[[Sequence[KeyReport]], None] = lambda _reports: None
    log: Callable[[str], None] = lambda _line: None
    tally: Tally = field(default_factory=Tally)


Verdict = Literal["write", "unchanged", "skipped", "gone", "failed", "sidecar"]


@dataclass(slots=True, kw_only=True, eq=False)
class KeyWork:
    """One key on its way through the steps. Errors travel here as data."""

    item: WorkItem
    verdict: Verdict = "write"
    wish: Wish | None = None
    ref: ObjectRef | None = None
    document: Document | None = None
    cutting: Future[list[Chunk]] | None = None
    """Chunks to come; ``take_chunks`` waits for them."""
    chunks: list[Chunk] = field(default_factory=list[Chunk])
    error: S3SyncError | None = None
    reason: str | None = None
    message: str | None = None
    cause: RetryClass = "configuration"
    """What has to change before a skipped key is looked at again."""
    sidecar: SidecarChange | None = None
    remove: Literal["nothing", "stale", "all"] = "nothing"
    """Which of its documents go in mirror mode: those of other bytes, or all."""
    claimed: list[DocumentState] = field(default_factory=list[DocumentState])
    """Documents under this batch's intent."""
    refused: dict[str, str] = field(default_factory=dict[str, str])
    """Collection -> why its record ids are not ours."""
    waiting: int = 0
    """Targets that are not committed yet."""
    done: set[str] = field(default_factory=set[str])
    """Collections whose target is committed."""
    results: list[Result] = field(default_factory=list[Result])
    ms: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def key(self) -> str:
        """The object key."""
        return self.item.key

    @property
    def etag(self) -> str:
        """Version that was looked at."""
        if self.ref is not None:
            return self.ref.etag
        return self.item.object.etag if self.item.object else ""

    def fail(self, error: S3SyncError) -> None:
        """Give up the key: as skipped where there is nothing to index, else as failed.

        What the bytes cause takes the records of older bytes along: searches never return text
        that the object no longer has.
        """
        self.document = None
        self.chunks = []
        if error.reason in _LEFT_ALONE:
            self.skip(error.reason, error.message, cause="transient")
        elif isinstance(error, UnsupportedFile | EmptyText):
            self.skip(error.reason, error.message, cause="input")
            self.remove = "stale"
        else:
            self.verdict, self.error = "failed", error
            if isinstance(error, FixInput) and self.ref is not None:
                self.remove = "stale"

    def skip(self, reason: str, message: str, *, cause: RetryClass = "configuration") -> None:
        """Leave the key alone, with a reason that can be queried."""
        self.verdict, self.reason, self.message = "skipped", reason, message
        self.cause = cause

    def take_chunks(self) -> None:
        """Wait until the document is cut. Raises what cutting it raised."""
        if self.cutting is not None:
            cutting, self.cutting = self.cutting, None
            self.chunks = cutting.result()

    def documents(self) -> list[DocumentState]:
        """Return the key's documents as far as they are known, those of this batch included."""
        return list({one.id: one for one in (*self.item.documents, *self.claimed)}.values())

    def doomed(self) -> list[DocumentState]:
        """Return the documents that ``remove`` names."""
        if self.remove == "nothing":
            return []
        return [
            one
            for one in self.documents()
            if self.remove == "all" or one.phase is not DocumentPhase.CLEAN or one.etag != self.etag
        ]


_LEFT_ALONE = frozenset({"archived", "too_large"})
"""What a read may meet although no listing said so: selection's business, not the bytes'."""
