"""What people uploaded: files of any size in rows of a megabyte, where every worker sees them."""

from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.collisions import again_after_collisions
from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.quotas import (
    require_room_for_file,
    require_room_for_new_file,
    require_upload_room,
)
from s3sync_dagster.catalog.rows import groups
from s3sync_dagster.catalog.tables import (
    documents,
    objects,
    sources,
    upload_bytes,
    upload_files,
    uploads_elsewhere,
)
from s3sync_dagster.core.state import UploadedFile
from s3sync_dagster.model.errors import Conflict, InvalidSetting, NotFound, S3SyncError
from s3sync_dagster.model.source import Source

ROW_BYTES = 1024 * 1024
ROWS_AT_ONCE = 4
"""Of one transaction: 4 MiB, so that nobody waits for a large file."""


class Uploads:
    """The tables ``upload_files`` and ``upload_bytes``.

    Bytes are written first, under a name that nothing has yet; ``put`` then names them in one
    transaction. Who dies in between leaves bytes that ``prune`` removes.
    """

    def __init__(self, database: Database) -> None:
        self._rows = _Rows(database)
        self._db = database

    def write_bytes(self, pieces: Iterable[bytes]) -> str:
        """Write a file's bytes in transactions of a few megabytes; returns their name."""
        body, place = self._db.clock.uuid(), 0
        for part in groups(_rows_of(pieces), ROWS_AT_ONCE):
            self._rows.add(body, place, part)
            place += len(part)
        return body

    def require_room(self, source_id: str, key: str, size: int, *, most: int) -> None:
        """Refuse a file before its bytes are written, see ``quotas.require_upload_room``."""
        self._rows.require_room(source_id, key, size, most=most)

    def require_room_for_first(self, source: Source, size: int, *, most: int | None) -> None:
        """Refuse the first file of a source before that is made, as ``put`` would.

        Args:
            source: of uploads, which the catalog does not have.
            size: bytes of the file.
            most: see ``put``.

        Raises:
            LimitExceeded, Throttled: see ``quotas.require_upload_room``.
            FixConfiguration: ``too_many_objects``.
        """
        self._rows.require_room_for_first(source, size, most=most)

    def put(
        self,
        source_id: str,
        file: UploadedFile,
        *,
        replace: bool = True,
        most_bytes: int | None = None,
    ) -> bool:
        """Make written bytes the file of its key; on the disk when it returns.

        Args:
            source_id: whose file.
            file: its ``body`` is the name of bytes that were written.
            replace: take the place of one that is there; False: that one stays.
            most_bytes: of all files of the tenant, this one included; None: any number.

        Returns:
            Whether the file is the one at its key now.

        Raises:
            LimitExceeded, Throttled: see ``quotas.require_upload_room``.
            FixConfiguration: ``too_many_objects``.
            NotFound: ``source_not_found``: its source ended meanwhile.
            Conflict: ``source_being_deleted``: it is about to.
            InvalidSetting: ``upload_broken``: not all bytes are there. The bytes are gone after
                each of these.
        """
        try:
            old = self._rows.put(source_id, file, replace=replace, most_bytes=most_bytes)
        except S3SyncError:
            self._rows.delete_bytes(file.body)
            raise
        if old is not None:
            self._rows.delete_bytes(old)
        return old != file.body

    def find(self, source_id: str, key: str) -> UploadedFile | None:
        """Return the file at a key."""
        return self._rows.find(source_id, key)

    def page(
        self, source_id: str, *, prefix: str = "", after: str | None = None, limit: int
    ) -> list[UploadedFile]:
        """Return files whose key begins with ``prefix``, in UTF-8 binary order of their keys."""
        return self._rows.page(source_id, prefix=prefix, after=after, limit=limit)

    def pieces(self, file: UploadedFile) -> Iterator[bytes]:
        """Yield a file's bytes, a row at a time; they end early where it is replaced meanwhile."""
        place = 0
        while (data := self._rows.piece(file.body, place)) is not None:
            yield data
            place += 1

    def delete(self, source_id: str, key: str) -> None:
        """Remove a file; one that is not there is no error."""
        body = self._rows.forget(source_id, key)
        if body is not None:
            self._rows.delete_bytes(body)

    def clear(self, source_id: str) -> None:
        """Remove all files of a source, and what is known of where they lie."""
        while files := self.page(source_id, limit=100):
            for one in files:
                self.delete(source_id, one.key)
        self._rows.forget_elsewhere(source_id)

    def elsewhere(self, source_id: str) -> bool:
        """Return whether files of a source may still lie in the data folder of some host."""
        return self._rows.elsewhere(source_id)

    def brought(self, source_id: str) -> bool:
        """Note that a host has brought what it had; returns whether nothing is missing now.

        Another host may have files yet: until each key that has a document or an object has its
        file here, files of the source are elsewhere.
        """
        return self._rows.brought(source_id)

    def prune(self, *, older_than_seconds: float) -> int:
        """Remove bytes that no file names, a while after a crash left them; returns how many.

        Files of a source that is not there go too.
        """
        for source_id, key in self._rows.of_no_source():
            self.delete(source_id, key)
        before = self._db.now() - older_than_seconds
        return sum(self._rows.prune(body, before=before) for body in self._rows.unnamed())


