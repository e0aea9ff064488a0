"""Uploaded files as a bucket: their bytes lie in the catalog, where every worker sees them."""

import fcntl
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from s3sync_dagster.core.state import UploadedFile
from s3sync_dagster.engine.store_ports import ListPage, ObjectBody
from s3sync_dagster.model.errors import (
    FixConfiguration,
    NotFound,
    ObjectChanged,
    S3SyncError,
)
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.ports.body_spool import BodySpool, require_size
from s3sync_dagster.ports.files import EarlierUploads, IncomingFile

_log = logging.getLogger(__name__)

PIECE_BYTES = 1024 * 1024


class UploadRows(Protocol):
    """What keeps the files (``catalog.Uploads``)."""

    def write_bytes(self, pieces: Iterable[bytes]) -> str:
        """Write a file's bytes; returns their name."""
        ...

    def put(
        self,
        source_id: str,
        file: UploadedFile,
        *,
        replace: bool = True,
        most_bytes: int | None = None,
    ) -> bool:
        """Make written bytes the file of its key."""
        ...

    def find(self, source_id: str, key: str) -> UploadedFile | None:
        """Return the file at a key, None where there is none."""
        ...

    def page(
        self, source_id: str, *, prefix: str = "", after: str | None = None, limit: int
    ) -> list[UploadedFile]:
        """Return files in UTF-8 binary order of their keys."""
        ...

    def pieces(self, file: UploadedFile) -> Iterator[bytes]:
        """Yield a file's bytes."""
        ...

    def delete(self, source_id: str, key: str) -> None:
        """Remove a file."""
        ...

    def clear(self, source_id: str) -> None:
        """Remove all files of a source."""
        ...

    def elsewhere(self, source_id: str) -> bool:
        """Return whether files of a source may still lie in the data folder of some host."""
        ...

    def brought(self, source_id: str) -> bool:
        """Note that a host has brought what it had; returns whether nothing is missing now."""
        ...


class UploadStore:
    """``engine.ports.ObjectStore`` over a source's uploads, and the way to put files into it.

    Args:
        source_id: whose uploads.
        rows: where they lie, opened at the first call.
        before: folder in which this host kept them when they lay in its data folder; what it has
            is brought over at the next call, and what is damaged stays there.
    """

    ordered = True

    def __init__(self, source_id: str, *, rows: Callable[[], UploadRows], before: Path) -> None:
        self._source_id, self._open, self._before = source_id, rows, EarlierUploads(before)
        self._spool = BodySpool(None)
        self._looked = False
        self._requests: Counter[str] = Counter({"LIST": 0, "GET": 0, "HEAD": 0})

    def __repr__(self) -> str:
        return f"UploadStore({self._source_id!r})"

    def commit(
        self,
        incoming: IncomingFile,
        key: str,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        most_bytes: int | None = None,
    ) -> ObjectRef:
        """Make what came the file at ``key``, instead of what was there.

        Args:
            incoming: the file.
            key: its name.
            content_type: as it was told.
            metadata: as it was told.
            most_bytes: of all files of the tenant; None: any number.

        Raises:
            LimitExceeded, Throttled: beyond them.
            NotFound, Conflict: the source is deleted, or about to be.
        """
        etag, rows = incoming.finish(), self._rows()
        with incoming.path.open("rb") as file:
            body = rows.write_bytes(iter(lambda: file.read(PIECE_BYTES), b""))
        uploaded = UploadedFile(
            key=key,
            etag=etag,
            size=incoming.size,
            modified_at=time.time(),
            body=body,
            content_type=content_type,
            metadata=dict(metadata or {}),
        )
        rows.put(self._source_id, uploaded, most_bytes=most_bytes)
        if rows.elsewhere(self._source_id):  # it may have been the last that was missing
            rows.brought(self._source_id)
        return _ref(uploaded)

    def delete(self, key: str) -> None:
        """Remove a file; one that is not there is no error.

        Raises:
            FixConfiguration: ``uploads_elsewhere``: a host that has it would bring it back.
        """
        rows = self._rows()
        self._require_all_here(rows)
        rows.delete(self._source_id, key)

    def clear(self) -> None:
        """Remove all files."""
        self._before.clear()
        self._open().clear(self._source_id)

    def list_page(self, prefix: str, *, start_after: str | None, limit: int = 1000) -> ListPage:
        """Return the page of keys that begin with ``prefix`` and come after ``start_after``."""
        self._requests["LIST"] += 1
        rows = self._rows()
        self._require_all_here(rows)
        found = rows.page(self._source_id, prefix=prefix, after=start_after, limit=limit + 1)
        return ListPage(objects=tuple(map(_ref, found[:limit])), last=len(found) <= limit)

    def head(self, key: str, *, version_id: str | None = None) -> ObjectRef:
        """Return what is at ``key`` now. Raises ``NotFound`` (``object_gone``)."""
        self._requests["HEAD"] += 1
        return _ref(self._find(self._rows(), key, version_id))

    def read(
        self,
        key: str,
        *,
        version_id: str | None = None,
        if_match: str | None = None,
        max_size_bytes: int,
    ) -> ObjectBody:
        """Return the file's bytes.

        Raises:
            NotFound: ``object_gone``.
            LimitExceeded: ``too_large``.
            ObjectChanged: ``if_match`` does not hold, or the file was replaced meanwhile.
        """
        self._requests["GET"] += 1
        rows = self._rows()
        found = self._find(rows, key, version_id)
        if if_match and if_match != found.etag:
            raise _changed(key)
        require_size(f"object {key!r}", found.size, most=max_size_bytes)
        content = self._spool.read(_whole(rows, found), key=key, limit=max_size_bytes)
        return ObjectBody(
            ref=_ref(found),
            content=content,
            content_type=found.content_type,
            metadata=found.metadata,
        )

    def open(self, key: str) -> tuple[ObjectRef, str | None, Iterator[bytes]]:
        """Return a file, its content type and its bytes piece by piece."""
        self._requests["GET"] += 1
        rows = self._rows()
        found = self._find(rows, key, None)
        return _ref(found), found.content_type, _whole(rows, found)

    def requests(self) -> Mapping[str, int]:
        """Return requests so far by kind (LIST, GET, HEAD)."""
        return dict(self._requests)

    def close(self) -> None:
        """Remove the store's own spool folder; the catalog is its owner's to close."""
        self._spool.close()

    def _rows(self) -> UploadRows:
        """Return where the files lie, with what this host kept in its data folder."""
        rows = self._open()
        if not self._looked and self._before.any():
            _bring(self._before, self._source_id, rows)
            self._looked = True  # what is damaged stays, and is not read again by each call
        return rows

    def _find(self, rows: UploadRows, key: str, version_id: str | None) -> UploadedFile:
        found = None if version_id else rows.find(self._source_id, key)
        if found is None:
            self._require_all_here(rows)
            raise NotFound(f"object {key!r} does not exist among the uploads", reason="object_gone")
        return found

    def _require_all_here(self, rows: UploadRows) -> None:
        """Raise where files that are missing may lie in another host's data folder."""
        if rows.elsewhere(self._source_id):
            raise FixConfiguration(
                "Uploads of this source still lie in the data folder of a host that took them: "
                "start the API or `s3sync up` there once, and upload again what its log calls "
                "damaged, or all that was on that host if it is lost.",
                reason="uploads_elsewhere",
            )


