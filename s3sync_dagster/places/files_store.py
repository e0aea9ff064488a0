"""A file store that is read like a bucket: its listing is gathered page by page and sorted on disk.

A store without folders answers with pages of whole paths; another one is walked, folder by folder
in the order of their names, and memory holds the names of those that the walk is in. Where a
listing stands is its token: another process goes on there.
"""

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from s3sync_dagster.core.keys import MAX_OBJECT_KEY_BYTES
from s3sync_dagster.core.selection import BAD_NAME, SPECIAL, SYMLINK
from s3sync_dagster.engine.store_ports import ListPage, ObjectBody, UnorderedPage
from s3sync_dagster.model.errors import (
    EmptyPlace,
    FixConfiguration,
    NotFound,
    NotPossible,
    ObjectChanged,
    S3SyncError,
    Unavailable,
)
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.places.files_access import CALL_SECONDS, Access, Entry, settled
from s3sync_dagster.places.files_cloud import FlatAccess
from s3sync_dagster.places.files_errors import is_absence, refusal
from s3sync_dagster.places.files_named import NamedFiles
from s3sync_dagster.places.files_walk import Walk
from s3sync_dagster.ports.body_encoding import decoded
from s3sync_dagster.ports.body_spool import BodySpool, discard, require_size

LIST_SECONDS = 300.0
"""For the names of one folder."""
_CONFIRMED_AT_ONCE = 64
T = TypeVar("T")
_PIECE_BYTES = 4 * 1024 * 1024
_MARKS = {"link": SYMLINK, "other": SPECIAL, "deep": BAD_NAME}


