"""What the use cases ask of the outside, as small Protocols, filled by ``ports`` and its like."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from s3sync_dagster.core.events import Message
    from s3sync_dagster.core.state import ListedReport
    from s3sync_dagster.model.document import Chunk, Document, Hit, Metadata, Record
    from s3sync_dagster.model.object import ObjectRef
    from s3sync_dagster.model.place import Carried
    from s3sync_dagster.model.source import ChunkingConfig, ExtractionConfig

Vector = Any
"""float32 array of shape (dimension,); numpy stays out of this room."""
Vectors = Any
"""float32 array of shape (n, dimension)."""

Content = bytes | Path
"""An object's bytes, or a spooled file where they are large."""


# --- S3 ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPage:
    """One answer of ListObjectsV2."""

    objects: tuple[ObjectRef, ...]
    """In UTF-8 binary order of the key."""
    last: bool
    """True when no page follows."""
    tells_missing: bool = True
    """False where keys that it does not have may be there all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectBody:
    """An object's bytes as one GET gave them, with what that GET said of them."""

    ref: ObjectRef
    content: Content
    content_type: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    """User metadata (``x-amz-meta-*``)."""
    metadata_unread: int = 0
    """User metadata that the answer only counts: they are no headers."""
    name: str | None = None
    """File name by which it is read, where the key does not tell; None: the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnorderedPage:
    """One answer of a listing that keeps no order."""

    objects: tuple[ObjectRef, ...]
    token: str | None
    """Where the listing goes on; None: no page follows."""


class UnorderedStore(Protocol):
    """What a store has besides whose ``ordered`` is False."""

    def list_unordered(self, prefix: str, *, token: str | None) -> UnorderedPage:
        """Return a page of keys that begin with ``prefix``; ``token`` None: the first."""
        ...


class ObjectStore(Protocol):
    """One bucket with one set of credentials.

    All methods raise errors of ``model.errors``: ``NotFound`` (reason ``object_gone`` for a
    key, ``bucket_not_found`` for the bucket), ``AccessDenied``, ``Unavailable`` (``Throttled``),
    ``FixInput`` with reason ``archived`` for an object in an archive class.
    """

    ordered: bool
    """False where listings have no order, as in directory buckets (S3 Express): such a store is an
    ``UnorderedStore`` as well, and listed through ``engine.pages``."""

    def list_page(self, prefix: str, *, start_after: str | None, limit: int = 1000) -> ListPage:
        """Return the page of keys that begin with ``prefix`` and come after ``start_after``.

        Raises ``NotPossible`` (``unordered_listing``) where there is no order.
        """
        ...

    def head(self, key: str, *, version_id: str | None = None) -> ObjectRef:
        """Return what the bucket has at ``key`` now."""
        ...

    def read(
        self,
        key: str,
        *,
        version_id: str | None = None,
        if_match: str | None = None,
        max_size_bytes: int,
    ) -> ObjectBody:
        """Return the object's bytes; ``LimitExceeded`` (``too_large``) before the body is read.

        Raises ``ObjectChanged`` when ``if_match`` does not hold (412).
        """
        ...

    def requests(self) -> Mapping[str, int]:
        """Return requests sent so far by kind (LIST, GET, HEAD), the SDK's own retries included."""
        ...

    def close(self) -> None:
        """Close connections; the next call opens new ones."""
        ...


class AheadStore(Protocol):
    """What a store has besides that may be asked for many pages at once."""

    pages_in_turn: int
    """Of a call, that are asked for one by one first: small sources have no more."""

    def list_ahead(
        self, prefix: str, *, start_after: str | None, limit: int = 1000
    ) -> Future[ListPage]:
        """Ask for a page without waiting for it, see ``ObjectStore.list_page``."""
        ...


class CarryingStore(Protocol):
    """What a store has besides of whose objects something more than bytes can be asked for."""

    def carried(
        self,
        key: str,
        *,
        wanted: Carried,
        read: ObjectBody | None = None,
        exact: bool = False,
    ) -> Metadata:
        """Return what an object carries of what is wanted, as metadata.

        One request for tags; without ``read`` another one for user metadata.

        Args:
            key: of the object.
            wanted: names.
            read: the object as it was read: what belongs to these very bytes is wanted.
            exact: in buckets without versions one request more proves that it does.

        Raises:
            FixConfiguration: ``invalid_object_metadata``, a value that nobody can read.
            AccessDenied: ``tags_denied``. Never are tags that cannot be read no tags.
            ObjectChanged: something else than ``read`` is there now.
        """
        ...


