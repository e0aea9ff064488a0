"""How stores are spoken to through fsspec, and what tells that a file of theirs changed.

fsspec's drivers differ in what they call a file's version, and some take any failure for a file
that is not there: what is believed is decided here, and in ``files_errors``.
"""

# ruff: noqa: D102  (the base class says what each method is for)

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple
from urllib.parse import unquote

from s3sync_dagster.model.errors import (
    InvalidSetting,
    ObjectChanged,
    Unavailable,
)
from s3sync_dagster.model.extras import Extra, require_extra
from s3sync_dagster.places.files_url import StoreUrl
from s3sync_dagster.places.freshness import is_fresh

CONNECT_SECONDS, CALL_SECONDS = 15.0, 60.0
PAGE_SECONDS = 300.0
"""For the whole answer that says what a folder holds."""
MOST_NAMES = 500_000
"""In one folder that is told of name by name."""
MOST_CHARACTERS = 64 * 1024
"""Of an address: a key has 1,024 bytes, each of them three characters or some more."""
_EXACT = ("generation", "etag", "ETag", "checksum", "md5", "content_md5", "Content-MD5")
_NEW = "-new"
_SLASH = "%C0%AF"
"""A slash in UTF-8 of more bytes than it needs, which is none."""
_OF_ANSWERS = ("ETag", "Content-MD5", "Last-Modified")
_TIMES = ("mtime", "modified", "last_modified", "LastModified", "Last-Modified", "updated")

Kind = Literal["file", "folder", "link", "other", "deep"]
_KINDS: Mapping[str, Kind] = {"file": "file", "directory": "folder", "link": "link"}


class Entry(NamedTuple):
    """What a store tells of one name."""

    name: str
    """Without its folder; of a flat store the whole path."""
    kind: Kind
    size: int = -1
    version: str | None = None
    """None: this listing does not tell."""
    modified: datetime | None = None
    media: str | None = None
    """Its media type, where an answer over HTTP told one."""
    encoding: str | None = None
    """``Content-Encoding`` of the bytes that lie there; their size is that of what is packed."""


class Access:
    """Any protocol of fsspec that has folders; those below differ in what they say here.

    Args:
        url: the store.
        user: who asks, where the address does not say.
        secret: password, key or token; None: what the process itself may read.
        user_home: of the process's user, for its ``known_hosts``.
    """

    extra: ClassVar[Extra | None] = None
    what: ClassVar[str] = "This store"
    flat: ClassVar[bool] = False
    """Whether it has no folders, and is listed by ``page``."""
    exact_etags: ClassVar[bool] = False
    """Whether an etag tells each write from the one before; some servers make it of seconds."""
    doubtful: ClassVar[bool] = False
    """Whether a folder that it shows may be another page: what it lacks is asked for by itself."""

    def __init__(self, url: StoreUrl, *, user: str, secret: str | None, user_home: Path) -> None:
        if self.extra is not None:
            require_extra(self.extra, what=self.what)
        self.url, self.user, self.secret, self.user_home = url, url.user or user, secret, user_home
        self.root = f"/{url.path}"

    def open(self) -> Any:
        """Return the file system; most connect here."""
        import fsspec  # noqa: PLC0415  (only these sources pay for it)

        name = self.url.protocol.removeprefix("fsspec+")
        options = {"password": self.secret} if self.secret else {}
        options |= {"username": self.user} if self.user and self.secret else {}
        try:
            system, self.root = fsspec.core.url_to_fs(
                f"{name}://{self.url.host}/{self.url.path}",
                skip_instance_cache=True,
                use_listings_cache=False,
                **options,
            )
        except (ValueError, ImportError):
            raise InvalidSetting(
                f"fsspec has no driver for {name!r} here: install the package that brings it."
            ) from None
        return system

    def close(self, system: Any) -> None:
        """End connections, where a driver does not do so by itself."""

    def path(self, key: str) -> str:
        """Return how the driver calls a file or folder."""
        return f"{self.root.rstrip('/')}/{key}".rstrip("/") or "/"

    def named(self, folder: str) -> str:
        """Return how the driver's listings call a folder."""
        return self.path(folder)

    def listed(self, system: Any, folder: str) -> list[Entry]:
        """Return what a folder holds, in no order."""
        system.invalidate_cache()
        inside = self.named(folder).strip("/")
        found: list[Entry] = []
        for told in system.ls(self.path(folder), detail=True):
            parent, _, name = str(told["name"]).strip("/").rpartition("/")
            if parent == inside and name not in ("", ".", ".."):
                found.append(self.entry(name, told))
        return found

    def info(self, system: Any, key: str) -> Entry:
        """Return what a file is now. Raises ``FileNotFoundError``."""
        system.invalidate_cache()
        found = self.entry(key, system.info(self.path(key)))
        return self._timed(system, key, found)

    def complete(self, system: Any, folder: str, entries: list[Entry]) -> list[Entry]:
        """Return entries with the versions that the listing did not tell."""
        return [self._timed(system, f"{folder}/{one.name}".lstrip("/"), one) for one in entries]

    def _timed(self, system: Any, key: str, found: Entry) -> Entry:
        """Return a file with its time, where the driver has to be asked for that."""
        if found.kind != "file" or found.version is not None:
            return found
        try:
            told = {"type": "file", "size": found.size, "mtime": system.modified(self.path(key))}
        except NotImplementedError:
            return found
        return self.entry(found.name, told)

    def opened(self, system: Any, key: str, found: Entry) -> Any:
        """Return a file to be read.

        Args:
            system: the driver.
            key: of the file.
            found: what the store told of it just before.
        """
        del found
        return system.open(self.path(key), "rb")

    def entry(self, name: str, told: Mapping[str, Any]) -> Entry:
        """Return what a driver told of a name."""
        kind: Kind = "link" if told.get("islink") else _KINDS.get(str(told.get("type")), "other")
        modified = _first_time(told)
        size = told.get("size")
        size = -1 if size is None else int(size)
        version = self._version(told, size, modified) if kind == "file" else None
        packed = told.get("contentEncoding")
        return Entry(name, kind, size, version, modified, told.get("mimetype"), packed)

    def _version(self, told: Mapping[str, Any], size: int, modified: datetime | None) -> str | None:
        """Return what tells one version of a file from another: an exact word, or size and time."""
        word = next((name for name in _EXACT if told.get(name)), None)
        if word is not None:
            version = str(told[word]).removeprefix("W/").strip('"')
        elif modified is None:
            return None
        else:
            version = _size_and_time(size, modified)
        if word is not None and (self.exact_etags or word.lower() != "etag"):
            return version
        # Another change within the same second would leave the same time, and the same etag where
        # that is made of time and size (nginx).
        return version + (_NEW if is_fresh(modified, at=time.time()) else "")