@again_after_collisions
class _Rows:
    """Single transactions."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, body: str, place: int, part: list[bytes]) -> None:
        now = self._db.now()
        with self._db.write() as tx:
            tx.execute(
                upload_bytes.insert(),
                [
                    {"body": body, "place": number, "data": data, "written_at": now}
                    for number, data in enumerate(part, start=place)
                ],
            )

    def require_room(self, source_id: str, key: str, size: int, *, most: int) -> None:
        with self._db.read() as tx:
            tenant = _tenant_of(tx, source_id)
            require_upload_room(self._db, tx, tenant, size, most=most, at=(source_id, key))

    def require_room_for_first(self, source: Source, size: int, *, most: int | None) -> None:
        with self._db.read() as tx:
            require_room_for_new_file(self._db, tx, source.tenant, place_type=source.place.type)
            if most is not None:
                require_upload_room(self._db, tx, source.tenant, size, most=most)

    def put(
        self, source_id: str, file: UploadedFile, *, replace: bool, most_bytes: int | None
    ) -> str | None:
        """Return the body that has no file any more: the old one, or the new one where it lost."""
        values = {
            "etag": file.etag,
            "size": file.size,
            "modified_at": file.modified_at,
            "content_type": file.content_type,
            "metadata": dict(file.metadata),
            "body": file.body,
        }
        with self._db.write(durable=True) as tx:
            self._db.lock_source(tx, source_id)
            _require_source(tx, source_id)
            _require_whole(tx, file)
            if most_bytes is not None:
                tenant = _tenant_of(tx, source_id)
                at = source_id, file.key
                require_upload_room(self._db, tx, tenant, file.size, most=most_bytes, at=at)
            here = _at(source_id, file.key)
            query = sa.select(upload_files.c.body).where(here)
            old = tx.execute(query if self._db.sqlite else query.with_for_update()).scalar()
            if old is None:
                if replace:  # what a host brings was uploaded long ago
                    require_room_for_file(self._db, tx, source_id, file.key)
                insert = upload_files.insert().values(
                    source_id=source_id, object_key=file.key, **values
                )
                tx.execute(insert)
            elif replace:
                tx.execute(upload_files.update().where(here).values(values))
            else:
                return file.body
        return old

    def find(self, source_id: str, key: str) -> UploadedFile | None:
        if not _may_be_stored(key):
            return None
        with self._db.read() as tx:
            row = tx.execute(sa.select(upload_files).where(_at(source_id, key))).first()
        return None if row is None else _file_of(row)

    def page(
        self, source_id: str, *, prefix: str, after: str | None, limit: int
    ) -> list[UploadedFile]:
        key = upload_files.c.object_key
        begin = sa.literal(prefix, type_=key.type)
        query = sa.select(upload_files).where(upload_files.c.source_id == source_id)
        if prefix:
            beginning = sa.func.substr(key, 1, sa.func.length(begin))
            query = query.where(key >= begin, beginning == begin)
        if after is not None:
            query = query.where(key > after)
        with self._db.read() as tx:
            return [_file_of(row) for row in tx.execute(query.order_by(key).limit(limit))]

    def piece(self, body: str, place: int) -> bytes | None:
        query = sa.select(upload_bytes.c.data).where(
            upload_bytes.c.body == body, upload_bytes.c.place == place
        )
        with self._db.read() as tx:
            data = tx.execute(query).scalar_one_or_none()
        return None if data is None else bytes(data)

    def forget(self, source_id: str, key: str) -> str | None:
        delete = upload_files.delete().where(_at(source_id, key)).returning(upload_files.c.body)
        with self._db.write() as tx:
            return tx.execute(delete).scalar_one_or_none()

    def delete_bytes(self, body: str) -> None:
        self._db.delete_in_parts(upload_bytes.c.id, _no_files(body), rows=ROWS_AT_ONCE)

    def elsewhere(self, source_id: str) -> bool:
        query = sa.select(uploads_elsewhere).where(uploads_elsewhere.c.source_id == source_id)
        with self._db.read() as tx:
            return tx.execute(query).first() is not None

    def brought(self, source_id: str) -> bool:
        with self._db.write() as tx:
            self._db.lock_source(tx, source_id)
            if _lacks_files(tx, source_id):
                return False
            _forget_elsewhere(tx, source_id)
        return True

    def forget_elsewhere(self, source_id: str) -> None:
        with self._db.write() as tx:
            _forget_elsewhere(tx, source_id)

    def of_no_source(self) -> list[tuple[str, str]]:
        query = sa.select(upload_files.c.source_id, upload_files.c.object_key).where(
            upload_files.c.source_id.not_in(sa.select(sources.c.id))
        )
        with self._db.read() as tx:
            return [(row.source_id, row.object_key) for row in tx.execute(query)]

    def unnamed(self) -> list[str]:
        """Return the names of bytes that are no file's.

        It reads the index of names alone: what is written after the bytes in a row, as its time,
        costs SQLite a way through all of them.
        """
        named = sa.select(upload_files.c.body)
        query = sa.select(upload_bytes.c.body).where(upload_bytes.c.body.not_in(named)).distinct()
        with self._db.read() as tx:
            return list(tx.execute(query).scalars())

    def prune(self, body: str, *, before: float) -> int:
        left = sa.and_(_no_files(body), upload_bytes.c.written_at < before)
        with self._db.read() as tx:
            if tx.execute(sa.select(upload_bytes.c.id).where(left).limit(1)).first() is None:
                return 0
        return self._db.delete_in_parts(upload_bytes.c.id, left, rows=ROWS_AT_ONCE)


def _no_files(body: str) -> sa.ColumnElement[bool]:
    """Return what holds for bytes of this name while no file has it.

    One may have it since it was looked for, or by a commit whose answer was lost.
    """
    named = sa.exists().where(upload_files.c.body == body)
    return sa.and_(upload_bytes.c.body == body, sa.not_(named))


def _tenant_of(tx: sa.Connection, source_id: str) -> str:
    query = sa.select(sources.c.tenant).where(sources.c.id == source_id)
    return tx.execute(query).scalar_one_or_none() or ""  # it ended meanwhile


def _require_source(tx: sa.Connection, source_id: str) -> None:
    row = tx.execute(sa.select(sources.c.deleting).where(sources.c.id == source_id)).first()
    if row is None:
        raise NotFound("The source is deleted.", reason="source_not_found")
    if row.deleting is not None:
        raise Conflict(
            "The uploads of this source are being deleted: try again in a moment.",
            reason="source_being_deleted",
        )


def _require_whole(tx: sa.Connection, file: UploadedFile) -> None:
    total = sa.func.coalesce(sa.func.sum(sa.func.length(upload_bytes.c.data)), 0)
    there = tx.execute(sa.select(total).where(upload_bytes.c.body == file.body)).scalar_one()
    if there != file.size:
        raise InvalidSetting(
            f"Of the {file.size} bytes of {file.key!r}, {there} came into the catalog: upload it "
            "again.",
            reason="upload_broken",
        )


def _lacks_files(tx: sa.Connection, source_id: str) -> bool:
    """Return whether a key that has a document or an object has no file here."""
    for table in (documents, objects):
        file = sa.exists().where(
            upload_files.c.source_id == source_id, upload_files.c.object_key == table.c.object_key
        )
        query = sa.select(table.c.object_key).where(table.c.source_id == source_id, sa.not_(file))
        if table is objects:
            query = query.where(objects.c.gone.is_(False))
        if tx.execute(query.limit(1)).first() is not None:
            return True
    return False


def _forget_elsewhere(tx: sa.Connection, source_id: str) -> None:
    tx.execute(uploads_elsewhere.delete().where(uploads_elsewhere.c.source_id == source_id))


def _at(source_id: str, key: str) -> sa.ColumnElement[bool]:
    return sa.and_(upload_files.c.source_id == source_id, upload_files.c.object_key == key)


def _may_be_stored(key: str) -> bool:
    """Return whether a key is UTF-8, as all keys are: half a surrogate pair is not."""
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True


def _file_of(row: sa.Row[Any]) -> UploadedFile:
    return UploadedFile(
        key=row.object_key,
        etag=row.etag,
        size=row.size,
        modified_at=row.modified_at,
        content_type=row.content_type,
        metadata=row.metadata,
        body=row.body,
    )


def _rows_of(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what a row takes of each piece."""
    for piece in pieces:
        for start in range(0, len(piece), ROW_BYTES):
            yield piece[start : start + ROW_BYTES]