class PinnedStore(Protocol):
    """What a store has besides whose listings are of one thing from the first page to the last.

    All the pages count as of the first: what was told since is newer.
    """

    def pin(self) -> str:
        """Return a token of what the place has, or is, now."""
        ...

    def list_pinned(
        self, token: str, prefix: str, *, start_after: str | None, limit: int = 1000
    ) -> ListPage:
        """Return a page of what the token is of.

        Raises:
            Unavailable: ``listing_lost``, ``folder_not_mounted``, where that is not to be had any
                more.
        """
        ...


class CopiedStore(PinnedStore, Protocol):
    """What a store has besides that answers from a copy of its place on this host.

    Another host's copy may be newer, and what that host found stands in the catalog: a copy that
    was not compared with the place since is no evidence. Its tokens are commits.
    """

    def renew(self) -> None:
        """Have each HEAD and GET that is asked from now on know of what the place has by then."""
        ...


class KeepingStore(Protocol):
    """What a store has besides that keeps what its listing has read until it is asked for."""

    def expect(self, key: str, etag: str) -> None:
        """Keep what lies here for a key no longer where it is another version than ``etag``."""
        ...


class UnsureStore(Protocol):
    """What an unordered store may have besides: listings that do not know all there is."""

    def tells_missing(self) -> bool:
        """Return whether a key that the listing did not name, and that has ended, is gone."""
        ...

    def may_have(self, key: str) -> bool:
        """Return whether the place could have such a key."""
        ...

    def learn(self, parts: Iterable[Mapping[str, str]]) -> None:
        """Have the next listings look for keys by themselves, wherever nothing leads to them.

        Args:
            parts: keys that records are of, with the ETags that they were made of.
        """
        ...


class ConfirmingStore(Protocol):
    """What a store may have besides: listings that may lack what is there."""

    def confirm_gone(self, keys: Sequence[str]) -> None:
        """Raise unless each of the keys, which a listing lacks, is gone."""
        ...


class ChangingStore(Protocol):
    """What a store may have besides: listings that miss what is replaced while they are made."""

    def still_gone(self, keys: Sequence[str]) -> Sequence[str]:
        """Return those of the keys, which a listing lacks, that are not there by now."""
        ...


class ReportListing(Protocol):
    """An unordered store of what a report says that the bucket held when it was made."""

    ordered: bool

    def list_unordered(self, prefix: str, *, token: str | None) -> UnorderedPage:
        """Return a page of the report's keys that begin with ``prefix``.

        Raises:
            FixConfiguration: ``inventory_report_refused``, where it is not what it says it is.
        """
        ...


class ReportedStore(Protocol):
    """What a store has besides whose listings are made of reports, which are hours old."""

    inventory: str
    """Where the reports are delivered."""

    def newest_report(self, after: ListedReport | None, *, again: bool) -> ListedReport | None:
        """Return the newest report that is delivered whole; None: there is no newer one.

        Args:
            after: the report that was listed last; an older one is never taken.
            again: that one itself will do.

        Raises:
            FixConfiguration: ``no_inventory_report``, ``inventory_report_refused``.
        """
        ...

    def open_report(self, report: ListedReport) -> ReportListing:
        """Return the keys of a report. Raises as ``newest_report`` does."""
        ...

    def heads(self, keys: Sequence[str]) -> Mapping[str, ObjectRef | None]:
        """Return what the bucket has at each key now; None: nothing.

        Keys of which it does not tell are left out.
        """
        ...


class LookedAtStore(Protocol):
    """What a store has besides whose first page costs more than a request."""

    def look(self) -> None:
        """Raise what a listing would where the place may not be listed."""
        ...


# --- SQS --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRules:
    """How a queue is set up; None where these credentials are not told."""

    visibility_seconds: int | None = None
    """For so long a received message is invisible."""
    dead_letters: bool | None = None
    """Whether what was received too often moves to a dead-letter queue."""


