"""What the use cases ask of the outside, as small Protocols, filled by ``ports`` and its like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from s3sync_dagster.core.events import Message
    from s3sync_dagster.model.document import Chunk, Document, Hit, Metadata, Record
    from s3sync_dagster.model.source import ChunkingConfig, ExtractionConfig

Vector = Any
"""float32 array of shape (dimension,); numpy stays out of this room."""
Vectors = Any
"""float32 array of shape (n, dimension)."""

Content = bytes | Path
"""An object's bytes, or a spooled file where they are large."""


# --- S3 ---------------------------------------------------------------------------------------


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


class TextRoom(Protocol):
    """Memory for the text of one document, as it is held; whatever it raises is to be passed on."""

    def wait(self, size: int | None) -> None:
        """Take so many bytes when there is room for them; only the first call does.

        None: nobody knows how many it will be before it is read.
        """
        ...

    def found(self, size: int) -> None:
        """Take so many bytes in place of those that nobody knew."""
        ...

    def take(self, size: int) -> None:
        """Take so many bytes more, of what is there."""
        ...

    def give_back(self, size: int) -> None:
        """Give back bytes that were taken: what they were for is gone."""
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
        room: TextRoom | None = None,
    ) -> Document:
        """Return the text of an object; text and code are decoded here, the rest in ``pool``.

        What it takes of ``room`` is meant to be given back when the document is made.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLimits:
    """What the chunker, and who asks it, have to know of the embedding model."""

    default_size_bytes: int
    """Chunk size when the source names none: 1,024 for MiniLM, 2,048 for long contexts."""
    max_tokens: int | None = None
    """Tokens that the model reads; None when it has no limit worth caring for."""
    tokenizer_file: str | None = None
    """Path of the model's ``tokenizer.json`` for counting; None: only bytes count."""
    least_texts: int = 16
    """Texts that it is given at once, however slow it is: a request costs by itself."""


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
    limits: ModelLimits
    inferred: int
    """Texts that went through the model so far (cache hits are not counted)."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        ...

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
