"""Chroma in dictionaries, for tests and for what is tried apart. Shares the contract tests."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from s3sync_dagster.core.filters import matches, require_shape
from s3sync_dagster.core.neutral import neutral_record
from s3sync_dagster.core.record_limits import validate_metadata, validate_record
from s3sync_dagster.engine.ports import StoredRecord, WriteLimits
from s3sync_dagster.model.document import Hit
from s3sync_dagster.model.errors import EmbeddingMismatch, NotFound
from s3sync_dagster.ports.chroma_batches import refuse_duplicates
from s3sync_dagster.ports.chroma_configuration import (
    check_collection,
    check_dimension,
    new_collection,
)

if TYPE_CHECKING:
    from s3sync_dagster.engine.ports import Embedder, Vector, Vectors
    from s3sync_dagster.model.document import Metadata, Record


class MemoryCollections:
    """A ``Collections`` without a server. Databases exist as soon as they are named."""

    def __init__(self, *, write_limits: WriteLimits | None = None) -> None:
        self._write_limits = write_limits or WriteLimits()
        self._collections: dict[tuple[str, str, str], MemoryCollection] = {}
        self.missing_databases: set[str] = set()
        """Databases that do not exist."""

    def open(
        self,
        name: str,
        *,
        tenant: str,
        database: str,
        embedder: Embedder | None,
        create: bool = True,
        reads: bool = False,
    ) -> MemoryCollection:
        """Return the collection; see ``engine.ports.Collections``."""
        if database in self.missing_databases:
            raise NotFound(f"there is no database {database!r} of tenant {tenant!r}")
        place = (tenant, database, name)
        if place not in self._collections:
            if embedder is None or reads or not create:
                raise NotFound(f"there is no collection {name!r} in database {database!r}")
            self._collections[place] = MemoryCollection(
                name,
                new_collection(name, embedder)["configuration"],
                write_limits=self._write_limits,
            )
        collection = self._collections[place]
        check_collection(collection.description(), embedder, reads=reads)
        if embedder is not None and create and not reads:
            check_dimension(collection.description(), embedder)
        return collection

    def list_collections(self, *, tenant: str, database: str) -> list[str]:
        """Return the names of all collections of a database, in their order of creation."""
        return [name for t, d, name in self._collections if (t, d) == (tenant, database)]

    def delete_collection(self, name: str, *, tenant: str, database: str) -> None:
        """Delete a collection; who still holds it gets ``NotFound``."""
        gone = self._collections.pop((tenant, database, name), None)
        if gone is not None:
            gone.deleted = True

    def heartbeat(self, *, within: float | None = None) -> None:
        """Return at once."""

    def close(self) -> None:
        """Do nothing: the state lives as long as this object."""


class MemoryCollection:
    """A ``CollectionPort`` over a dictionary."""

    def __init__(
        self, name: str, configuration: Mapping[str, Any], *, write_limits: WriteLimits
    ) -> None:
        self.id = str(uuid.uuid4())
        self.name = name
        self.write_limits = write_limits
        self.most_nearest = sys.maxsize
        self.metadata: dict[str, Any] = {}
        """The collection's own metadata, such as ``finished_ingest``."""
        self.calls: list[tuple[str, int]] = []
        """Operation and number of records of each call, in order."""
        self.deleted = False
        self._configuration = dict(configuration)
        self._dimension: int | None = None
        self._records: dict[str, StoredRecord] = {}
        self._asked: tuple[list[StoredRecord], Vectors, Vector] | None = None
        """Records, their vectors and lengths: made at the first question after a write."""

    def description(self) -> dict[str, Any]:
        """Return the collection as Chroma's API shows it."""
        return {
            "id": self.id,
            "name": self.name,
            "metadata": self.metadata,
            "configuration_json": self._configuration,
            "dimension": self._dimension,
        }

    def upsert(self, records: Sequence[Record], vectors: Vectors) -> None:
        """Write records and vectors; absent metadata keys of existing ids survive."""
        self._called("upsert", len(records))
        refuse_duplicates([record.id for record in records])
        for record in records:
            validate_record(record)
        if not records:
            return
        if self._dimension not in (None, vectors.shape[-1]):
            raise EmbeddingMismatch(f"{self.name!r} has vectors of {self._dimension} numbers")
        self._dimension = vectors.shape[-1]
        for record, vector in zip(records, vectors, strict=True):
            old = self._records.get(record.id)
            self._records[record.id] = StoredRecord(
                id=record.id,
                metadata=_merged(old.metadata if old else {}, record.metadata),
                document=record.document,
                vector=vector.astype("float32"),
            )
        self._asked = None

    def probe(self, like: Record, vector: Vector, *, source_id: str, name: str) -> None:
        """Write a neutral record of that size and delete it again."""
        record = neutral_record(like, name=name, source_id=source_id)
        try:
            self.upsert([record], vector.reshape(1, -1))
            self.update_metadata([record.id], [record.metadata])
        finally:
            self.delete([record.id])

    def update_metadata(self, ids: Sequence[str], metadatas: Sequence[Metadata]) -> None:
        """Change metadata alone; unknown ids are passed over, as Chroma does."""
        self._called("update", len(ids))
        refuse_duplicates(ids)
        for metadata in metadatas:
            validate_metadata(metadata)
        for name, metadata in zip(ids, metadatas, strict=True):
            old = self._records.get(name)
            if old is not None:
                self._records[name] = StoredRecord(
                    id=name,
                    metadata=_merged(old.metadata, metadata),
                    document=old.document,
                    vector=old.vector,
                )
        self._asked = None

    def delete(self, ids: Sequence[str]) -> None:
        """Delete by id; missing ids are not an error."""
        self._called("delete", len(ids))
        for name in ids:
            self._records.pop(name, None)
        self._asked = None

    def get(
        self, ids: Sequence[str], *, documents: bool = False, vectors: bool = False
    ) -> dict[str, StoredRecord]:
        """Return the records that exist, by id."""
        self._called("get", len(ids))
        return {
            name: _shown(self._records[name], documents=documents, vectors=vectors)
            for name in ids
            if name in self._records
        }

    def scan(
        self, *, source_id: str | None = None, page_size: int = 1000
    ) -> Iterator[list[StoredRecord]]:
        """Yield all records (metadata only) in pages."""
        chosen = [
            record
            for record in list(self._records.values())
            if source_id is None or record.metadata.get("s3sync_source") == source_id
        ]
        for start in range(0, len(chosen), page_size):
            page = chosen[start : start + page_size]
            self._called("get", len(page))
            yield [_shown(record, documents=False, vectors=False) for record in page]

    def query(
        self, vector: Vector, *, limit: int = 10, where: Mapping[str, Any] | None = None
    ) -> list[Hit]:
        """Return the nearest records by comparing all of them, best first."""
        self._called("query", 1)
        if where is not None:
            require_shape(where)
        import numpy as np

        if not self._records:
            return []
        if self._asked is None:
            held = list(self._records.values())
            rows = np.array([record.vector for record in held])
            self._asked = held, rows, np.linalg.norm(rows, axis=1)
        records, rows, lengths = self._asked
        scores = (rows @ vector / lengths / np.linalg.norm(vector)).tolist()
        chosen = [
            place
            for place, record in enumerate(records)
            if where is None or matches(record.metadata, where)
        ]
        nearest = sorted(chosen, key=lambda place: -scores[place])[:limit]
        return [
            Hit(
                id=records[place].id,
                document=records[place].document or "",
                metadata=records[place].metadata,
                score=scores[place],
            )
            for place in nearest
        ]

    def ids_meeting(self, where: Mapping[str, Any], *, most: int) -> list[str] | None:
        """Return the ids of all records that meet a metadata filter; None: more than ``most``."""
        self._called("get", 1)
        require_shape(where)
        records = list(self._records.values())
        found = [record.id for record in records if matches(record.metadata, where)]
        return found if len(found) <= most else None

    def count(self) -> int:
        """Return the number of records."""
        self._called("count", 1)
        return len(self._records)

    def _called(self, operation: str, records: int) -> None:
        if self.deleted:
            raise NotFound(f"Chroma does not have collection {self.name!r}")
        self.calls.append((operation, records))


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in {**old, **new}.items() if value is not None}


def _shown(record: StoredRecord, *, documents: bool, vectors: bool) -> StoredRecord:
    return StoredRecord(
        id=record.id,
        metadata=dict(record.metadata),
        document=record.document if documents else None,
        vector=record.vector if vectors else None,
    )