class Queue(Protocol):
    """One SQS queue."""

    def receive(self, *, limit: int = 10, wait_seconds: int = 1) -> list[Message]:
        """Return up to ``limit`` (1 to 10) messages, waiting up to ``wait_seconds``."""
        ...

    def delete(self, messages: Sequence[Message]) -> list[Message]:
        """Delete messages; return those that SQS did not delete (a batch may fail in part)."""
        ...

    def extend(self, messages: Sequence[Message], *, seconds: int) -> None:
        """Keep messages invisible for ``seconds`` from now, 0 to give them back.

        Expired handles are not an error.
        """
        ...

    def rules(self) -> QueueRules:
        """Return how the queue is set up; takes no message."""
        ...

    def close(self) -> None:
        """Close connections; the next call opens new ones."""
        ...


# --- who is alive -----------------------------------------------------------------------------


class Owners(Protocol):
    """The processes that work in one data folder."""

    def me(self) -> str:
        """Return this process's owner name."""
        ...

    def is_dead(self, owner: str | None) -> bool | None:
        """Return whether an owner's process has ended; None when this home cannot tell."""
        ...


# --- worker processes, extraction, chunking ---------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkLimits:
    """What one call in a worker process may use."""

    seconds: float = 120.0
    """Wall time."""
    memory_bytes: int = 2 * 1024**3
    """Resident set of the worker and its children, watched from outside."""
    output_bytes: int = 256 * 1024**2


class WorkerPool(Protocol):
    """Runs importable functions in killable child processes.

    A call ends with the function's value, with the ``S3SyncError`` it raised, with
    ``LimitExceeded`` (``timeout``, ``out_of_memory``, ``output_too_large``), or with
    ``LimitExceeded`` reason ``worker_crashed`` where the process died.
    """

    def submit(
        self, function: str, /, *args: Any, limits: WorkLimits, **kwargs: Any
    ) -> Future[Any]:
        """Call ``module.path:name`` in a worker; its value crosses as data."""
        ...

    def close(self) -> None:
        """End all workers."""
        ...


class Extractor(Protocol):
    """Bytes and a name in, Document out (``extraction.extract_document``)."""

    def __call__(
        self,
        content: Content,
        *,
        name: str,
        content_type: str | None = None,
        config: ExtractionConfig,
        pool: WorkerPool,
    ) -> Document:
        """Return the text of an object; text and code are decoded here, the rest in ``pool``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLimits:
    """What the chunker has to know of the embedding model."""

    default_size_bytes: int
    """Chunk size when the source names none: 1,024 for MiniLM, 2,048 for long contexts."""
    max_tokens: int | None = None
    """Tokens that the model reads; None when it has no limit worth caring for."""
    tokenizer_file: str | None = None
    """Path of the model's ``tokenizer.json`` for counting; None: only bytes count."""


class Chunker(Protocol):
    """Document in, chunks out: pure, deterministic (``chunking.chunk_document``)."""

    def __call__(
        self,
        document: Document,
        *,
        object_key: str,
        config: ChunkingConfig,
        limits: ModelLimits,
        pool: WorkerPool | None = None,
    ) -> list[Chunk]:
        """Cut a document. Without ``pool`` everything runs in this process (tests, CLI)."""
        ...


# --- embedding --------------------------------------------------------------------------------


class Embedder(Protocol):
    """Texts to vectors with one model."""

    name: str
    """Chroma's name of the embedding function, such as ``onnx_mini_lm_l6_v2``."""
    dimension: int
    limits: ModelLimits
    inferred: int
    """Texts that went through the model so far (cache hits are not counted)."""

    def configuration(self) -> Mapping[str, Any] | None:
        """Return ``{"name", "type", "config"}`` as Chroma persists it for stock clients."""
        ...

    def cache_key(self) -> str:
        """Return what tells this model and task from all others."""
        ...

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Return one row per text. Raises ``Unavailable`` (retry) or ``FixConfiguration``."""
        ...

    def embed_query(self, text: str) -> Vector:
        """Return the query's vector, with the model's query prompt where it has one."""
        ...


class SparseEmbedder(Protocol):
    """Texts to sparse vectors, for servers that index them (Cloud, distributed).

    An ``Embedder`` that has one carries it as its attribute ``sparse``.
    """

    key: str
    """Metadata key under which a record keeps its sparse vector."""
    bm25: bool
    """True when the server weighs terms by how rare they are."""

    def configuration(self) -> Mapping[str, Any]:
        """Return ``{"name", "type", "config"}`` as Chroma persists it for stock clients."""
        ...

    def embed_documents(self, texts: Sequence[str]) -> list[tuple[list[int], list[float]]]:
        """Return ascending indices and their values per text; both empty where no term is left."""
        ...

    def embed_query(self, text: str) -> tuple[list[int], list[float]]:
        """Return the query's sparse vector."""
        ...


