"""What a batch works with, for one source."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from s3sync_dagster.core.outcome import KeyOutcome
from s3sync_dagster.core.patience import Patience
from s3sync_dagster.engine.batch.room import BatchRoom
from s3sync_dagster.engine.catalog_port import CatalogPort
from s3sync_dagster.engine.clock import Clock
from s3sync_dagster.engine.ports import Chunker, Collections, Embedder, Extractor, WorkerPool
from s3sync_dagster.engine.retry import call_patiently
from s3sync_dagster.engine.store_ports import ObjectStore
from s3sync_dagster.model.document import Document
from s3sync_dagster.model.errors import NotFound
from s3sync_dagster.model.source import Source

T = TypeVar("T")
Enrich = Callable[[Source, Mapping[str, Document]], Mapping[str, Document]]
"""Gets the documents of a batch by object key, and returns them, changed as it likes."""


@dataclass(slots=True)
class Tally:
    """What a batch did, counted where it happened."""

    chunks_written: int = 0
    metadata_updated: int = 0
    chunks_deleted: int = 0


@dataclass(slots=True, kw_only=True)
class BatchParts:
    """The ports, limits and hooks of a batch."""

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
    enrich: Enrich | None = None
    """What the operator has done with documents before they are cut."""
    enrich_seconds: float = 600.0
    """It may take so long, and a sixtieth of it more for each document that it gets."""
    threads: int = 8
    """Objects that are read at once; 1 keeps everything in the caller's thread."""
    room: BatchRoom = field(default_factory=BatchRoom)
    """Memory for what it holds, of its process's."""
    take_seconds: float = 300.0
    """Keys are begun for so long; the rest goes back."""
    at: Callable[[str], None] = lambda _step: None
    """Called at each named step; tests kill the process there."""
    report: Callable[[Sequence[KeyOutcome]], None] = lambda _outcomes: None
    log: Callable[[str], None] = lambda _line: None
    tally: Tally = field(default_factory=Tally)

    def ask_bucket(self, question: Callable[[], T]) -> T | None:
        """Return what the bucket says of a key, asked patiently; None when it has no such key.

        Raises:
            S3SyncError: the bucket could not be asked, or is missing itself.
        """
        try:
            return call_patiently(question, self.patience, self.clock)
        except NotFound as error:
            if error.reason == "bucket_not_found":
                raise
            return None

    def now(self) -> float:
        """Return POSIX seconds."""
        return self.clock.now().timestamp()
