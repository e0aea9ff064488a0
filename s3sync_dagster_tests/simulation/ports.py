"""Bucket, Chroma and catalog as workers see them: calls stop before and after, and may fail."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from s3sync_dagster.model.errors import (
    AccessDenied,
    LimitExceeded,
    RecordRejected,
    Throttled,
    Unavailable,
)
from s3sync_dagster.ports.memory_s3 import at_once
from s3sync_dagster_tests.simulation.answers import WRONG
from s3sync_dagster_tests.simulation.worker import Killed, current, pause

LIE = "accepted, not done"
REFUSES_ALL = "refuses all"
REFUSED = "REFUSED"
"""Records whose text holds this are refused by Chroma."""
FAULTS = {
    "s3": ("error", "throttled", "denied"),
    "chroma": ("error", "lost", "half", LIE),
    "embed": ("error",),
    "worker": ("worker_crashed", "timeout"),
    "catalog": ("error", "lost"),
}


@dataclass
class Weather:
    """What the next calls of each kind meet."""

    coming: dict[str, list[str]] = field(default_factory=dict)
    on: bool = True
    lies: set[str] = field(default_factory=set)
    """Calls that a service has accepted and not done, until somebody has looked at all."""

    def forecast(self, kind: str, fault: str, *, after: int = 0) -> None:
        """Let a call of this kind fail, after so many that do not.

        Workers of a healthy host are not killed three times in a row: that would be proof.
        """
        after = max(after, 2) if kind == "worker" else after
        self.coming.setdefault(kind, []).extend(["fine"] * after + [fault])

    def next_is(self, kind: str, fault: str) -> bool:
        """Return whether the next call of a kind meets this."""
        waiting = self.coming.get(kind)
        return self.on and bool(waiting) and waiting[0] == fault

    def take(self, kind: str) -> str:
        """Return what this call meets."""
        waiting = self.coming.get(kind)
        if not self.on or not waiting:
            return "fine"
        return waiting.pop(0)

    def front(self, kind: str, fault: str, *, calls: int) -> None:
        """Let the next calls of a kind all fail in one way."""
        self.coming[kind] = [fault] * calls + self.coming.get(kind, [])


def call(weather: Weather, kind: str, name: str, action: Callable[[], Any]) -> Any:
    """Do one call: stop, fail or act, stop."""
    pause(f"before {name}")
    fault = weather.take(kind)
    if fault == "error":
        raise Unavailable(f"{name} did not answer", reason=f"{kind}_unavailable")
    if fault == "throttled":
        raise Throttled("slow down", retry_after_seconds=3)
    if fault == "denied":
        raise AccessDenied(f"{name} is not allowed")
    if fault in WRONG.get(kind, {}):
        raise WRONG[kind][fault]()
    answer = action()
    if fault == "lost":
        raise Unavailable(f"the answer of {name} was lost", reason=f"{kind}_unavailable")
    pause(f"after {name}")
    return answer


class SimStore:
    """An object store whose requests may fail."""

    def __init__(self, store: Any, weather: Weather) -> None:
        self._store, self._weather = store, weather
        self.ordered = store.ordered

    def list_page(self, prefix: str, **options: Any) -> Any:
        return self._call("LIST", lambda: self._store.list_page(prefix, **options))

    def list_unordered(self, prefix: str, **options: Any) -> Any:
        return self._call("LIST", lambda: self._store.list_unordered(prefix, **options))

    def head(self, key: str, **options: Any) -> Any:
        return self._call("HEAD", lambda: self._store.head(key, **options))

    def read(self, key: str, **options: Any) -> Any:
        return self._call("GET", lambda: self._store.read(key, **options))

    def requests(self) -> Any:
        return self._store.requests()

    def _call(self, name: str, action: Callable[[], Any]) -> Any:
        return call(self._weather, "s3", name, action)


class SimBucket(SimStore):
    """A bucket that is asked for pages ahead."""

    def __init__(self, store: Any, weather: Weather) -> None:
        super().__init__(store, weather)
        self.pages_in_turn = store.pages_in_turn

    def list_ahead(self, prefix: str, **options: Any) -> Any:
        return at_once(lambda: self.list_page(prefix, **options))


class SimPinned(SimStore):
    """A store whose listings go on with what they began with."""

    def still_gone(self, keys: Any) -> Any:
        known = getattr(self._store, "still_gone", None)
        return keys if known is None else self._call("HEAD", lambda: known(keys))

    def pin(self) -> str:
        return self._call("LIST", self._store.pin)

    def list_pinned(self, token: str, prefix: str, **options: Any) -> Any:
        return self._call("LIST", lambda: self._store.list_pinned(token, prefix, **options))


class SimCopy(SimPinned):
    """A store that answers from a copy of its place; whether that is old costs no request."""

    def renew(self) -> None:
        self._store.renew()


class SimSite(SimStore):
    """A store that keeps what it crawled, and may lack what is there."""

    def expect(self, key: str, etag: str) -> None:
        self._store.expect(key, etag)

    def tells_missing(self) -> bool:
        return self._store.tells_missing()

    def may_have(self, key: str) -> bool:
        return self._store.may_have(key)

    def learn(self, parts: Any) -> None:
        self._store.learn(parts)


def sim_store(store: Any, weather: Weather) -> SimStore:
    """Return a store whose requests may fail."""
    if hasattr(store, "pin"):
        return (SimCopy if hasattr(store, "renew") else SimPinned)(store, weather)
    if hasattr(store, "list_ahead"):
        return SimBucket(store, weather)
    return (SimSite if hasattr(store, "tells_missing") else SimStore)(store, weather)


class SimCollections:
    """Collections whose writes may fail, be lost, be done by half, or come too late."""

    def __init__(
        self,
        collections: Any,
        weather: Weather,
        is_late: Callable[[], bool],
        after_write: Callable[[str], None] = lambda _what: None,
        before_write: Callable[[str], None] = lambda _what: None,
    ) -> None:
        self._collections, self._weather, self._is_late = collections, weather, is_late
        self._watch = before_write, after_write

    def open(self, name: str, **options: Any) -> Any:
        opened = call(
            self._weather, "chroma", "open", lambda: self._collections.open(name, **options)
        )
        return _SimCollection(opened, self._weather, self._is_late, *self._watch)

    def list_collections(self, **place: Any) -> list[str]:
        return call(
            self._weather, "chroma", "list", lambda: self._collections.list_collections(**place)
        )


class _SimCollection:
    def __init__(
        self,
        collection: Any,
        weather: Weather,
        is_late: Callable[[], bool],
        before_write: Callable[[str], None],
        after_write: Callable[[str], None],
    ) -> None:
        self._collection, self._weather, self._is_late = collection, weather, is_late
        self._before_write, self._after_write = before_write, after_write
        self.id, self.name = collection.id, collection.name
        self.write_limits = collection.write_limits

    def get(self, ids: Any, **options: Any) -> Any:
        return call(self._weather, "chroma", "get", lambda: self._collection.get(ids, **options))

    def upsert(self, records: Any, vectors: Any) -> None:
        def write(part: slice) -> None:
            """Write what the server takes: it refuses some records, always the same."""
            places = [
                place
                for place in range(*part.indices(len(records)))
                if REFUSED not in records[place].document
            ]
            self._collection.upsert([records[place] for place in places], vectors[places])

        if self._weather.next_is("chroma", REFUSES_ALL):
            self._weather.take("chroma")
            raise _refused([record.id for record in records])
        self._write("upsert", len(records), write)
        refused = [record.id for record in records if REFUSED in record.document]
        if refused:
            raise _refused(refused)

    def probe(self, like: Any, vector: Any, **options: Any) -> None:
        if self._weather.next_is("chroma", REFUSES_ALL):
            raise _refused(["probe"])
        call(
            self._weather,
            "chroma",
            "probe",
            lambda: self._collection.probe(like, vector, **options),
        )

    def count(self) -> int:
        return call(self._weather, "chroma", "count", self._collection.count)

    def ids_meeting(self, where: Any, *, most: int) -> Any:
        return call(
            self._weather,
            "chroma",
            "get",
            lambda: self._collection.ids_meeting(where, most=most),
        )

    def scan(self, **options: Any) -> Any:
        for page in self._collection.scan(page_size=4, **options):
            yield call(self._weather, "chroma", "scan", lambda page=page: page)

    def update_metadata(self, ids: Any, metadatas: Any) -> None:
        self._write(
            "update",
            len(ids),
            lambda part: self._collection.update_metadata(ids[part], metadatas[part]),
        )

    def delete(self, ids: Any) -> None:
        self._write("delete", len(ids), lambda part: self._collection.delete(ids[part]))

    def _write(self, name: str, number: int, action: Callable[[slice], None]) -> None:
        self._before_write(name)
        pause(f"before {name}")
        worker = current()
        if worker is not None and self._is_late():
            worker.pinned = True
        fault = self._weather.take("chroma")
        if worker is not None and worker.pinned:
            fault = "fine"
        if fault == "error":
            raise Unavailable("Chroma did not answer", reason="chroma_unavailable")
        if fault == "half":
            action(slice(0, number // 2))
            self._after_write(name)
            raise Unavailable("Chroma did not answer", reason="chroma_unavailable")
        if fault in WRONG["chroma"]:
            raise WRONG["chroma"][fault]()
        if fault == LIE:
            self._weather.lies.add(name)
        else:
            action(slice(0, number))
        self._after_write(name)
        if fault == "lost":
            raise Unavailable("the answer was lost", reason="chroma_unavailable")
        pause(f"after {name}")


class SimQueue:
    """A queue that looks whether what is acknowledged is committed."""

    def __init__(self, queue: Any, safety: Any, *, bucket_name: str) -> None:
        self._queue, self._safety, self._bucket_name = queue, safety, bucket_name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)

    def delete(self, messages: Any) -> Any:
        bodies = [message.body for message in messages]
        self._safety.check_acknowledged(bodies, bucket_name=self._bucket_name)
        return self._queue.delete(messages)


def _refused(ids: Any) -> RecordRejected:
    error = RecordRejected("Chroma refused records")
    error.record_ids = tuple(ids)
    return error


class SimEmbedder:
    """A model whose calls may fail."""

    def __init__(self, embedder: Any, weather: Weather) -> None:
        self._embedder, self._weather = embedder, weather

    def __getattr__(self, name: str) -> Any:
        return getattr(self._embedder, name)

    def embed_documents(self, texts: Any) -> Any:
        return call(self._weather, "embed", "embed", lambda: self._embedder.embed_documents(texts))


class SimCatalog:
    """A catalog each of whose transactions a worker may not live to see, or to hear of."""

    def __init__(self, catalog: Any, weather: Weather, safety: Any) -> None:
        for table in ("listings", "batches", "documents", "collections", "work", "moves"):
            setattr(self, table, _SimTable(getattr(catalog, table), table, weather, safety))
        self.sources, self.invocations = catalog.sources, catalog.invocations
        self.rebuilding, self.servers = catalog.rebuilding, catalog.servers


class _SimTable:
    def __init__(self, table: Any, name: str, weather: Weather, safety: Any) -> None:
        self._table, self._name, self._weather = table, name, weather
        self._safety = safety

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._table, name)
        label = f"{self._name}.{name}"

        def transaction(*arguments: Any, **options: Any) -> Any:
            worker = current()
            kind = "nothing" if worker is not None and worker.pinned else "catalog"

            def act() -> Any:
                answer = method(*arguments, **options)
                if name == "record_events":
                    told = [ref.key for ref, _ in options["upserts"]]
                    self._safety.note_recorded([*told, *options["sync"], *options["remove"]])
                if name == "claim_leaving" and answer:
                    self._safety.note_claimed_by_move()
                return answer

            return call(self._weather, kind, label, act)

        return transaction


def frail(extractor: Callable[..., Any], weather: Weather) -> Callable[..., Any]:
    """Return the extractor, whose worker the host kills now and then, or lets run too long."""

    def call(content: Any, **options: Any) -> Any:
        fault = weather.take("worker")
        if fault != "fine":
            raise LimitExceeded("the worker is gone", reason=fault)
        return extractor(content, **options)

    return call


def deadly(function: Callable[..., Any], word: str) -> Callable[..., Any]:
    """Return the function, which ends its process where the content begins with ``word``."""

    def call(subject: Any, **options: Any) -> Any:
        text = subject.decode() if isinstance(subject, bytes) else getattr(subject, "text", "")
        if text.startswith(word):
            worker = current()
            if worker is not None:
                worker.killed = True
            raise Killed
        return function(subject, **options)

    return call
