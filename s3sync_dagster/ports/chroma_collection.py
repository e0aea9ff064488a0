"""One collection, whatever carries its operations: HTTP or the library in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from s3sync_dagster.core.neutral import neutral_record
from s3sync_dagster.engine.ports import StoredRecord, WriteLimits
from s3sync_dagster.model.document import Hit
from s3sync_dagster.model.errors import InvalidSetting, LimitExceeded, RecordRejected
from s3sync_dagster.ports.chroma_batches import batches, refuse_duplicates
from s3sync_dagster.ports.chroma_filter import as_chroma_is_asked

if TYPE_CHECKING:
    from s3sync_dagster.engine.ports import SparseEmbedder, Vector, Vectors
    from s3sync_dagster.model.document import Metadata, Record

Send = Callable[[str, Mapping[str, Any] | None], Any]
"""Operation and body in, the answer's body out. ``embeddings`` go in as an array."""

READ_RECORDS = 1000
CLOUD_RECORDS = 300
"""Quota of Chroma Cloud on records of one write and of one answer."""


class ChromaCollection:
    """A ``CollectionPort``. Holds the collection's id: one that was made anew is not found."""

    def __init__(
        self,
        send: Send,
        *,
        collection_id: str,
        name: str,
        write_limits: Callable[[], WriteLimits],
        read_records: int = READ_RECORDS,
        sparse: SparseEmbedder | None = None,
    ) -> None:
        self._send = send
        self._read_records = read_records
        self._sparse = sparse
        self._id = collection_id
        self.name = name
        self._write_limits = write_limits

    @property
    def id(self) -> str:
        """Chroma's own id."""
        return self._id

    @property
    def most_nearest(self) -> int:
        """Records that ``query`` returns at most: Cloud's quota, and a bound for other servers."""
        return self._read_records

    @property
    def write_limits(self) -> WriteLimits:
        """Bounds of one write; the server is asked for them once, by who writes."""
        return self._write_limits()

    def upsert(self, records: Sequence[Record], vectors: Vectors) -> None:
        """Write records and their vectors, in as many requests as the limits ask for.

        Raises:
            RecordRejected: the server refused some (``record_ids``); all others are written.
            EmbeddingMismatch: the vectors have another dimension than the collection.
            NotFound: the collection was deleted meanwhile.
        """
        refuse_duplicates([record.id for record in records])
        refused: list[str] = []
        for start, end in batches(records, dimension=vectors.shape[-1], limits=self.write_limits):
            refused += self._upsert(records[start:end], vectors[start:end])
        if refused:
            error = RecordRejected(
                f"Chroma refused {len(refused)} record(s) of collection {self.name!r}, "
                f"the first is {refused[0]!r}"
            )
            error.record_ids = tuple(refused)
            raise error

    def _upsert(self, records: Sequence[Record], vectors: Vectors) -> list[str]:
        """Write one batch; halve it where the server refuses it; return the ids it refuses."""
        body = {
            "ids": [record.id for record in records],
            "embeddings": vectors,
            "documents": [record.document for record in records],
            "metadatas": self._metadatas(records),
        }
        try:
            self._send("upsert", body)
        except (LimitExceeded, InvalidSetting):
            if len(records) == 1:
                return [records[0].id]
            half = len(records) // 2
            return [
                *self._upsert(records[:half], vectors[:half]),
                *self._upsert(records[half:], vectors[half:]),
            ]
        return []

    def probe(self, like: Record, vector: Vector, *, source_id: str, name: str) -> None:
        """Write, change and delete a neutral record; raises what the server says of it.

        It is deleted also where its write failed: the server may have done what it did not answer.
        """
        record = neutral_record(like, name=name, source_id=source_id)
        metadata: dict[str, Any] = dict(record.metadata)
        if self._sparse is not None:
            [(indices, values)] = self._sparse.embed_documents([like.embedding_text])
            metadata[self._sparse.key] = _sparse_value(*_neutral_sparse(indices, values))
        body = {
            "ids": [record.id],
            "embeddings": vector.reshape(1, -1),
            "documents": [record.document],
            "metadatas": [metadata],
        }
        try:
            self._send("upsert", body)
            self.update_metadata([record.id], [record.metadata])
        finally:
            self.delete([record.id])

    def _metadatas(self, records: Sequence[Record]) -> list[Mapping[str, Any]]:
        """Return the records' metadata, with their sparse vectors where the server indexes them."""
        if self._sparse is None:
            return [record.metadata for record in records]
        vectors = self._sparse.embed_documents([record.embedding_text for record in records])
        return [
            {**record.metadata, self._sparse.key: _sparse_value(indices, values)}
            for record, (indices, values) in zip(records, vectors, strict=True)
        ]

    def restore_vectors(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Give existing records their vectors back; text and metadata stay as they are.

        An upsert, since an index that lost a record ignores an update of it.
        """
        step = self.write_limits.max_records
        for start in range(0, len(ids), step):
            part = slice(start, start + step)
            self._send("upsert", {"ids": list(ids[part]), "embeddings": vectors[part]})

    def update_metadata(self, ids: Sequence[str], metadatas: Sequence[Metadata]) -> None:
        """Change metadata alone: named keys are set, None clears, absent ones stay."""
        refuse_duplicates(ids)
        step = self.write_limits.max_records
        for start in range(0, len(ids), step):
            part = slice(start, start + step)
            self._halving("update", {"ids": list(ids[part]), "metadatas": list(metadatas[part])})

    def delete(self, ids: Sequence[str]) -> None:
        """Delete by id; missing ids are not an error."""
        step = self.write_limits.max_records
        for start in range(0, len(ids), step):
            self._halving("delete", {"ids": list(ids[start : start + step])})

    def _halving(self, operation: str, body: Mapping[str, list[Any]]) -> None:
        """Send what has a list for each field, in halves where it is refused as too large."""
        try:
            self._send(operation, body)
        except LimitExceeded:
            half = len(body["ids"]) // 2
            if half == 0:
                raise
            self._halving(operation, {name: values[:half] for name, values in body.items()})
            self._halving(operation, {name: values[half:] for name, values in body.items()})

    def get(
        self, ids: Sequence[str], *, documents: bool = False, vectors: bool = False
    ) -> dict[str, StoredRecord]:
        """Return the records that exist, by id."""
        include = ["metadatas"]
        include += ["documents"] if documents else []
        include += ["embeddings"] if vectors else []
        found: dict[str, StoredRecord] = {}
        for start in range(0, len(ids), self._read_records):
            part = list(ids[start : start + self._read_records])
            answer = self._send("get", {"ids": part, "include": include})
            found.update((record.id, record) for record in _stored(answer))
        return found

    def scan(
        self, *, source_id: str | None = None, page_size: int = 1000
    ) -> Iterator[list[StoredRecord]]:
        """Yield all records (metadata only) in pages, in the order of their first writing.

        Those that are deleted meanwhile hide none: each page begins with a record of the two before
        it, and where it does not, pages are read again from further ahead. One that is met further
        behind was written again, and has come to the end of the order, past some that nobody has
        seen. Where two whole pages of records went between two requests, some come twice.
        """
        limit = max(min(page_size, self._read_records), 2)
        where = {} if source_id is None else {"where": {"s3sync_source": source_id}}
        offset, before, last = 0, set[str](), set[str]()
        while True:
            body = {"limit": limit, "offset": offset, "include": ["metadatas"], **where}
            page = _stored(self._send("get", body))
            names, known = [record.id for record in page], before | last
            if offset and not (names and names[0] in known):
                offset = max(offset - limit, 0)
                continue
            start = 0
            while start < len(page) and names[start] in known:
                start += 1
            if new := page[start:]:
                yield new
            if len(page) < limit:
                return
            offset, before, last = offset + len(page) - 1, last, set(names)

    def query(
        self, vector: Vector, *, limit: int = 10, where: Mapping[str, Any] | None = None
    ) -> list[Hit]:
        """Return the nearest records, best first; the score is 1 - cosine distance.

        Raises:
            InvalidSetting: ``where`` is no filter of Chroma's.
        """
        body = {
            "query_embeddings": [[float(number) for number in vector]],
            "n_results": min(limit, self.most_nearest),
            "include": ["metadatas", "documents", "distances"],
            **({} if where is None else {"where": as_chroma_is_asked(where)}),
        }
        answer = self._send("query", body)
        columns = (answer["ids"], answer["documents"], answer["metadatas"], answer["distances"])
        return [
            Hit(id=name, document=text or "", metadata=_plain(metadata), score=1.0 - distance)
            for name, text, metadata, distance in zip(*(c[0] for c in columns), strict=True)
            # One without is of a collection that is being deleted, or endlessly far.
            if distance is not None and not (text is None and metadata is None)
        ]

    def ids_meeting(self, where: Mapping[str, Any], *, most: int) -> list[str] | None:
        """Return the ids of all records that meet a metadata filter; None: more than ``most``.

        Raises:
            InvalidSetting: ``where`` is no filter of Chroma's.
        """
        found: list[str] = []
        where = as_chroma_is_asked(where)
        # Ids are small: where no quota forbids, one request tells of one moment.
        at_once = most + 1 if self._read_records >= READ_RECORDS else self._read_records
        while len(found) <= most:
            limit = min(at_once, most + 1 - len(found))
            bounds = {"limit": limit, "offset": len(found)}
            page = self._send("get", {"where": where, "include": [], **bounds})["ids"]
            found += page
            if len(page) < limit:
                return found
        return None

    def count(self) -> int:
        """Return Chroma's own count (which looks right also when vectors are lost)."""
        return int(self._send("count", None))


def _neutral_sparse(indices: list[int], values: list[float]) -> tuple[list[int], list[float]]:
    """Return as many terms, whose numbers are as long as the longest."""
    return [1_000_000_000 + place for place in range(len(indices))], [0.1111111111111111] * len(
        values
    )


def _sparse_value(indices: list[int], values: list[float]) -> dict[str, Any] | None:
    # Chroma refuses an empty one: a text of stop words alone has none.
    if not indices:
        return None
    return {"#type": "sparse_vector", "indices": indices, "values": values}


def _stored(answer: Mapping[str, Any]) -> list[StoredRecord]:
    count = len(answer["ids"])
    documents = answer.get("documents") or [None] * count
    vectors = answer.get("embeddings") or [None] * count
    return [
        StoredRecord(
            id=name,
            metadata=_plain(metadata),
            document=document,
            vector=None if vector is None else _vector(vector),
        )
        for name, metadata, document, vector in zip(
            answer["ids"], answer["metadatas"], documents, vectors, strict=True
        )
    ]


def _plain(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return metadata without sparse vectors, which people neither wrote nor read."""
    return {key: value for key, value in (metadata or {}).items() if not _is_sparse(value)}


def _is_sparse(value: object) -> bool:
    return isinstance(value, Mapping) or hasattr(value, "indices")


def _vector(numbers: list[float]) -> Vector:
    import numpy as np

    return np.array(numbers, dtype=np.float32)
