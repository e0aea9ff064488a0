"""What a backup holds, and how it is written while everything works.

Each part is taken as it stands at one moment, in an order in which none knows of what another does
not have: the catalog with its uploads first, then uploads that an older version left in the data
folder, the keys (they open what the catalog has encrypted), Dagster's history (it decides nothing).
Chroma is no part of it: the engine writes again what is missing there.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from s3sync_dagster import __version__
from s3sync_dagster.catalog.copying import copy_sqlite, write_catalog
from s3sync_dagster.catalog.database import Database
from s3sync_dagster.local.dagster_history import HISTORY, dump_history
from s3sync_dagster.local.privacy import OTHERS
from s3sync_dagster.model.errors import Conflict, FixConfiguration, InvalidSetting, Unavailable
from s3sync_dagster.ports.files import require_plain_list, stored_name
from s3sync_dagster.settings import Settings

FORM = 2
"""Of the folder; a program that meets a higher one refuses it. 2: keys apart have digests."""
PARTS = ("catalog", "uploads", "key", "history")
MANIFEST, CATALOG, KEYS, UPLOADS = "manifest.json", "catalog.db", "keys", "uploads"
KEY_FILES = ("encryption.key", "encryption.key.next", "encryption.key.old")
_UPLOAD_ROUNDS = 20
_LOCK = ".s3sync-backup"
"""Held in an unfinished folder while somebody writes into it: who dies lets it go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a backup says of itself."""

    form: int
    """``FORM`` of the program that wrote it."""
    program: str
    """Version of that program."""
    revision: str
    """Of the catalog's schema."""
    made_at: str
    """UTC, ISO 8601: the moment of the catalog."""
    parts: tuple[str, ...]
    """Those of ``PARTS`` that are in it."""
    left_out: Mapping[str, str] = field(default_factory=dict[str, str])
    """Why the others are not, a sentence for each."""
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    """SHA-256 of each file, by its path in the folder."""
    apart: Mapping[str, str] = field(default_factory=dict[str, str])
    """SHA-256 of each key file that lies in a folder of its own. Of 256 random bits it tells
    nothing."""


def write_backup(
    settings: Settings,
    database: Database,
    folder: Path,
    *,
    parts: Collection[str] = PARTS,
    key_folder: Path | None = None,
) -> Manifest:
    """Write a backup into a new folder; what is unfinished has the suffix ``.partial``.

    What fails leaves nothing beside it.

    Args:
        settings: whose home is saved.
        database: of its catalog.
        folder: is made; nobody else may look into it.
        parts: those of ``PARTS`` that are wanted.
        key_folder: another new folder, which gets the keys instead.

    Raises:
        Conflict: one of the folders is there (``backup_exists``).
        InvalidSetting: one of the folders would lie in the other.
        FixConfiguration: a folder takes nothing more, or may not be written
            (``backup_not_written``).
        S3SyncError: a part cannot be read; the message names it.
    """
    wanted = [folder, *([key_folder] if key_folder is not None else [])]
    if key_folder is not None and (folder in key_folder.parents or key_folder in folder.parents):
        raise InvalidSetting("--key-folder lies in the backup, or the other way round: take two.")
    for one in wanted:
        if os.path.lexists(one):
            raise _exists(one)
    with ExitStack() as unfinished, _written(folder):
        partial = unfinished.enter_context(_partial(folder))
        if key_folder is None:
            manifest = _write_parts(settings, database, partial, parts, None)
        else:
            with _written(key_folder):
                keys = unfinished.enter_context(_partial(key_folder))
            manifest = _write_parts(settings, database, partial, parts, keys)
            with _written(key_folder):
                if manifest.apart:
                    _take_name(keys, key_folder)
        try:
            _take_name(partial, folder)
        except BaseException:
            if manifest.apart and key_folder is not None:
                shutil.rmtree(key_folder, ignore_errors=True)  # of a backup that is none
            raise
    return manifest


@contextmanager
def _written(folder: Path) -> Iterator[None]:
    """Say in one sentence that it is this folder's disk or rights, not the data folder's."""
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        told = str(error).lower()  # SQLite's own words; an OSError has its number
        numbers = {"database or disk is full": errno.ENOSPC, "disk i/o error": errno.EIO}
        number = next((one for words, one in numbers.items() if words in told), None)
        number = number or getattr(error, "errno", None)
        if number is None:
            raise
        raise FixConfiguration(
            f"The backup {str(folder)!r} cannot be written ({os.strerror(number)}): make room "
            "there, or name another folder. What was begun is taken away.",
            reason="backup_not_written",
        ) from error


