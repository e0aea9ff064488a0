"""A collection that is not there, for those who would look into it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from s3sync_dagster.engine.ports import WriteLimits
from s3sync_dagster.model.errors import NotFound

if TYPE_CHECKING:
    from s3sync_dagster.engine.ports import StoredRecord, Vector, Vectors
    from s3sync_dagster.model.document import Hit, Metadata, Record


class AbsentCollection:
    """A collection that does not exist: every document of it lacks all its records."""

    id = ""
    write_limits = WriteLimits()

    def __init__(self, name: str) -> None:
        self.name = name

    def upsert(self, records: Sequence[Record], vectors: Vectors) -> None:
        """Refuse: nothing is written where nothing is."""
        raise NotFound(f"there is no collection {self.name!r}")

    def probe(self, like: Record, vector: Vector, *, source_id: str, name: str) -> None:
        """Refuse."""
        raise NotFound(f"there is no collection {self.name!r}")

    def update_metadata(self, ids: Sequence[str], metadatas: Sequence[Metadata]) -> None:
        """Refuse."""
        raise NotFound(f"there is no collection {self.name!r}")

    def delete(self, ids: Sequence[str]) -> None:
        """Do nothing: no id is there."""

    @property
    def most_nearest(self) -> int:
        """Return a number that no collection has."""
        return sys.maxsize

    def get(
        self, ids: Sequence[str], *, documents: bool = False, vectors: bool = False
    ) -> dict[str, StoredRecord]:
        """Return nothing."""
        return {}

    def scan(
        self, *, source_id: str | None = None, page_size: int = 1000
    ) -> Iterator[list[StoredRecord]]:
        """Yield nothing."""
        return iter(())

    def query(
        self, vector: Vector, *, limit: int = 10, where: Mapping[str, Any] | None = None
    ) -> list[Hit]:
        """Return nothing."""
        return []

    def ids_meeting(self, where: Mapping[str, Any], *, most: int) -> list[str] | None:
        """Return nothing."""
        return []

    def count(self) -> int:
        """Return 0."""
        return 0
