"""A bucket in memory: the object store of fast tests, with versions, events and faults.

It keeps the rules of the real one (``contracts/test_object_store.py`` runs the same tests on
both) and depends on nothing but what it is given: same calls, same answers, same etags.
"""

import hashlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from s3sync_dagster.core.carried import carried_metadata
from s3sync_dagster.engine.store_ports import ListPage, ObjectBody, UnorderedPage
from s3sync_dagster.model.document import Metadata
from s3sync_dagster.model.errors import (
    FixInput,
    NotFound,
    NotPossible,
    ObjectChanged,
    S3SyncError,
)
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.model.place import Carried
from s3sync_dagster.ports.body_spool import require_size

ARCHIVE_CLASSES = frozenset({"GLACIER", "DEEP_ARCHIVE"})

Listener = Callable[[str, ObjectRef | None, str], None]
"""Called after each change with the event's name, what is there now (None: nothing), the key."""
Fault = Callable[[str, str], None]
"""Called before each request with its kind (LIST, GET, HEAD) and key or prefix; may raise."""


def at_once(ask: Callable[[], ListPage]) -> Future[ListPage]:
    """Ask for a page now, in this thread: what comes of it waits like an answer asked for ahead."""
    page: Future[ListPage] = Future()
    try:
        page.set_result(ask())
    except S3SyncError as error:
        page.set_exception(error)
    return page


@dataclass(slots=True)
class _Stored:
    ref: ObjectRef
    content: bytes
    content_type: str | None
    metadata: Mapping[str, str]
    tags: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(slots=True)
class MemoryBucket:
    """What a bucket holds; several stores may look at one."""

    name: str = "bucket"
    versioned: bool = False
    listeners: list[Listener] = field(default_factory=list[Listener])
    _current: dict[str, _Stored] = field(default_factory=dict[str, _Stored])
    _versions: dict[tuple[str, str], _Stored | None] = field(
        default_factory=dict[tuple[str, str], _Stored | None]
    )
    _sorted: list[tuple[bytes, str]] | None = None
    _writes: int = 0

    def put(
        self,
        key: str,
        content: bytes | str,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        storage_class: str = "STANDARD",
    ) -> ObjectRef:
        """Write an object and return what it is."""
        data = content.encode() if isinstance(content, str) else content
        self._writes += 1
        ref = ObjectRef(
            key=key,
            etag=hashlib.md5(data, usedforsecurity=False).hexdigest(),
            size=len(data),
            last_modified=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self._writes),
            version_id=f"v{self._writes}" if self.versioned else None,
            storage_class=storage_class,
        )
        stored = _Stored(ref, data, content_type, dict(metadata or {}), dict(tags or {}))
        if key not in self._current:
            self._sorted = None
        self._current[key] = stored
        if ref.version_id is not None:
            self._versions[key, ref.version_id] = stored
        self._tell("ObjectCreated:Put", ref, key)
        return ref

    def delete(self, key: str) -> None:
        """Remove an object, or put a delete marker on it where the bucket is versioned."""
        self._writes += 1
        if self._current.pop(key, None) is not None:
            self._sorted = None
        if self.versioned:
            self._versions[key, f"v{self._writes}"] = None
            self._tell("ObjectRemoved:DeleteMarkerCreated", None, key)
        else:
            self._tell("ObjectRemoved:Delete", None, key)

    def restore(self, key: str) -> None:
        """Make an archived object readable."""
        stored = self._current[key]
        stored.ref = replace(stored.ref, restored=True)
        self._tell("ObjectRestore:Completed", stored.ref, key)

    def tag(self, key: str, tags: Mapping[str, str]) -> None:
        """Give an object these tags in place of those that it has."""
        stored = self._current[key]
        stored.tags = dict(tags)
        self._tell("ObjectTagging:Put" if tags else "ObjectTagging:Delete", stored.ref, key)

    def objects(self) -> dict[str, bytes]:
        """Return all current contents by key."""
        return {key: stored.content for key, stored in self._current.items()}

    def stored(self, key: str, version_id: str | None) -> _Stored | None:
        """Return what is stored, None when there is nothing or a delete marker."""
        if version_id is None:
            return self._current.get(key)
        return self._versions.get((key, version_id))

    def page(self, prefix: str, *, after: str, limit: int) -> tuple[list[ObjectRef], bool]:
        """Return refs after ``after`` in UTF-8 order, and whether no more follow."""
        if self._sorted is None:
            self._sorted = sorted((key.encode(), key) for key in self._current)
        begin = prefix.encode()
        at = max(
            bisect_right(self._sorted, (after.encode(), after)) if after else 0,
            bisect_right(self._sorted, (begin, "")),
        )
        refs: list[ObjectRef] = []
        while at < len(self._sorted) and self._sorted[at][0].startswith(begin):
            if len(refs) == limit:
                return refs, False
            refs.append(replace(self._current[self._sorted[at][1]].ref, version_id=None))
            at += 1
        return refs, True

    def shuffled(
        self, prefix: str, *, after: str, limit: int
    ) -> tuple[list[ObjectRef], str | None]:
        """Return refs in the order of their keys' digests, and the last digest if more follow."""
        digests = sorted(
            (hashlib.sha256(key.encode()).hexdigest(), key)
            for key in self._current
            if key.startswith(prefix)
        )
        left = [(digest, key) for digest, key in digests if digest > after]
        refs = [replace(self._current[key].ref, version_id=None) for _, key in left[:limit]]
        return refs, left[limit - 1][0] if len(left) > limit else None

    def _tell(self, event: str, ref: ObjectRef | None, key: str) -> None:
        for listener in self.listeners:
            listener(event, ref, key)