def bring_uploads(folder: Path, rows: Callable[[], UploadRows]) -> int:
    """Bring all uploads of a data folder over to the catalog; returns of how many sources.

    What stands in the way of one source is logged, and the others are brought.

    Args:
        folder: with a folder for each source, by its id.
        rows: opens where they are to lie; not called where there is nothing to bring.
    """
    brought = 0
    for one in sorted(folder.glob("*")):
        before = EarlierUploads(one)
        try:
            brought += before.any() and _bring(before, one.name, rows())
        except (S3SyncError, OSError) as error:
            _stays(one.name, error)
    return brought


def _stays(source_id: str, error: Exception) -> None:
    why = getattr(error, "message", "unreadable")
    _log.error("uploads of source %s stay in the data folder: %s", source_id, why)


def _bring(before: EarlierUploads, source_id: str, rows: UploadRows) -> bool:
    """Bring the files of a source over; one that was uploaded anew since is left out.

    Each is in the catalog before it leaves the folder: who dies in between begins again. One
    process does it, and others wait. What is damaged stays, and the log names it.

    Returns:
        Whether the folder is empty now.
    """
    with (before.folder.parent / f"{source_id}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not before.any():
            return False
        try:
            return _bring_all(before, source_id, rows)
        except FixConfiguration as error:  # its list cannot be read, or the source is deleted
            _stays(source_id, error)
            return False


def _bring_all(before: EarlierUploads, source_id: str, rows: UploadRows) -> bool:
    damaged: set[str] = set()
    moved = True
    while moved:  # once more, as some may have come meanwhile
        moved = False
        for ref in before.refs():
            if ref.key in damaged:
                continue
            moved = True
            try:
                _bring_one(before, ref.key, source_id, rows)
            except (ObjectChanged, OSError):
                damaged.add(ref.key)
                _log.error(
                    "upload %r of source %s is damaged and stays in the data folder: "
                    "upload it again",
                    ref.key,
                    source_id,
                )
    if not damaged:
        before.clear()
        rows.brought(source_id)
    return not damaged


def _bring_one(before: EarlierUploads, key: str, source_id: str, rows: UploadRows) -> None:
    if rows.find(source_id, key) is None:
        found, content_type, pieces = before.open(key)
        uploaded = UploadedFile(
            key=key,
            etag=found.etag,
            size=found.size,
            modified_at=found.last_modified.timestamp() if found.last_modified else 0.0,
            body=rows.write_bytes(_exactly(found, pieces)),
            content_type=content_type,
        )
        rows.put(source_id, uploaded, replace=False)
    before.delete(key)


def _exactly(found: ObjectRef, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the bytes of a file. Raises ``ObjectChanged`` where they are not as many as it has."""
    size = 0
    for piece in pieces:
        size += len(piece)
        yield piece
    if size != found.size:
        raise _changed(found.key)


def _whole(rows: UploadRows, file: UploadedFile) -> Iterator[bytes]:
    """Yield a file's bytes. Raises ``ObjectChanged`` where it was replaced before its end."""
    return _exactly(_ref(file), rows.pieces(file))


def _changed(key: str) -> ObjectChanged:
    return ObjectChanged(f"object {key!r} was overwritten before it could be read")


def _ref(file: UploadedFile) -> ObjectRef:
    modified = datetime.fromtimestamp(file.modified_at, UTC)
    return ObjectRef(key=file.key, etag=file.etag, size=file.size, last_modified=modified)
