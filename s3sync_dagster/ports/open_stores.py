"""Stores that a process has open: so many, however many sources there are, or were.

Each holds files, connections, or a process of git. One that had to give way, or whose source's
place has changed, is closed when nobody works with it any more.
"""

import threading
import weakref
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

from s3sync_dagster.engine.store_ports import ObjectStore
from s3sync_dagster.model.place import Place
from s3sync_dagster.model.source import Source

MOST_OPEN = 16
"""Of a type of place: a site holds seven files."""
MOST_REPOSITORIES = 4
"""Each holds its names in memory, 210 MB of 500,000 files, which 150 KB to be served may be."""
MOST_BUCKETS = 256
"""A bucket's store takes longer to open, and holds little."""
_MOST = {"s3": MOST_BUCKETS, "github": MOST_REPOSITORIES}


class OpenStores:
    """The stores of sources, those that were asked for last."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._known: dict[str, tuple[Source, _Used]] = {}
        """By source, the one that nobody has asked for for longest first."""
        self._ended: Counter[str] = Counter()
        """Requests of those that were closed."""

    def store_for(self, source: Source, opened: Callable[[], ObjectStore]) -> ObjectStore:
        """Return the store of a source, opened where it is not open for what that says now."""
        with self._lock:
            known = self._known.pop(source.id, None)
            if known is not None and _same(known[0], source):
                self._known[source.id] = known
                return cast("ObjectStore", known[1])
        # Outside of the lock: a place may keep who opens it waiting.
        made = _Used(opened(), self._end)
        with self._lock:
            beside = self._known.get(source.id)
            if beside is not None and _same(beside[0], source):  # somebody was faster
                return cast("ObjectStore", beside[1])
            self._known[source.id] = (source, made)
            left = self._beyond(source.place)
        left.clear()
        return cast("ObjectStore", made)

    def requests(self) -> Mapping[str, int]:
        """Return requests so far by kind, those of closed stores included."""
        with self._lock:
            total = Counter(self._ended)
            for _, store in self._known.values():
                total.update(store.requests())
        return total

    def let_go(self) -> None:
        """Close those that nobody works with; each other one is when nobody does any more."""
        with self._lock:
            known = list(self._known.values())
            self._known.clear()
        known.clear()  # outside of the lock: a place may keep waiting who closes it

    def close(self) -> None:
        """Close all."""
        with self._lock:
            known = [store for _, store in self._known.values()]
            self._known.clear()
        for store in known:
            store.close()

    def _beyond(self, place: Place) -> "list[_Used]":
        """Take out what gives way to a store of a place."""
        most = _MOST.get(place.type, MOST_OPEN)
        alike = [name for name, (one, _) in self._known.items() if one.place.type == place.type]
        return [self._known.pop(name)[1] for name in alike[: max(len(alike) - most, 0)]]

    def _end(self, store: ObjectStore) -> None:
        with self._lock:
            self._ended.update(store.requests())
        store.close()


def _same(one: Source, other: Source) -> bool:
    """Return whether a store of one source is one of the other: sites read so much of a page."""
    return one.place == other.place and one.max_size_bytes == other.max_size_bytes


class _Used:
    """A store as long as somebody has it: what is called of it has it until it returns."""

    def __init__(self, store: ObjectStore, end: Callable[[ObjectStore], None]) -> None:
        self._store = store
        weakref.finalize(self, end, store).atexit = False

    def __repr__(self) -> str:
        return repr(self._store)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._store, name)
        return partial(self._call, value) if callable(value) else value

    def _call(self, method: Callable[..., Any], *args: Any, **more: Any) -> Any:
        return method(*args, **more)