@contextmanager
def _partial(folder: Path) -> Iterator[Path]:
    """Make a folder under another name than anybody else's, which goes unless it is renamed.

    What a backup into the same folder left that was killed goes first: nobody holds its lock.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f"{folder.name}.*.partial"):
        if (file := _held(left / _LOCK)) is not None:
            with closing(file):
                shutil.rmtree(left)
    made, file = _made(folder)
    try:
        with closing(file):
            yield made
    finally:
        if made.exists():
            shutil.rmtree(made, ignore_errors=True)


def _made(folder: Path) -> tuple[Path, Any]:
    """Return a new folder and its lock, which is ours.

    Another backup that tidies up can take the lock, and the folder, in the moment before it is
    held. Each does so once at its start, so that this comes to an end.
    """
    while True:
        made = tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".partial", dir=folder.parent)
        lock = Path(made) / _LOCK
        lock.touch()
        if (file := _held(lock)) is not None:
            return Path(made), file


def _held(lock: Path) -> Any:
    """Return the open file of a lock that is ours now; None where it is another's, or gone."""
    try:
        file = lock.open("rb")
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    if not lock.exists():  # its backup took its name, or another tidied up, while it was opened
        file.close()
        return None
    return file


def _write_parts(
    settings: Settings,
    database: Database,
    partial: Path,
    parts: Collection[str],
    keys: Path | None,
) -> Manifest:
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    left_out = {name: "not asked for" for name in PARTS if name not in parts}
    if "catalog" in parts:
        write_catalog(database, partial / CATALOG)
    if "uploads" in parts:
        _copy_uploads(settings.home / UPLOADS, partial / UPLOADS)
    if "key" in parts and (why := _copy_keys(settings, keys or partial / KEYS, apart=bool(keys))):
        left_out["key"] = why
    if "history" in parts and (why := dump_history(settings, database, partial / HISTORY)):
        left_out["history"] = why
    manifest = Manifest(
        form=FORM,
        program=__version__,
        revision=database.current_revision() or "",
        made_at=made_at,
        parts=tuple(name for name in PARTS if name not in left_out),
        left_out=left_out,
        files={str(path.relative_to(partial)): sha256(path) for path in files_in(partial)},
        apart={path.name: sha256(path) for path in files_in(keys)} if keys else {},
    )
    (partial / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1), "utf-8")
    for path in files_in(partial):
        _sync(path)
    for path in partial.rglob("*"):
        path.chmod(path.stat().st_mode & ~OTHERS)
    return manifest


def _take_name(partial: Path, folder: Path) -> None:
    (partial / _LOCK).unlink()
    try:
        partial.rename(folder)
    except OSError as error:
        if os.path.lexists(folder):  # another backup was whole before this one
            raise _exists(folder) from error
        raise


def _exists(folder: Path) -> Conflict:
    return Conflict(
        f"{str(folder)!r} is there already: a backup goes into a folder of its own.",
        reason="backup_exists",
    )


def files_in(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder and of those in it, in one order."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != _LOCK)


def sha256(path: Path) -> str:
    """Return the digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copy_keys(settings: Settings, place: Path, *, apart: bool) -> str | None:
    if settings.encryption_key:
        return "it is in S3SYNC_ENCRYPTION_KEY: keep it where that comes from"
    place.mkdir(mode=0o700, exist_ok=True)
    for name in KEY_FILES:  # the newer ones lie beside the key while it is changed
        path = settings.encryption_key_file.with_name(name)
        if path.exists():
            shutil.copy(path, place / name)
            (place / name).chmod(0o600)
            _sync(place / name)
    return "it lies in its own folder (--key-folder), apart from the rest" if apart else None


def _copy_uploads(source: Path, target: Path) -> None:
    target.mkdir(mode=0o700)
    if not source.is_dir():
        return
    for folder in sorted(source.iterdir()):
        if (folder / "index.db").exists():
            _copy_upload_folder(folder, target / folder.name)


def _copy_upload_folder(source: Path, target: Path) -> None:
    """Copy the list of a source's uploads with the bytes of each, while people upload.

    What was replaced between the list and its bytes is in the next list.
    """
    (target / "objects").mkdir(mode=0o700, parents=True)
    for _ in range(_UPLOAD_ROUNDS):
        copy_sqlite(source / "index.db", target / "index.db")
        named = _named_uploads(source, target / "index.db")
        whole = True
        for name in named:
            if not (target / "objects" / name).exists():
                whole = _copied(source / "objects" / name, target / "objects" / name) and whole
        if whole:
            for path in (target / "objects").iterdir():
                if path.name not in named:
                    path.unlink()
            return
    raise Unavailable(
        f"The uploads in {str(source)!r} change faster than they are copied: try again.",
        reason="backup_overtaken",
    )


def _named_uploads(source: Path, copied: Path) -> set[str]:
    try:
        with closing(sqlite3.connect(copied)) as index:
            require_plain_list(index)
            return {stored_name(row[0]) for row in index.execute("SELECT file FROM objects")}
    except (OSError, sqlite3.DatabaseError):
        raise FixConfiguration(
            f"The list of the uploads in {str(source)!r} is none that this program wrote: move "
            "that folder away, or leave the uploads out (--without uploads).",
            reason="uploads_unusable",
        ) from None


def _copied(source: Path, target: Path) -> bool:
    try:
        shutil.copy(source, target)
    except FileNotFoundError:
        return False
    return True


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
