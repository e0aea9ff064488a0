"""A backup is put back where nothing is, each part by itself; nothing is written over.

All that can be refused is looked at before the first byte is written. Each part arrives under
another name and takes its own when it is whole, the catalog last: without it a data folder is an
empty one, and a restore that was interrupted is done again. What it had put and is still what the
backup has does not stand in the way.
"""

import filecmp
import shutil
import sqlite3
import tempfile
from collections.abc import Collection, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError

from s3sync_dagster.catalog import Catalog
from s3sync_dagster.catalog.cipher import open_cipher
from s3sync_dagster.catalog.copying import begin_anew, is_empty, put_catalog
from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.schema import require_all_known, require_known
from s3sync_dagster.local.backup import (
    CATALOG,
    KEY_FILES,
    KEYS,
    UPLOADS,
    Manifest,
    files_in,
    sha256,
)
from s3sync_dagster.local.backup_files import require_digest
from s3sync_dagster.local.dagster_history import HISTORY, load_history, occupied
from s3sync_dagster.local.home import writable
from s3sync_dagster.local.privacy import make_private, take_from_others
from s3sync_dagster.local.restored_schema import require_own_schema
from s3sync_dagster.local.stack_state import stack_lock
from s3sync_dagster.model.errors import Conflict, FixConfiguration, InvalidSetting
from s3sync_dagster.model.source import AutoSync, Source
from s3sync_dagster.ports.owners import Owners
from s3sync_dagster.settings import Settings

_ENDS = ("-wal", "-shm")
_ROOM, _OURS = ".restoring-", ".s3sync-restore"


def restore_backup(
    settings: Settings,
    folder: Path,
    manifest: Manifest,
    *,
    parts: Collection[str],
    key_folder: Path | None = None,
    lost_key: bool = False,
) -> list[Source]:
    """Put parts of a backup back.

    Args:
        settings: of the home and the catalog that they are put into.
        folder: of the backup.
        manifest: read from it.
        parts: those of ``PARTS`` that are wanted and in it.
        key_folder: where the keys lie that were kept apart.
        lost_key: go on although what the catalog has encrypted cannot be read.

    Returns:
        The sources of the catalog that nothing lists by itself.

    Raises:
        Conflict: something is there already (``restore_target_in_use``), a stack runs, or
            somebody works on the catalog.
        FixConfiguration: the catalog is of a later version (``catalog_newer``).
        InvalidSetting: credentials cannot be read with the key (``wrong_encryption_key``).
    """
    keys = key_folder or (folder / KEYS if "key" in parts else None)
    for name, digest in manifest.apart.items():
        given = None if key_folder is None else key_folder / name
        if given is not None and given.exists() and sha256(given) != digest:
            raise InvalidSetting(
                f"{name!r} in {str(key_folder)!r} is not the one that belongs to this backup: name "
                "the folder that was written with it. Nothing was changed.",
                reason="wrong_encryption_key",
            )
    with writable(settings.home):
        make_private(settings.home)
        with (
            stack_lock(settings.home),
            _rooms(settings.home, _beside_catalog(settings)) as (room, catalog_room),
        ):
            catalog = catalog_room / CATALOG
            _require_room(settings, folder, parts, keys)
            if "catalog" in parts:
                _require_nobody(settings)
                shutil.copyfile(folder / CATALOG, catalog)
                require_digest(manifest, catalog, CATALOG)
                catalog.chmod(0o600)
                with _readable():
                    _prepare(settings, catalog)
                if not lost_key:
                    _require_key(settings, catalog, keys)
            if keys is not None:
                _put_keys(settings, keys, manifest if key_folder is None else None)
            if "uploads" in parts:
                (settings.home / UPLOADS).mkdir(mode=0o700, exist_ok=True)
                for one in (folder / UPLOADS).iterdir():
                    if not (settings.home / UPLOADS / one.name / "index.db").exists():
                        # The modes of a backup are those that it was carried here with.
                        fresh = shutil.copytree(one, room / one.name, copy_function=shutil.copyfile)
                        for path in files_in(fresh):
                            require_digest(manifest, path, f"{UPLOADS}/{path.relative_to(room)}")
                        fresh.chmod(0o700)
                        take_from_others(fresh)
                        fresh.rename(settings.home / UPLOADS / one.name)
            if "history" in parts:
                load_history(settings, folder / HISTORY, partial(require_digest, manifest))
            return _put_catalog(settings, catalog) if "catalog" in parts else []