class MemoryObjectStore:
    """``engine.ports.ObjectStore`` over a ``MemoryBucket``.

    Args:
        bucket: what it reads; None stands for a bucket that does not exist.
        fault: raises where a test wants a request to fail.
    """

    def __init__(
        self,
        bucket: MemoryBucket | None,
        *,
        fault: Fault | None = None,
        ordered: bool = True,
        page_keys: int = 1000,
        pages_in_turn: int = 3,
    ) -> None:
        self.ordered = ordered
        self.pages_in_turn = pages_in_turn
        self._page_keys = page_keys
        self._bucket = bucket
        self._fault = fault
        self._requests: Counter[str] = Counter({"LIST": 0, "GET": 0, "HEAD": 0})

    def list_page(self, prefix: str, *, start_after: str | None, limit: int = 1000) -> ListPage:
        """Return the page of keys that begin with ``prefix`` and come after ``start_after``."""
        if not self.ordered:
            raise NotPossible("the bucket lists without order", reason="unordered_listing")
        bucket = self._open("LIST", prefix)
        refs, last = bucket.page(prefix, after=start_after or "", limit=limit)
        return ListPage(objects=tuple(refs), last=last)

    def list_ahead(
        self, prefix: str, *, start_after: str | None, limit: int = 1000
    ) -> Future[ListPage]:
        """Return the page as it is now, see ``list_page``."""
        return at_once(lambda: self.list_page(prefix, start_after=start_after, limit=limit))

    def list_unordered(self, prefix: str, *, token: str | None) -> UnorderedPage:
        """Return a page of keys in an order that says nothing, as directory buckets do."""
        bucket = self._open("LIST", prefix)
        refs, token = bucket.shuffled(prefix, after=token or "", limit=self._page_keys)
        return UnorderedPage(objects=tuple(refs), token=token)

    def head(self, key: str, *, version_id: str | None = None) -> ObjectRef:
        """Return what the bucket has at ``key`` now."""
        return self._find("HEAD", key, version_id).ref

    def read(
        self,
        key: str,
        *,
        version_id: str | None = None,
        if_match: str | None = None,
        max_size_bytes: int,
    ) -> ObjectBody:
        """Return the object's bytes."""
        stored = self._find("GET", key, version_id)
        if if_match and if_match != stored.ref.etag:
            raise ObjectChanged(f"object {key!r} was overwritten before it could be read")
        if stored.ref.storage_class in ARCHIVE_CLASSES and not stored.ref.restored:
            raise FixInput(
                f"object {key!r} is archived; restore it to have it indexed", reason="archived"
            )
        require_size(f"object {key!r}", stored.ref.size, most=max_size_bytes)
        return ObjectBody(
            ref=stored.ref,
            content=stored.content,
            content_type=stored.content_type,
            metadata=stored.metadata,
        )

    def carried(
        self,
        key: str,
        *,
        wanted: Carried,
        read: ObjectBody | None = None,
        exact: bool = False,
    ) -> Metadata:
        """Return what an object carries of what is wanted (``engine.ports.CarryingStore``)."""
        metadata: Mapping[str, str] = {}
        tags: Mapping[str, str] = {}
        version_id = None
        if read is not None:
            metadata, version_id = read.metadata, read.ref.version_id
        elif wanted.metadata:
            metadata = self._find("HEAD", key, None).metadata
        if wanted.tags:
            tags = self._find("TAGS", key, version_id).tags
        if wanted.tags and read is not None and exact and version_id is None:
            there = self._find("HEAD", key, None).ref
            if there != read.ref:
                raise ObjectChanged(f"object {key!r} was overwritten while its tags were read")
        return carried_metadata(key, wanted, metadata=metadata, unread=0, tags=tags)

    def requests(self) -> Mapping[str, int]:
        """Return requests so far by kind (LIST, GET, HEAD, TAGS)."""
        return dict(self._requests)

    def close(self) -> None:
        """Do nothing: there is no connection."""

    def _open(self, kind: str, name: str) -> MemoryBucket:
        self._requests[kind] += 1
        if self._fault is not None:
            self._fault(kind, name)
        if self._bucket is None:
            raise NotFound("the bucket does not exist", reason="bucket_not_found")
        return self._bucket

    def _find(self, kind: str, key: str, version_id: str | None) -> _Stored:
        bucket = self._open(kind, key)
        stored = bucket.stored(key, version_id)
        if stored is None:
            raise NotFound(
                f"object {key!r} does not exist in bucket {bucket.name!r}", reason="object_gone"
            )
        return stored
