"""One collection of a Chroma server or of Chroma Cloud, over HTTP."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from s3sync_dagster.core.interfaces import StoredRecord, WriteLimits
from s3sync_dagster.model.document import Hit
from s3sync_dagster.model.errors import InvalidSetting, LimitExceeded, RecordRejected
from s3sync_dagster.ports.chroma_batches import batches, refuse_duplicates

if TYPE_CHECKING:
    from s3sync_dagster.core.interfaces import Vector, Vectors
    from s3sync_dagster.model.document import Metadata, Record
    from s3sync_dagster.ports.chroma_http import ChromaHttp

READ_RECORDS = 1000
CLOUD_RECORDS = 300
"""Quota of Chroma Cloud on records of one write and of one answer."""


class HttpCollection:
    """A ``CollectionPort``. Holds the collection's id: one that was made anew is not found."""

    def __init__(
        self,
        http: ChromaHttp,
        *,
        name: str,
        path: str,
        write_limits: WriteLimits,
        read_records: int = READ_RECORDS,
    ) -> None:
        self._http = http
        self._path = path
        self._read_records = read_records
        self.name = name
        self.write_limits = write_limits

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
            "embeddings": _encoded(vectors),
            "documents": [record.document for record in records],
            "metadatas": [record.metadata for record in records],
        }
        try:
            self._call("upsert", body)
        except (LimitExceeded, InvalidSetting):
            if len(records) == 1:
                return [records[0].id]
            half = len(records) // 2
            return [
                *self._upsert(records[:half], vectors[:half]),
                *self._upsert(records[half:], vectors[half:]),
            ]
        return []

    def update_metadata(self, ids: Sequence[str], metadatas: Sequence[Metadata]) -> None:
        """Change metadata alone: named keys are set, None clears, absent ones stay."""
        refuse_duplicates(ids)
        step = self.write_limits.max_records
        for start in range(0, len(ids), step):
            part = slice(start, start + step)
            self._call("update", {"ids": list(ids[part]), "metadatas": list(metadatas[part])})

    def delete(self, ids: Sequence[str]) -> None:
        """Delete by id; missing ids are not an error."""
        step = self.write_limits.max_records
        for start in range(0, len(ids), step):
            self._call("delete", {"ids": list(ids[start : start + step])})

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
            answer = self._call("get", {"ids": part, "include": include})
            found.update((record.id, record) for record in _stored(answer))
        return found

    def scan(
        self, *, source_id: str | None = None, page_size: int = 1000
    ) -> Iterator[list[StoredRecord]]:
        """Yield all records (metadata only) in pages, in the order of their first writing.

        Records that are deleted meanwhile shift the pages: scan what nobody writes.
        """
        limit = min(page_size, self._read_records)
        where = {} if source_id is None else {"where": {"s3sync_source": source_id}}
        offset = 0
        while True:
            body = {"limit": limit, "offset": offset, "include": ["metadatas"], **where}
            page = _stored(self._call("get", body))
            if page:
                yield page
            if len(page) < limit:
                return
            offset += len(page)

    def query(
        self, vector: Vector, *, limit: int = 10, where: Mapping[str, Any] | None = None
    ) -> list[Hit]:
        """Return the nearest records, best first; the score is 1 - cosine distance.

        Raises:
            InvalidSetting: ``where`` is no filter of Chroma's.
        """
        body = {
            "query_embeddings": [[float(number) for number in vector]],
            "n_results": min(limit, self._read_records),
            "include": ["metadatas", "documents", "distances"],
            **({} if where is None else {"where": where}),
        }
        answer = self._call("query", body)
        columns = (answer["ids"], answer["documents"], answer["metadatas"], answer["distances"])
        return [
            Hit(id=name, document=text or "", metadata=metadata or {}, score=1.0 - distance)
            for name, text, metadata, distance in zip(*(c[0] for c in columns), strict=True)
        ]

    def count(self) -> int:
        """Return Chroma's own count (which looks right also when vectors are lost)."""
        return int(self._http.call("count", "GET", f"{self._path}/count", subject=self._subject()))

    def _call(self, operation: str, body: Mapping[str, Any]) -> Any:
        return self._http.call(
            operation, "POST", f"{self._path}/{operation}", body, subject=self._subject()
        )

    def _subject(self) -> str:
        return f"collection {self.name!r}"


def _encoded(vectors: Vectors) -> list[str]:
    """Return each vector as base64 of little-endian float32: a third of its JSON form."""
    rows = vectors.astype("<f4", copy=False)
    return [base64.b64encode(row.tobytes()).decode() for row in rows]


def _stored(answer: Mapping[str, Any]) -> list[StoredRecord]:
    count = len(answer["ids"])
    documents = answer.get("documents") or [None] * count
    vectors = answer.get("embeddings") or [None] * count
    return [
        StoredRecord(
            id=name,
            metadata=metadata or {},
            document=document,
            vector=None if vector is None else _vector(vector),
        )
        for name, metadata, document, vector in zip(
            answer["ids"], answer["metadatas"], documents, vectors, strict=True
        )
    ]


def _vector(numbers: list[float]) -> Vector:
    import numpy as np

    return np.array(numbers, dtype=np.float32)