@contextmanager
def _rooms(*folders: Path) -> Iterator[list[Path]]:
    """Make a folder to work in, in each; what a restore left there that was killed goes first.

    It holds a whole catalog. The lock of the data folder says that no other restore works.
    """
    for folder in set(folders):
        for left in folder.glob(f"{_ROOM}*"):
            if (left / _OURS).exists():
                shutil.rmtree(left)
    with ExitStack() as stack:
        made = [tempfile.TemporaryDirectory(prefix=_ROOM, dir=folder) for folder in folders]
        rooms = [Path(stack.enter_context(one)) for one in made]
        for room in rooms:
            (room / _OURS).touch()
        yield rooms


def _beside_catalog(settings: Settings) -> Path:
    """Return where the catalog is made ready: on the file system where it takes its name."""
    with closing(Database(settings.database_url)) as database:
        return Path(str(database.url.database)).parent if database.sqlite else settings.home


def _require_room(
    settings: Settings, folder: Path, parts: Collection[str], keys: Path | None
) -> None:
    present: list[str] = []
    if "catalog" in parts and not _catalog_is_empty(settings):
        present.append("the catalog")
    if "uploads" in parts and any(
        not _same(folder / UPLOADS / index.parent.name, index.parent)
        for index in (settings.home / UPLOADS).glob("*/index.db")
    ):
        present.append("uploads")
    if keys is not None:
        if settings.encryption_key:
            raise InvalidSetting(
                "S3SYNC_ENCRYPTION_KEY is set: it would win over the key of the backup; unset it, "
                "or leave the key out (--without key)."
            )
        there = {name: keys / name for name in KEY_FILES if (keys / name).exists()}
        if KEY_FILES[0] not in there:
            raise InvalidSetting(f"{str(keys)!r} holds no {KEY_FILES[0]}.")
        home = {name: settings.home / name for name in KEY_FILES}
        if any(
            path.exists() and (name not in there or path.read_bytes() != there[name].read_bytes())
            for name, path in home.items()
        ):
            present.append(f"another {KEY_FILES[0]}")
    if "history" in parts and occupied(settings, folder / HISTORY):
        present.append("Dagster's history")
    if present:
        raise Conflict(
            f"In the way: {', '.join(present)}. Move that away, or restore the other parts with "
            "--only. Nothing was changed.",
            reason="restore_target_in_use",
        )


def _require_nobody(settings: Settings) -> None:
    """Refuse while anybody works on the catalog: what is told to it now would be lost.

    Who has a file open goes on writing into it when another one takes its name, and what the
    database of a server holds is filled row by row.
    """
    with closing(Database(settings.database_url)) as database:
        busy = Owners(settings.home).others_work()
        if not database.sqlite:
            with database.read() as tx:
                busy = busy or tx.execute(sa.text(_OTHERS_CONNECTED)).scalar_one() > 0
        elif (place := Path(str(database.url.database))).exists():
            busy = busy or _is_open(place)
        elif not busy:
            for end in _ENDS:  # of one that was lost
                Path(f"{place}{end}").unlink(missing_ok=True)
    if busy:
        raise Conflict(
            "Somebody works on this catalog: stop the API, Dagster and every sync first, or what "
            "they are told meanwhile is lost. Nothing was changed.",
            reason="restore_target_in_use",
        )


_OTHERS_CONNECTED = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
    AND backend_type = 'client backend'
