"""A commit that is read like a bucket: paths are keys, blob ids are versions."""

import codecs
import hashlib
import subprocess
import threading
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Container, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import IO, NamedTuple
from weakref import finalize, ref

from s3sync_dagster.core.keys import MAX_OBJECT_KEY_BYTES
from s3sync_dagster.core.selection import BAD_NAME, SUBMODULE, SYMLINK
from s3sync_dagster.engine.clock import Clock
from s3sync_dagster.engine.store_ports import ListPage, ObjectBody
from s3sync_dagster.model.errors import (
    FixConfiguration,
    NotFound,
    ObjectChanged,
    S3SyncError,
    Unavailable,
    UnsupportedFile,
)
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.places.git_program import end
from s3sync_dagster.places.git_repository import MAX_BLOB_BYTES, Repository
from s3sync_dagster.places.names_room import OF_PROCESS, Names
from s3sync_dagster.ports.body_spool import BodySpool, require_size

MAX_FILES = 500_000
"""Of a commit: its list is held in memory, about 300 bytes a file."""
_FILE_BYTES = 220
"""Of memory a file, beside what git says of it."""
_LEAST_LINE_BYTES = 56
"""Of what git says of a file: mode, kind, id, size, and a name of one letter."""
REFUSED_SECONDS = 5.0
"""For so long a server that did not answer is not asked again for the next key."""
_PIECE_BYTES = 1024 * 1024
_LFS = b"version https://git-lfs.github.com/spec/"
_LFS_BYTES = 1024
_MARKS = {b"120000": SYMLINK, b"160000": SUBMODULE}


class _Entry(NamedTuple):
    key: bytes
    blob: str
    size: int
    marked: str | None