class FilesStore:
    """``engine.ports.ObjectStore`` over what fsspec reaches.

    Args:
        access: how it is spoken to.
        marker: path of a file without which the store counts as not mounted.
        shown: the store's address, for messages.
    """

    ordered = False

    def __init__(self, access: Access, *, marker: str | None, shown: str) -> None:
        self._access, self._marker, self._shown = access, marker, shown
        self._spool = BodySpool(None)
        self._requests: Counter[str] = Counter({"LIST": 0, "GET": 0, "HEAD": 0})
        self._opening, self._walking = threading.Lock(), threading.Lock()
        self._system: Any = None
        self._walk = Walk(self._folder, self._complete)
        self._named = NamedFiles(self._folder, shown=shown)
        self._alive_until = 0.0

    def __repr__(self) -> str:
        return f"FilesStore({self._shown!r})"

    # --- listings -----------------------------------------------------------------------------

    def look(self) -> None:
        """Ask with one request whether the store may be listed. Raises what a listing would."""
        if isinstance(self._access, FlatAccess):
            self._page(self._access, None, limit=1)
        else:
            self._folder("")

    def list_page(self, prefix: str, *, start_after: str | None, limit: int = 1000) -> ListPage:
        """Raise ``NotPossible``: a store is listed in an order of its own."""
        del prefix, start_after, limit
        raise NotPossible("A file store is not listed in order.", reason="unordered_listing")

    def list_unordered(self, prefix: str, *, token: str | None) -> UnorderedPage:
        """Return a page of files.

        Raises:
            FixConfiguration: ``folder_missing``, ``folder_not_mounted``, ``no_version``.
            AccessDenied: a folder cannot be read: what it holds would be taken for gone.
            Unavailable: ``store_timeout``, ``store_failed``.
        """
        if isinstance(self._access, FlatAccess):
            page = self._page(self._access, token, limit=1000)
            entries, following = page.entries, page.token
            if following is None and token is not None:
                self._require_some()  # emptied since the first page, it is as good as unmounted
        else:
            with self._walking:
                entries, following = self._walk.step(token)
        refs = [self._ref(one) for one in entries if one.name and not one.name.endswith("/")]
        if following is None:
            self._require_marker()
        return UnorderedPage(
            objects=tuple(one for one in refs if one.key.startswith(prefix)), token=following
        )

    def confirm_gone(self, keys: Sequence[str]) -> None:
        """Raise unless the store says of each key itself that it is gone.

        A page that says "temporarily unavailable" with status 200 is a folder without files.

        Raises:
            Unavailable: ``store_failed``, where a file is there that its folder does not name, or
                is not and its folder names it, or the answer is none.
        """
        if not self._access.doubtful:
            return
        possible = [key for key in keys if self._may_be(key)]
        for at in range(0, len(possible), _CONFIRMED_AT_ONCE):
            entries = [Entry(key, "file") for key in possible[at : at + _CONFIRMED_AT_ONCE]]
            there = [one.name for one in self._complete("", entries) if one.kind == "file"]
            if there:
                raise Unavailable(
                    f"The folder of {there[0]!r} does not name it, and the store "
                    f"{self._shown!r} has it: what its folders show is not believed.",
                    reason="store_failed",
                )
            for one in entries:
                self._named.require_unnamed(one.name)

    def still_gone(self, keys: Sequence[str]) -> Sequence[str]:
        """Return those of the keys, which a listing lacks, that are not there by now."""
        if self._access.doubtful or isinstance(self._access, FlatAccess):
            return keys  # asked for one by one; pages of one moment
        there = set(keys) - set(self._named.still_gone([one for one in keys if self._may_be(one)]))
        return [key for key in keys if key not in there or not self._may_be(key)]

    def _page(self, access: FlatAccess, token: str | None, *, limit: int) -> Any:
        self._requests["LIST"] += 1
        try:
            return self._ask(
                f"The store {self._shown!r}", lambda system: access.page(system, token, limit)
            )
        except FileNotFoundError:
            raise self._missing() from None

    def _folder(self, folder: str) -> list[Entry]:
        """Return what a folder holds. Raises ``FileNotFoundError``, of the store itself our own."""
        self._requests["LIST"] += 1
        try:
            return self._ask(
                f"The folder {self._below(folder)!r}",
                lambda system: self._access.listed(system, folder),
                seconds=LIST_SECONDS,
            )
        except FileNotFoundError:
            if folder:
                raise
            raise self._missing() from None

    def _complete(self, folder: str, entries: list[Entry]) -> list[Entry]:
        """Return files of a folder with the versions that its listing did not tell."""
        self._requests["HEAD"] += sum(one.kind == "file" and one.version is None for one in entries)
        return self._ask(
            f"A file of the folder {self._below(folder)!r}",
            lambda system: self._access.complete(system, folder, entries),
            seconds=CALL_SECONDS * len(entries),
        )

    # --- files --------------------------------------------------------------------------------

    def head(self, key: str, *, version_id: str | None = None) -> ObjectRef:
        """Return what is at ``key`` now. Raises ``NotFound`` (``object_gone``)."""
        return self._ref(self._info(key, version_id))

    def read(
        self,
        key: str,
        *,
        version_id: str | None = None,
        if_match: str | None = None,
        max_size_bytes: int,
    ) -> ObjectBody:
        """Return a file's bytes.

        Raises:
            NotFound: ``object_gone``.
            LimitExceeded: ``too_large``.
            ObjectChanged: ``if_match`` does not hold, or it was written while it was read.
        """
        before = self._info(key, version_id)
        require_size(f"file {key!r}", before.size, most=max_size_bytes)
        self._requests["GET"] += 1
        what = f"The file {key!r}"
        try:
            file = self._ask(what, lambda system: self._access.opened(system, key, before))
            try:
                came = _Counted(self._pieces(what, file))
                pieces = decoded(came, encoding=before.encoding, key=key)
                content = self._spool.read(pieces, key=key, limit=max_size_bytes)
            finally:
                self._ask(what, lambda _: file.close())
        except FileNotFoundError:
            raise ObjectChanged(f"file {key!r} went while it was read") from None
        try:
            after = self._info(key, version_id)
            self._require_whole(key, came.size, before, after, if_match)
        except BaseException:
            discard(content)
            raise
        return ObjectBody(ref=self._ref(after), content=content)

    def requests(self) -> Mapping[str, int]:
        """Return requests so far by kind (LIST, GET, HEAD)."""
        return dict(self._requests)

    def close(self) -> None:
        """End connections and remove the spool; the next call opens new ones."""
        self._spool.close()
        with self._opening:
            system, self._system = self._system, None
        if system is not None:
            self._access.close(system)

    def _pieces(self, what: str, file: Any) -> Iterator[bytes]:
        while piece := self._ask(what, lambda _: bytes(file.read(_PIECE_BYTES))):
            yield piece

    def _require_whole(
        self, key: str, size: int, before: Entry, after: Entry, if_match: str | None
    ) -> None:
        same = settled(before.version) == settled(after.version) and before.size == after.size
        if not same or size != max(after.size, 0) and after.size >= 0:
            raise ObjectChanged(f"file {key!r} was written while it was read")
        if if_match and if_match != after.version:
            raise ObjectChanged(f"file {key!r} was overwritten before it could be read")

    def _info(self, key: str, version_id: str | None) -> Entry:
        self._requests["HEAD"] += 1
        gone = NotFound(f"file {key!r} is not in the store {self._shown!r}", reason="object_gone")
        if version_id is not None or not self._may_be(key):
            raise gone
        try:
            found = self._ask(f"The file {key!r}", lambda system: self._access.info(system, key))
        except FileNotFoundError:
            self._require_alive()
            if self._access.doubtful:
                self._named.require_unnamed(key)
            raise gone from None
        if found.kind != "file":
            raise gone
        return found._replace(name=key)

    def _may_be(self, key: str) -> bool:
        """Return whether a key may be one of a file: of others drivers make addresses of others."""
        if _is_dotted(key) or "\0" in key:
            return False
        return self._access.flat or "" not in key.split("/")

    def _ref(self, entry: Entry) -> ObjectRef:
        key, marked = _key_of(entry.name), _MARKS.get(entry.kind, "STANDARD")
        if key != entry.name or _is_dotted(key):
            marked = BAD_NAME
        if marked == "STANDARD" and entry.version is None:
            raise FixConfiguration(
                f"The store {self._shown!r} tells neither a version nor a time of {key!r}: a "
                "change of it could not be noticed.",
                reason="no_version",
            )
        return ObjectRef(
            key=key,
            etag=entry.version or "",
            size=entry.size,
            last_modified=entry.modified,
            storage_class=marked,
        )

    # --- the store itself ---------------------------------------------------------------------

    def _require_alive(self) -> None:
        """Refuse to take a file for gone where the store itself is away, or nothing is left in it.

        What was found is good for twice as long as it took, so that many files that are gone do
        not have a large folder listed once for each.
        """
        if time.monotonic() < self._alive_until:
            return
        began = time.monotonic()
        if self._marker is not None:
            self._require_marker()
        else:
            self._require_some()
        now = time.monotonic()
        self._alive_until = now + 2 * (now - began)

    def _require_some(self) -> None:
        if not (
            self._page(self._access, None, limit=1).entries
            if isinstance(self._access, FlatAccess)
            else self._folder("")
        ):
            raise EmptyPlace(
                f"The store {self._shown!r} is empty: is it mounted where it is served? Its "
                "records stay until a listing is approved."
            )

    def _require_marker(self) -> None:
        marker = self._marker
        if marker is None:
            return
        try:
            self._ask(f"The marker {marker!r}", lambda system: self._access.info(system, marker))
        except FileNotFoundError:
            raise FixConfiguration(
                f"The store {self._shown!r} has no {marker!r}, its marker: it is not mounted where "
                "it is served. Its records stay as they are.",
                reason="folder_not_mounted",
            ) from None

    def _missing(self) -> S3SyncError:
        return FixConfiguration(
            f"The store {self._shown!r} does not exist: is its address right, and is it mounted "
            "where it is served? Its records stay as they are.",
            reason="folder_missing",
        )

    def _below(self, folder: str) -> str:
        return f"{self._shown}/{folder}".rstrip("/")

    # --- the driver ---------------------------------------------------------------------------

    def _ask(self, what: str, call: Callable[[Any], T], *, seconds: float = CALL_SECONDS) -> T:
        """Return what a call of the driver returns.

        Drivers wait in their own ways, some without end: the call runs in a thread that is left to
        itself when its time is over, and so is the driver.

        Raises:
            FileNotFoundError: the store said itself that it is not there.
            S3SyncError: anything else that went wrong.
        """
        done: Future[T] = Future()

        def run() -> None:
            try:
                done.set_result(call(self._opened()))
            except BaseException as error:  # noqa: BLE001  (handed over to who waits)
                done.set_exception(error)

        threading.Thread(target=run, name="s3sync-files", daemon=True).start()
        try:  # not raised by the wait: what ends a driver's loop or thread is to end nothing here
            error = done.exception(timeout=seconds)
        except TimeoutError as late:
            error = late
        if error is None:
            return done.result()
        if isinstance(error, S3SyncError):
            raise error
        if done.done() and is_absence(error):
            raise FileNotFoundError(what) from None
        met = refusal(error, what)
        if isinstance(met, Unavailable):
            self._system = None  # the next call connects anew; others may be at work with it
        raise met from None

    def _opened(self) -> Any:
        with self._opening:
            if self._system is None:
                self._system = self._access.open()
            return self._system


class _Counted(Iterator[bytes]):
    """Pieces of a body, and how many bytes of it came: what is unpacked has more."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self.size = pieces, 0

    def __next__(self) -> bytes:
        piece = next(self._pieces)
        self.size += len(piece)
        return piece


def _is_dotted(key: str) -> bool:
    """Return whether a part of a key leads elsewhere: of such addresses drivers make others."""
    return not {".", ".."}.isdisjoint(key.split("/"))


def _key_of(name: str) -> str:
    """Return a name as it stands in keys: UTF-8, and not longer than a key may be."""
    text = name.encode(errors="backslashreplace")
    if len(text) > MAX_OBJECT_KEY_BYTES:
        digest = f"~{hashlib.sha256(text).hexdigest()[:16]}"
        return text[: MAX_OBJECT_KEY_BYTES - len(digest)].decode(errors="ignore") + digest
    return text.decode()