"""


def _is_open(catalog: Path) -> bool:
    """Return whether another connection has an empty catalog open: none may, to leave the WAL."""
    with closing(sqlite3.connect(catalog, timeout=0)) as connection:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.OperationalError:
            return True
    return False


def _same(saved: Path, here: Path) -> bool:
    """Return whether a folder is what the backup has, byte by byte."""
    names = {path.relative_to(saved) for path in files_in(saved)}
    return names == {path.relative_to(here) for path in files_in(here)} and all(
        filecmp.cmp(saved / name, here / name, shallow=False) for name in names
    )


def _catalog_is_empty(settings: Settings) -> bool:
    with closing(Database(settings.database_url)) as database:
        if database.sqlite and not Path(str(database.url.database)).exists():
            return True  # a look would make the file
        current = database.current_revision()
        if current is None:
            return True
        require_known(database, current)
        with database.read() as connection:
            return is_empty(connection)


@contextmanager
def _readable() -> Iterator[None]:
    """Say in one sentence that the catalog of a backup is none, whatever its digest says."""
    try:
        yield
    except (DatabaseError, sqlite3.DatabaseError) as error:
        told = error.orig if isinstance(error, DatabaseError) else error
        if type(told) is not sqlite3.DatabaseError:  # its own kinds are other troubles
            raise
        raise FixConfiguration(
            f"{CATALOG!r} of the backup is no database, or damaged: take another backup. Nothing "
            "was changed.",
            reason="backup_damaged",
        ) from error


def _prepare(settings: Settings, catalog: Path) -> None:
    """Bring the copy up to this version, and have everything looked at anew."""
    with (
        closing(Database(f"sqlite:///{catalog}")) as database,
        closing(Database(settings.database_url)) as target,
    ):
        require_known(database, database.current_revision())
        if not target.sqlite or Path(str(target.url.database)).exists():
            # Row by row; else the file itself takes its place.
            require_all_known(database, database.current_revision())
        database.migrate()
        require_own_schema(catalog)
        begin_anew(database)


def _require_key(settings: Settings, catalog: Path, keys: Path | None) -> None:
    with (
        closing(Database(f"sqlite:///{catalog}")) as database,
        tempfile.TemporaryDirectory(dir=settings.home) as room,
    ):
        stored = Catalog(database).credentials
        if not stored.rows():
            return
        for path in keys.iterdir() if keys is not None else ():
            shutil.copy(path, room)
        place = settings if keys is None else replace(settings, home=Path(room))
        try:
            unread = stored.unreadable(open_cipher(place))
        except InvalidSetting:
            unread = len(stored.rows())  # there is no key at all
    if unread:
        raise InvalidSetting(
            f"{unread} stored credentials of the backup cannot be read with this key: name the "
            "folder of the right one (--key-folder), set S3SYNC_ENCRYPTION_KEY, or go on without "
            "(--lost-key) and enter them again. Nothing was changed.",
            reason="wrong_encryption_key",
        )


def _put_keys(settings: Settings, keys: Path, manifest: Manifest | None) -> None:
    for name in reversed(KEY_FILES):
        if (keys / name).exists():
            fresh = settings.home / f"{name}.restoring"
            shutil.copy(keys / name, fresh)
            if manifest is not None:
                require_digest(manifest, fresh, f"{KEYS}/{name}")
            fresh.chmod(0o600)
            fresh.replace(settings.home / name)


def _put_catalog(settings: Settings, catalog: Path) -> list[Source]:
    with closing(Database(settings.database_url)) as database:
        put_catalog(catalog, database)
    with closing(Database(settings.database_url)) as database:
        return list(_unlisted(Catalog(database)))


def _unlisted(catalog: Catalog) -> Iterator[Source]:
    for row in catalog.sources.rows():
        source = row.source
        listed = source.auto_sync is not AutoSync.NONE and source.list_interval_seconds
        if row.deleting is None and not listed:
            yield source