class GitStore:
    """``engine.ports.ObjectStore`` over the newest commit of a repository's ref; a ``CopiedStore``.

    A listing asks the server for the commit once, at its first page, and goes on with that one.
    HEAD and GET ask it once after each ``renew``: the copy of another host may have been newer.

    Args:
        repository: the copy.
        text_only: leave alone what is no UTF-8 text, as the contract does.
        clock: of this host.
    """

    ordered = True

    def __init__(
        self, repository: Repository, *, text_only: bool = True, clock: Clock | None = None
    ) -> None:
        self._repository, self._text_only = repository, text_only
        self._clock = clock or Clock()
        self._spool = BodySpool(None)
        self._requests: Counter[str] = Counter({"LIST": 0, "GET": 0, "HEAD": 0})
        self._lock = threading.Lock()
        self._reader: subprocess.Popen[bytes] | None = None
        self._listed: tuple[str, list[_Entry]] | None = None
        """A commit and its files in the order of keys."""
        self._names = Names(OF_PROCESS, _of(self))
        finalize(self, self._names.shrink, 0)  # where nobody closes it
        self._begun: str | None = None
        """Commit of the listing that was begun last by ``list_page``."""
        self._fresh = False
        """Whether the server was asked since the last ``renew``."""
        self._refusal: tuple[float, S3SyncError] | None = None
        """When it last refused, and how."""

    def __repr__(self) -> str:
        return f"GitStore({self._repository!r})"

    def look(self) -> None:
        """Find out whether the repository may be read, with one question and without fetching."""
        with self._lock:
            self._repository.look()

    def named(self) -> tuple[str, str | None]:
        """Return the commit and the branch that are followed, as the server has them now."""
        with self._lock:
            return self._repository.named()

    def list_page(self, prefix: str, *, start_after: str | None, limit: int = 1000) -> ListPage:
        """Return the page of files whose paths begin with ``prefix`` and follow ``start_after``."""
        with self._lock:
            if start_after is None or self._begun is None:
                self._begun = self._refresh()
            commit = self._begun  # the listing goes on with the commit that it began with
        return self.list_pinned(commit, prefix, start_after=start_after, limit=limit)

    def renew(self) -> None:
        """Have the next HEAD or GET ask the server for the commit."""
        with self._lock:
            self._fresh, self._refusal = False, None

    def pin(self) -> str:
        """Bring the copy up to date and return its commit."""
        with self._lock:
            return self._refresh()

    def list_pinned(
        self, token: str, prefix: str, *, start_after: str | None, limit: int = 1000
    ) -> ListPage:
        """Return a page of a commit's files.

        Raises:
            Unavailable: ``listing_lost``, where the copy was replaced since.
        """
        self._requests["LIST"] += 1
        with self._lock:
            cached = self._listed is not None and self._listed[0] == token
            if not cached and not self._repository.has(token):
                raise Unavailable(
                    f"The copy of the repository has the commit {token[:12]} no longer: the next "
                    "listing begins anew.",
                    reason="listing_lost",
                )
            entries = self._files(token)
        begin = prefix.encode()
        at = bisect_right(entries, (start_after or "").encode(), key=lambda entry: entry.key)
        found: list[ObjectRef] = []
        for entry in entries[at:]:
            if entry.key.startswith(begin):
                if len(found) == limit:
                    return ListPage(objects=tuple(found), last=False)
                found.append(_ref(entry))
        return ListPage(objects=tuple(found), last=True)

    def head(self, key: str, *, version_id: str | None = None) -> ObjectRef:
        """Return what the newest commit has at ``key``; its ``version_id`` is the commit."""
        self._requests["HEAD"] += 1
        with self._lock:
            commit = self._commit()
            entry = self._find(commit, key, version_id)
        return replace(_ref(entry), version_id=commit)

    def read(
        self,
        key: str,
        *,
        version_id: str | None = None,
        if_match: str | None = None,
        max_size_bytes: int,
    ) -> ObjectBody:
        """Return a file's bytes; its ``version_id`` is the commit.

        Raises:
            NotFound: ``object_gone``.
            LimitExceeded: ``too_large``.
            UnsupportedFile: ``lfs_pointer``; where only text is taken ``binary`` and
                ``other_encoding``.
            ObjectChanged: ``if_match`` does not hold.
        """
        self._requests["GET"] += 1
        with self._lock:
            commit = self._commit()
            entry = self._find(commit, key, version_id)
            size = entry.size
            if entry.marked:
                raise NotFound(f"{key!r} is no file of the repository", reason="object_gone")
            if if_match and if_match != entry.blob:
                raise ObjectChanged(f"file {key!r} was changed before it could be read")
            require_size(f"file {key!r}", size, most=min(max_size_bytes, MAX_BLOB_BYTES))
            pieces = self._contents(entry.blob, size)
            try:
                if self._text_only:
                    pieces = _text(pieces, key=key)
                with self._reading(commit):
                    content = self._spool.read(pieces, key=key, limit=max_size_bytes)
            except BaseException:
                # The rest of the answer is still to come: the next file's would be read from it.
                self._end_reader()
                raise
        if isinstance(content, bytes) and len(content) < _LFS_BYTES and content.startswith(_LFS):
            raise UnsupportedFile(
                f"file {key!r} is a pointer of Git LFS: its bytes lie elsewhere",
                reason="lfs_pointer",
            )
        return ObjectBody(ref=replace(_ref(entry), version_id=commit), content=content)

    def requests(self) -> Mapping[str, int]:
        """Return requests so far by kind; of those only a first LIST asks the server."""
        return dict(self._requests)

    def close(self) -> None:
        """End the reader and remove the spool; the next call opens new ones."""
        with self._lock:
            self._end_reader()
            self._forget()
        self._spool.close()

    def _commit(self) -> str:
        """Return the commit that is read: no older than the last ``renew``."""
        commit = self._repository.commit() if self._fresh else None
        if commit is not None:
            return commit
        if self._refusal is not None:
            told_at, refusal = self._refusal
            if self._clock.monotonic() - told_at < REFUSED_SECONDS:
                raise refusal.with_traceback(None)
        return self._refresh()

    def _refresh(self) -> str:
        try:
            commit = self._repository.refresh()
        except S3SyncError as error:
            self._refusal = (self._clock.monotonic(), error)
            raise
        self._fresh, self._refusal = True, None
        return commit

    def _entries(self, commit: str) -> list[_Entry]:
        def room(size: int) -> None:
            files = min(size // _LEAST_LINE_BYTES, MAX_FILES)
            self._names.take(2 * size + _FILE_BYTES * files)

        try:
            out = self._repository.git.ask(
                *("ls-tree", "-r", "-l", "-z", "--full-tree", commit), room=room
            )
            listed = self._listing_of(out)
        except BaseException:
            self._names.shrink(0)
            raise
        self._names.shrink(len(out) + _FILE_BYTES * len(listed))
        return listed

    def _listing_of(self, out: bytes) -> list[_Entry]:
        files = out.count(b"\0")
        if files > MAX_FILES:
            raise FixConfiguration(
                f"The repository has {files} files; at most {MAX_FILES} are listed.",
                reason="repository_too_large",
            )
        left_out = self._repository.left_out()
        # A name that is shown escaped never stands before a file that really has that name, and
        # of two that are shown alike there is one: a key is listed once.
        real: dict[bytes, _Entry] = {}
        escaped: dict[bytes, _Entry] = {}
        for line in _lines(out):
            entry = _entry(line, left_out)
            (escaped if entry.marked == BAD_NAME else real)[entry.key] = entry
        return sorted((escaped | real).values() if escaped else real.values())

    def _files(self, commit: str) -> list[_Entry]:
        if self._listed is None or self._listed[0] != commit:
            self._forget()
            with self._reading(commit):
                self._listed = (commit, self._entries(commit))
        return self._listed[1]

    def give_up(self) -> bool:
        """Let go of the files of a commit, where nobody reads them now; whether there were any."""
        if self._listed is None or not self._lock.acquire(blocking=False):
            return False
        try:
            self._forget()
        finally:
            self._lock.release()
        return True

    def _forget(self) -> None:
        """Let go of the files of a commit that were listed."""
        self._listed = None
        self._names.shrink(0)

    @contextmanager
    def _reading(self, commit: str) -> Generator[None]:
        """Have the copy made anew by the next HEAD or GET where it cannot be read."""
        try:
            yield
        except Unavailable as error:
            if error.reason == "git_failed":
                self._end_reader()
                self._fresh = False
                self._repository.doubt(commit)
            raise

    def _find(self, commit: str, key: str, version_id: str | None) -> _Entry:
        """Return the entry of a key. Raises ``NotFound``."""
        entries, wanted = self._files(commit), key.encode(errors="surrogatepass")
        at = bisect_left(entries, wanted, key=lambda entry: entry.key)
        if version_id in (None, commit) and at < len(entries) and entries[at].key == wanted:
            return entries[at]
        raise NotFound(f"file {key!r} is not in the commit {commit[:12]}", reason="object_gone")

    def _asked(self, question: bytes) -> bytes:
        for again in (True, False):
            reader, out = self._open_reader()
            assert reader.stdin is not None
            try:
                reader.stdin.write(question + b"\0")
                reader.stdin.flush()
                answer = out.readline()
            except OSError:
                answer = b""
            if answer.endswith(b"\n"):
                return answer
            self._end_reader()
            if not again:
                break
        raise Unavailable("git cat-file ended by itself.", reason="git_failed")

    def _contents(self, blob: str, size: int) -> Iterator[bytes]:
        answer = self._asked(f"contents {blob}".encode())
        if answer != f"{blob} blob {size}\n".encode():  # missing, or of something else
            raise _lacking()
        _, out = self._open_reader()
        left = size
        while left:
            piece = out.read(min(left, _PIECE_BYTES))
            if not piece:
                self._end_reader()
                raise Unavailable("git cat-file ended by itself.", reason="git_failed")
            left -= len(piece)
            yield piece
        out.read(1)  # the line's end

    def _open_reader(self) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
        if self._reader is None:
            self._reader = self._repository.git.start("cat-file", "--batch-command", "-z")
        assert self._reader.stdout is not None
        return self._reader, self._reader.stdout

    def _end_reader(self) -> None:
        if self._reader is not None:
            end(self._reader)
            self._reader = None


def _lacking() -> Unavailable:
    return Unavailable(
        "The copy of the repository lacks a file: it is fetched anew.", reason="git_failed"
    )


def _of(store: GitStore) -> Callable[[], bool]:
    """Return its ``give_up``, which keeps no store in memory."""
    known = ref(store)

    def give_up() -> bool:
        there = known()
        return there is not None and there.give_up()

    return give_up


def _lines(out: bytes) -> Iterator[bytes]:
    """Yield what git ends with NULs, one after the other: all at once are as large again."""
    start = 0
    while (end := out.find(b"\0", start)) >= 0:
        yield out[start:end]
        start = end + 1


def _entry(line: bytes, left_out: Container[str]) -> _Entry:
    head, _, path = line.partition(b"\t")
    mode, _, blob, size = head.split()
    key, marked = path, _MARKS.get(mode)
    try:
        path.decode()
    except UnicodeDecodeError:
        key, marked = path.decode(errors="backslashreplace").encode(), BAD_NAME
    if len(key) > MAX_OBJECT_KEY_BYTES:
        cut = key[: MAX_OBJECT_KEY_BYTES - 41].decode(errors="ignore").encode()
        key, marked = cut + b"~" + hashlib.sha256(path).hexdigest()[:40].encode(), BAD_NAME
    # A blob that was too large to be fetched has no size here; nor has one that was lost.
    if not size.isdigit() and not marked and blob.decode() not in left_out:
        raise _lacking()
    known = int(size) if size.isdigit() else 0 if marked else MAX_BLOB_BYTES + 1
    return _Entry(key, blob.decode(), known, marked)


def _ref(entry: _Entry) -> ObjectRef:
    return ObjectRef(
        key=entry.key.decode(),
        etag=entry.blob,
        size=entry.size,
        storage_class=entry.marked or "STANDARD",
    )


def _text(pieces: Iterator[bytes], *, key: str) -> Iterator[bytes]:
    """Yield pieces as long as they are UTF-8 text. Raises ``UnsupportedFile``."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    final = False
    while not final:
        piece = next(pieces, b"")
        final = not piece
        if b"\0" in piece:
            raise UnsupportedFile(f"file {key!r} is binary", reason="binary")
        try:
            decoder.decode(piece, final)
        except UnicodeDecodeError:
            raise UnsupportedFile(
                f"file {key!r} is no UTF-8 text", reason="other_encoding"
            ) from None
        if piece:
            yield piece
