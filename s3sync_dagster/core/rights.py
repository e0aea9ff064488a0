"""Who may read what of a collection: groups of a reader against what each record says of its own.

A source may name metadata keys (``Source.reader_keys``) whose values are the groups that may read a
document. A reader without one of them does not meet its records, and records that name nobody are
read by those alone who read everything.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from s3sync_dagster.model.errors import InvalidSetting

EVERYBODY = "*"
"""As a value: whoever may search at all."""
SOURCE = "s3sync_source"
KEY = "document_key"
MAX_KEYS = 8
"""Of one source."""
MAX_GROUPS = 32
"""Of one reader: each is a part of the filter."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads."""

    groups: frozenset[str] | None
    """None: everything, as operators and owners do."""


EVERYTHING = Reader(None)
MAX_TERMS = 2000
"""Of the filter that keys and groups make: ten thousand are too many for a Chroma server."""
MOST_PARTS = 100
"""Of a filter: its SQLite refuses some thousand side by side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubted:
    """Documents whose records may say something else of their readers than the catalog does.

    They are kept from readers with groups until they are written anew, or found as they were.
    """

    documents: frozenset[tuple[str, str]] = frozenset()
    """Source and document ids."""
    keys: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    """Source id -> their object keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What a reader may see of the sources of a tenant."""

    reader: Reader
    restricted: Mapping[str, Sequence[str]]
    """Sources that say who may read, with their keys; all of them, for a reader with groups.

    Without any key: no reader with groups."""
    open_sources: frozenset[str] = frozenset()
    """Sources that say nothing of it, also deleted ones whose records stand; all of them, for a
    reader with groups. Of any other source nobody knows whether it said so: it was made after the
    copy of a catalog that was restored, or is another installation's."""
    doubted: Doubted = Doubted()

    @property
    def whole(self) -> bool:
        """Whether nothing of the sources that are known is kept from the reader."""
        return self.reader.groups is None or not self.restricted

    def sees_all_of(self, source_id: str) -> bool:
        """Return whether nothing of a source is kept from the reader."""
        return self.reader.groups is None or source_id not in self.restricted

    def allow(self, source_id: str, metadata: Mapping[str, Any]) -> bool:
        """Return whether the reader may see a document or record of a source, by its metadata."""
        if self.sees_all_of(source_id):
            return True
        named: set[Any] = set()
        for key in self.restricted[source_id]:
            value = metadata.get(key)
            named.update(cast("list[Any]", value) if isinstance(value, list | tuple) else [value])
        return not named.isdisjoint(self._groups())

    def allow_record(self, metadata: Mapping[str, Any]) -> bool:
        """Return whether the reader may see a record; one of no source is nobody's."""
        source_id = metadata.get(SOURCE)
        if self.reader.groups is None or source_id is None:
            return True
        if not self.knows(source_id) or not self.allow(source_id, metadata):
            return False
        return metadata.get(KEY) not in self.doubted.keys.get(source_id, ())

    def knows(self, source_id: object) -> bool:
        """Return whether it is known what a source says of who may read."""
        told = isinstance(source_id, str)
        return told and (source_id in self.open_sources or source_id in self.restricted)

    def narrowed(self, where: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """Return a filter of Chroma's that also keeps out what the reader may not see.

        It lets records of sources that are not known pass, since none can tell them from those of
        no source: ``allow_record`` keeps them out (``engine.readable``).
        """
        if self.whole:
            return where
        parts = [self._where(), *self._without_doubted()]
        if where is not None:
            parts.append(where)
        return {"$and": parts} if len(parts) > 1 else parts[0]

    def _without_doubted(self) -> Iterator[Mapping[str, Any]]:
        """Yield parts of a filter, side by side: Chroma follows no more than some sixty levels."""
        told = self.doubted.keys
        if len(told) > MOST_PARTS:  # also what has such a key in another one of these sources
            everywhere = sorted({key for keys in told.values() for key in keys})
            yield {"$or": [{SOURCE: {"$nin": sorted(told)}}, {KEY: {"$nin": everywhere}}]}
            return
        for source_id, keys in told.items():
            yield {"$or": [{SOURCE: {"$nin": [source_id]}}, {KEY: {"$nin": sorted(keys)}}]}

    def _where(self) -> Mapping[str, Any]:
        by_keys: dict[tuple[str, ...], list[str]] = {}
        for source_id, keys in self.restricted.items():
            by_keys.setdefault(tuple(keys), []).append(source_id)
        terms = sum(len(keys) for keys in by_keys) * (1 + len(self._groups()))
        if terms + len(self.restricted) > MAX_TERMS:
            raise InvalidSetting(
                "Too many groups and sources that say who may read: no search can ask for all.",
                reason="invalid_filter",
            )
        parts: list[Mapping[str, Any]] = [{SOURCE: {"$nin": list(self.restricted)}}]
        for keys, ids in by_keys.items():
            if not keys:
                continue
            names = [one for key in keys for one in self._named(key)]
            parts.append({"$and": [{SOURCE: {"$in": ids}}, {"$or": names}]})
        return {"$or": parts} if len(parts) > 1 else parts[0]

    def _named(self, key: str) -> Iterator[Mapping[str, Any]]:
        groups = self._groups()
        yield {key: {"$in": groups}}
        for group in groups:
            yield {key: {"$contains": group}}

    def _groups(self) -> list[str]:
        # No group is called so: it is what records say that are for nobody (``core.vouching``), and
        # what a tag without a value says.
        return sorted({EVERYBODY, *(self.reader.groups or ())} - {""})


WHOLE = Rights(reader=EVERYTHING, restricted={})
"""Of whoever reads everything."""
