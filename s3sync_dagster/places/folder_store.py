"""A folder that is read like a bucket: listings in the order of the keys' bytes, file by file.

A listing enters one folder after the other and keeps the names of those it is in, so that memory
holds a few folders and not the tree. Every file is opened from its folder's descriptor, part by
part and through no link: what is replaced meanwhile leads nowhere else.
"""

import hashlib
import os
import stat
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from s3sync_dagster.core.selection import SPECIAL, SYMLINK
from s3sync_dagster.engine.ports import Content
from s3sync_dagster.engine.store_ports import ListPage, ObjectBody
from s3sync_dagster.model.errors import (
    EmptyPlace,
    FixConfiguration,
    NotFound,
    ObjectChanged,
    S3SyncError,
    Unavailable,
)
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.places.folder_entries import (
    FOLDER,
    VANISHED,
    Folder,
    Name,
    enter,
    holder_of,
    name_of,
    open_folder,
    open_within,
    refusals,
    still_gone,
)
from s3sync_dagster.places.folder_version import etag_of, time_of, times_of
from s3sync_dagster.ports.body_spool import BodySpool, discard, require_size

_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_PIECE_BYTES = 1024 * 1024


class FileStore:
    """``engine.ports.ObjectStore`` over a folder's files.

    Args:
        folder: absolute.
        version: ``stat``, ``mtime`` or ``content``, see ``FolderPlace``.
        marker: path of a file without which the folder counts as not mounted.
        skip_folders: names of folders that are not entered.
        within: a folder below which it has to lie, looked at whenever it is opened; None: anywhere.
        private: a folder that is never entered: this program's own.
    """

    ordered = True

    def __init__(
        self,
        folder: str,
        *,
        version: str = "stat",
        marker: str | None = None,
        skip_folders: frozenset[str] = frozenset(),
        within: str | None = None,
        private: Path | None = None,
    ) -> None:
        self._folder, self._version, self._marker = folder, version, marker
        self._skip = {os.fsencode(name) for name in skip_folders}
        self._within, self._private = within, private
        self._spool = BodySpool(None)
        self._requests: Counter[str] = Counter({"LIST": 0, "GET": 0, "HEAD": 0})
        self._names: dict[bytes, list[Name]] = {}
        """Folder -> its names in order, for the folders that a listing is in."""
        self._last: str | None = None
        """Where that listing goes on."""
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"FileStore({self._folder!r})"

    def list_page(self, prefix: str, *, start_after: str | None, limit: int = 1000) -> ListPage:
        """Return the page of files whose paths begin with ``prefix`` and follow ``start_after``.

        Raises:
            FixConfiguration: ``folder_missing``, ``folder_not_mounted``.
            AccessDenied: a folder cannot be read: what it holds would be taken for gone.
        """
        return self.list_pinned(self.pin(), prefix, start_after=start_after, limit=limit)

    def pin(self) -> str:
        """Return what tells the folder from another one that is at its path later."""
        with self._root() as root:
            return _identity(root)

    def list_pinned(
        self, token: str, prefix: str, *, start_after: str | None, limit: int = 1000
    ) -> ListPage:
        """Return a page of a listing that began in a folder, see ``list_page``.

        Raises:
            Unavailable: ``folder_not_mounted``, where another one is at its path by now, as after a
                mount: what the two do not have in common would be taken for gone.
        """
        self._requests["LIST"] += 1
        with self._lock, self._root() as root:
            if _identity(root) != token:
                raise self._replaced()
            return self._page(root, prefix, start_after=start_after, limit=limit)

    def still_gone(self, keys: Sequence[str]) -> Sequence[str]:
        """Return those of the keys, which a listing lacks, that are no files by now.

        Names are older than what is made of them, and one that is replaced while they are read may
        be missed.
        """
        with self._root() as root:
            return still_gone(root, keys, skip=self._skip, private=self._private)

    def head(self, key: str, *, version_id: str | None = None) -> ObjectRef:
        """Return what is at ``key`` now. Raises ``NotFound`` (``object_gone``)."""
        self._requests["HEAD"] += 1
        with self._root() as root, self._file(root, key, version_id) as file:
            return self._ref(key.encode(), os.fstat(file), self._digest(file))

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
        self._requests["GET"] += 1
        with self._root() as root, self._file(root, key, version_id) as file:
            before = os.fstat(file)
            require_size(f"file {key!r}", before.st_size, most=max_size_bytes)
            with refusals(f"The file {key!r}"):
                content = self._spool.read(_pieces(file), key=key, limit=max_size_bytes)
                after = os.fstat(file)
                # Of what was read: another look may meet bytes that have come behind it.
                ref = self._ref(key.encode(), after, self._digest(content))
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        if times_of(before) != times_of(after) or size != after.st_size:
            discard(content)
            raise ObjectChanged(f"file {key!r} was written while it was read")
        if if_match and if_match != ref.etag:
            discard(content)
            raise ObjectChanged(f"file {key!r} was overwritten before it could be read")
        return ObjectBody(ref=ref, content=content)

    def requests(self) -> Mapping[str, int]:
        """Return requests so far by kind (LIST, GET, HEAD)."""
        return dict(self._requests)

    def close(self) -> None:
        """Remove the spool; the next call opens a new one."""
        self._spool.close()

    # --- the folder itself --------------------------------------------------------------------

    @contextmanager
    def _root(self) -> Generator[int]:
        """Give the folder's descriptor. A folder that is not there tells nothing of its files."""
        with refusals(f"The folder {self._folder!r}"):
            try:
                root = self._open_root()
            except (FileNotFoundError, NotADirectoryError):
                raise self._missing() from None
        try:
            self._look_again(root)
            yield root
        finally:
            os.close(root)

    def _open_root(self) -> int:
        if self._within is None:
            return os.open(self._folder, FOLDER & ~os.O_NOFOLLOW)
        return open_within(self._within, self._folder, private=self._private)

    def _replaced(self) -> S3SyncError:
        return Unavailable(
            f"The folder {self._folder!r} was mounted or replaced while it was listed.",
            reason="folder_not_mounted",
        )

    def _look_again(self, root: int) -> None:
        """Make sure that the folder is still the one at its path, and mounted."""
        try:
            there = os.stat(self._folder)  # noqa: PTH116  (beside fstat)
        except OSError:
            raise self._missing() from None
        if not os.path.samestat(there, os.fstat(root)):
            raise self._replaced()
        if self._marker is not None:
            path, _, name = self._marker.rpartition("/")
            holder = -1
            try:
                # Through no link: what stands elsewhere is nobody's to ask about.
                holder = open_folder(
                    root, f"{path}/".encode() if path else b"", private=self._private
                )
                os.stat(name, dir_fd=holder, follow_symlinks=False)
            except OSError:
                raise FixConfiguration(
                    f"The folder {self._folder!r} has no {self._marker!r}, its marker: it is not "
                    "mounted. Its records stay as they are.",
                    reason="folder_not_mounted",
                ) from None
            finally:
                if holder >= 0:
                    os.close(holder)

    def _missing(self) -> S3SyncError:
        return FixConfiguration(
            f"The folder {self._folder!r} does not exist: is it mounted? Its records stay as they "
            "are.",
            reason="folder_missing",
        )

    # --- listings -----------------------------------------------------------------------------

    def _page(self, root: int, prefix: str, *, start_after: str | None, limit: int) -> ListPage:
        if start_after is None or start_after != self._last:
            self._names.clear()  # of another listing, and older
        found: list[ObjectRef] = []
        after, whole = (start_after or "").encode(), Folder(b"", b"", None)
        for ref in self._walk(root, whole, after=after, prefix=prefix.encode()):
            found.append(ref)
            if len(found) > limit:
                break
        else:
            self._names.clear()
            self._look_again(root)  # what vanished with its folder was not seen either
        self._last = found[limit - 1].key if len(found) > limit else None
        return ListPage(objects=tuple(found[:limit]), last=len(found) <= limit)

    def _walk(self, root: int, at: Folder, *, after: bytes, prefix: bytes) -> Iterator[ObjectRef]:
        """Yield the files below a folder whose keys follow ``after``, in order.

        Args:
            root: descriptor of the whole.
            at: the folder.
            after: a key.
            prefix: that all keys have.
        """
        with self._entered(root, at) as folder:
            if folder is None:
                return
            names = self._names.get(at.raw)
            if names is None:
                self._names[at.raw] = names = self._listed(folder, at)
            start = 0
            if after.startswith(at.key):
                # Names up to the part of ``after`` in this folder are behind us.
                head, slash, _ = after[len(at.key) :].partition(b"/")
                start = bisect_left(names, head + slash, key=lambda name: name.text)
            for name in names[start:]:
                key = at.key + name.text
                if name.entered:
                    if key.startswith(prefix) or prefix.startswith(key):
                        inner = Folder(key, at.raw + name.raw + b"/", name.marked)
                        yield from self._walk(root, inner, after=after, prefix=prefix)
                elif key > after and key.startswith(prefix):
                    ref = self._listed_file(folder, key, name)
                    if ref is not None:
                        yield ref
        self._names.pop(at.raw, None)

    @contextmanager
    def _entered(self, root: int, at: Folder) -> Generator[int | None]:
        """Give a folder's descriptor; None: it vanished, or is a link by now."""
        folder: int | None = None
        with refusals(f"The folder {self.shown(at.raw)}"):
            try:
                folder = enter(root, at.raw, private=self._private)
            except OSError as error:
                if error.errno not in VANISHED:
                    raise
        try:
            yield folder
        finally:
            if folder is not None:
                os.close(folder)

    def shown(self, raw: bytes) -> str:
        """Return a path below the folder for people."""
        return repr(f"{self._folder}/{raw.decode(errors='backslashreplace')}".rstrip("/"))

    def _listed(self, folder: int, at: Folder) -> list[Name]:
        """Return the names of a folder in the order of keys."""
        with refusals(f"The folder {self.shown(at.raw)}"), os.scandir(folder) as entries:
            found = [(os.fsencode(one.name), one.is_dir(follow_symlinks=False)) for one in entries]
        kept = [pair for pair in found if not (pair[1] and pair[0] in self._skip)]
        taken = {raw for raw, _ in kept}
        return sorted(name_of(raw, is_folder, at, taken) for raw, is_folder in kept)

    def _listed_file(self, folder: int, key: bytes, name: Name) -> ObjectRef | None:
        with refusals(f"The file {self.shown(key)}"):
            try:
                found = os.stat(name.raw, dir_fd=folder, follow_symlinks=False)
            except OSError as error:
                if error.errno in VANISHED:
                    return None  # between the folder's listing and this look
                raise
            if self._version != "content" or not stat.S_ISREG(found.st_mode):
                return self._ref(key, found, None, marked=name.marked)
            try:
                file = os.open(name.raw, _FILE, dir_fd=folder)
            except PermissionError:
                return self._ref(key, found, None, marked=name.marked)  # its reading says so
            except OSError as error:
                if error.errno in VANISHED:
                    return None
                raise
            try:
                return self._ref(key, os.fstat(file), self._digest(file), marked=name.marked)
            finally:
                os.close(file)

    # --- files --------------------------------------------------------------------------------

    @contextmanager
    def _file(self, root: int, key: str, version_id: str | None) -> Generator[int]:
        gone = NotFound(
            f"file {key!r} does not exist in the folder {self._folder!r}", reason="object_gone"
        )
        if version_id is not None:
            raise gone
        with refusals(f"The file {key!r}"):
            try:
                with holder_of(root, key, skip=self._skip, private=self._private) as (holder, name):
                    file = os.open(name, _FILE, dir_fd=holder)
            except OSError as error:
                if error.errno not in VANISHED:
                    raise
                self._require_some(root)
                raise gone from None
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise gone
            yield file
        finally:
            os.close(file)

    def _require_some(self, root: int) -> None:
        """Refuse to take a file for gone where nothing is left at all."""
        with os.scandir(root) as entries:
            if next(entries, None) is None:
                raise EmptyPlace(
                    f"The folder {self._folder!r} is empty: is it mounted? Its records stay until "
                    "a listing is approved."
                )

    def _digest(self, file: int | Content) -> str | None:
        """Return what tells the bytes of a file, or of what was read, where those are versions."""
        if self._version != "content":
            return None
        if isinstance(file, bytes):
            return hashlib.sha256(file).hexdigest()
        with open(file, "rb", closefd=not isinstance(file, int)) as whole:
            return hashlib.file_digest(whole, "sha256").hexdigest()

    def _ref(
        self, key: bytes, found: os.stat_result, digest: str | None, *, marked: str | None = None
    ) -> ObjectRef:
        if not marked and stat.S_ISLNK(found.st_mode):
            marked = SYMLINK
        elif not marked and not stat.S_ISREG(found.st_mode):
            marked = SPECIAL
        return ObjectRef(
            key=key.decode(),
            etag=digest or etag_of(found, by=self._version),
            size=found.st_size,
            last_modified=time_of(found),
            storage_class=marked or "STANDARD",
        )


def _identity(root: int) -> str:
    found = os.fstat(root)
    return f"{found.st_dev:x}-{found.st_ino:x}"


def _pieces(file: int) -> Iterator[bytes]:
    while piece := os.read(file, _PIECE_BYTES):
        yield piece
