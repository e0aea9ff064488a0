"""A collection as one reader has it: whatever is asked, only what he may see is answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from s3sync_dagster.core.rights import SOURCE
from s3sync_dagster.model.document import Hit

if TYPE_CHECKING:
    from s3sync_dagster.core.rights import Rights
    from s3sync_dagster.engine.ports import CollectionPort, StoredRecord, Vector


ROUNDS = 10
"""Questions for one: in each, all unknown sources that it meets are left out of the next."""


@dataclass(frozen=True, slots=True)
class Readable:
    """Guards a collection; it can be read alone. Searches, texts and scans go through it."""

    collection: CollectionPort
    rights: Rights

    @property
    def most_nearest(self) -> int:
        """Records that ``query`` returns at most."""
        return self.collection.most_nearest

    def get(
        self, ids: Sequence[str], *, documents: bool = False, vectors: bool = False
    ) -> dict[str, StoredRecord]:
        """Return the records that exist and may be seen."""
        found = self.collection.get(ids, documents=documents, vectors=vectors)
        return {name: one for name, one in found.items() if self.rights.allow_record(one.metadata)}

    def scan(
        self, *, source_id: str | None = None, page_size: int = 1000
    ) -> Iterator[list[StoredRecord]]:
        """Yield all records that may be seen, in pages that may be short."""
        for page in self.collection.scan(source_id=source_id, page_size=page_size):
            yield [one for one in page if self.rights.allow_record(one.metadata)]

    def query(
        self, vector: Vector, *, limit: int = 10, where: Mapping[str, Any] | None = None
    ) -> list[Hit]:
        """Return the nearest records that may be seen, best first.

        Sources that no filter of the catalog's names, since it does not know them, are left out by
        a further question once they are met, in so many rounds as a question may cost.
        """
        unknown: set[str] = set()
        seen: list[Hit] = []
        for _ in range(ROUNDS):
            found = self.collection.query(vector, limit=limit, where=_without(unknown, where))
            seen = [one for one in found if self.rights.allow_record(one.metadata)]
            owners = [one.metadata.get(SOURCE) for one in found]
            more = {one for one in owners if isinstance(one, str) and not self.rights.knows(one)}
            if more <= unknown:
                break
            unknown |= more
        return seen

    def ids_meeting(self, where: Mapping[str, Any], *, most: int) -> list[str] | None:
        """Return the ids of all records that meet a filter and may be seen; None: too many."""
        return self.collection.ids_meeting(self.rights.narrowed(where) or where, most=most)


def _without(unknown: set[str], where: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if not unknown:
        return where
    others = {SOURCE: {"$nin": sorted(unknown)}}
    return others if where is None else {"$and": [others, where]}