# --- Chroma -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecord:
    """A record as the collection has it."""

    id: str
    metadata: Mapping[str, Any]
    document: str | None = None
    vector: Vector | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteLimits:
    """Bounds of one write."""

    max_records: int = 1000
    max_bytes: int = 16 * 1024**2


class RecordReader(Protocol):
    """A collection as those have it who only read: itself, or what of it one may see."""

    @property
    def most_nearest(self) -> int:
        """Records that ``query`` returns at most, whatever its limit."""
        ...

    def get(
        self, ids: Sequence[str], *, documents: bool = False, vectors: bool = False
    ) -> dict[str, StoredRecord]:
        """Return the records that exist."""
        ...

    def scan(
        self, *, source_id: str | None = None, page_size: int = 1000
    ) -> Iterator[list[StoredRecord]]:
        """Yield all records (metadata only) in pages, optionally those of one source."""
        ...

    def query(
        self, vector: Vector, *, limit: int = 10, where: Mapping[str, Any] | None = None
    ) -> list[Hit]:
        """Return the nearest records, best first."""
        ...

    def ids_meeting(self, where: Mapping[str, Any], *, most: int) -> list[str] | None:
        """Return the ids of all records that meet a metadata filter; None: more than ``most``."""
        ...


class CollectionPort(RecordReader, Protocol):
    """One collection. Calls have timeouts and retries; what remains is an ``S3SyncError``."""

    name: str

    @property
    def id(self) -> str:
        """Chroma's own id: one that was deleted and made anew under its name has another."""
        ...

    @property
    def write_limits(self) -> WriteLimits:
        """Bounds of one write."""
        ...

    def upsert(self, records: Sequence[Record], vectors: Vectors) -> None:
        """Write records and vectors; absent metadata keys of existing ids survive (None clears)."""
        ...

    def probe(self, like: Record, vector: Vector, *, source_id: str, name: str) -> None:
        """Write a neutral record as large as another one, change its metadata and delete it again.

        Raises what the collection says of it: who refuses this one is not refusing a text.

        Args:
            like: whose size and keys it has; see ``core.neutral.neutral_record``.
            vector: its own.
            source_id: the source that it carries.
            name: what its id begins with.
        """
        ...

    def update_metadata(self, ids: Sequence[str], metadatas: Sequence[Metadata]) -> None:
        """Change metadata alone."""
        ...

    def delete(self, ids: Sequence[str]) -> None:
        """Delete by id; missing ids are not an error."""
        ...

    def count(self) -> int:
        """Return Chroma's own count (which looks right also when vectors are lost)."""
        ...


class Collections(Protocol):
    """The collections of one Chroma (server, Cloud or embedded)."""

    def open(
        self,
        name: str,
        *,
        tenant: str,
        database: str,
        embedder: Embedder | None,
        create: bool = True,
        reads: bool = False,
    ) -> CollectionPort:
        """Return the collection, created with cosine space and the embedder's configuration.

        Without an embedder it is neither created nor compared: for who deletes by id. Who only
        ``reads`` creates nothing, and may open what takes nothing more.

        Raises ``EmbeddingMismatch`` when it exists with another function, space or dimension,
        ``NotFound`` when it or the database does not exist and may not be created,
        ``Conflict`` when it is marked ``finished_ingest``, unless who opens it only reads.
        """
        ...

    def list_collections(self, *, tenant: str, database: str) -> list[str]:
        """Return the names of all collections of a database, in their order of creation."""
        ...

    def delete_collection(self, name: str, *, tenant: str, database: str) -> None:
        """Delete a collection with all its records; one that does not exist is not an error."""
        ...