class Streamed:
    """A body that comes in a driver's own loop, read like a file.

    Args:
        loop: of the driver.
        read: returns at most so many bytes, none at the end.
        close: ends it, in that loop.
    """

    def __init__(
        self, loop: Any, read: Callable[[int], Awaitable[bytes]], close: Callable[[], object]
    ) -> None:
        self._loop, self._read, self._close = loop, read, close

    def read(self, size: int) -> bytes:
        from fsspec.asyn import sync  # noqa: PLC0415  (only these sources pay for it)

        piece: Any = sync(self._loop, self._piece, size, timeout=CALL_SECONDS)
        return piece

    async def _piece(self, size: int) -> bytes:
        pieces, left = list[bytes](), size
        while left > 0 and (piece := await self._read(left)):
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._close)


def plain(address: str) -> str:
    """Return an address as it is meant; bytes of it that are no UTF-8 stay what they are.

    An escaped slash is part of a name, and parts no folder from it: in its place are bytes that no
    UTF-8 has, so that the name is none that a key can hold.

    Raises ``Unavailable`` (``answer_too_long``) for what is no address of a file: to undo what is
    escaped takes hundreds of times the memory that it has bytes.
    """
    if len(address) > MOST_CHARACTERS:
        raise Unavailable(
            "The server's answer has an address that is longer than any of a file.",
            reason="answer_too_long",
        )
    return unquote(re.sub("%2f", _SLASH, address, flags=re.IGNORECASE), errors="surrogateescape")


def has_slash(name: str) -> bool:
    """Return whether a name that was ``plain`` has a slash in it; who asks for it gets another."""
    return unquote(_SLASH, errors="surrogateescape") in name


def _size_and_time(size: int, modified: datetime) -> str:
    return f"{size:x}-{int(modified.timestamp() * 1_000_000):x}"


def _has_word(entry: Entry) -> bool:
    """Return whether a file's version is the store's own word for it."""
    if entry.version is None or entry.modified is None:
        return entry.version is not None
    return settled(entry.version) != _size_and_time(entry.size, entry.modified)


def settled(version: str | None) -> str:
    """Return a version without what says that it is new."""
    return (version or "").removesuffix(_NEW)


def told_by_answer(status: int, headers: Mapping[str, str], url: object) -> dict[str, Any]:
    """Return what the headers of an answer over HTTP tell of the file in it, in a driver's words.

    Raises ``Unavailable`` (``store_failed``) where there is no file in it.
    """
    if status != 200:
        raise Unavailable(
            f"The server answered with {status} who asked for a file.", reason="store_failed"
        )
    told: dict[str, Any] = {name: headers[name] for name in _OF_ANSWERS if headers.get(name)}
    told |= {"type": "file", "url": str(url)}
    if "Content-Type" in headers:
        told["mimetype"] = headers["Content-Type"].partition(";")[0]
    if headers.get("Content-Encoding", "identity") in ("", "identity"):
        told["size"] = headers.get("Content-Length")
    return told


def require_same(found: Entry, got: Entry) -> None:
    """Raise ``ObjectChanged`` unless the answer with the bytes is of the file that was found.

    A page of the server's own, such as "temporarily unavailable", may come with status 200, and a
    cache may hold an older version. They have another etag, or another time or none.
    """
    if _has_word(found) and _has_word(got):
        same = settled(found.version) == settled(got.version)
    else:
        same = got.modified is not None and got.modified == found.modified
    same = same and (found.size == got.size or -1 in (found.size, got.size))
    if not same or (found.media != got.media and found.media and got.media):
        raise ObjectChanged(
            f"The server answered with other bytes than those of the file {found.name!r} that it "
            "told of just before."
        )


def _first_time(told: Mapping[str, Any]) -> datetime | None:
    found = next((told[name] for name in _TIMES if told.get(name)), None)
    try:
        if isinstance(found, int | float):
            return datetime.fromtimestamp(found, UTC)
        if isinstance(found, str):
            found = parsedate_to_datetime(found) if "," in found else datetime.fromisoformat(found)
    except (ValueError, OverflowError, OSError):
        return None
    if not isinstance(found, datetime):
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
