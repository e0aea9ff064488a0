"""What a backup holds, and how it is written while everything works.

Each part is taken as it stands at one moment, in an order in which none knows of what another does
not have: the catalog with its uploads first, then uploads that an older version left in the data
folder, the keys (they open what the catalog has encrypted), Dagster's history (it decides nothing).
Chroma is no part of it: the engine writes again what is missing there.
"""

import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from s3sync_dagster import __version__
from s3sync_dagster.catalog.copying import copy_sqlite, write_catalog
from s3sync_dagster.catalog.database import Database
from s3sync_dagster.local.dagster_history import HISTORY, dump_history
from s3sync_dagster.local.home import writable
from s3sync_dagster.local.privacy import OTHERS
from s3sync_dagster.model.errors import Conflict, Unavailable
from s3sync_dagster.settings import Settings

FORM = 1
"""Of the folder; a program that meets a higher one refuses it."""
PARTS = ("catalog", "uploads", "key", "history")
MANIFEST, CATALOG, KEYS, UPLOADS = "manifest.json", "catalog.db", "keys", "uploads"
KEY_FILES = ("encryption.key", "encryption.key.next", "encryption.key.old")
_UPLOAD_ROUNDS = 20


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
        S3SyncError: a part cannot be read; the message names it.
    """
    for one in (folder, key_folder):
        if one is not None and os.path.lexists(one):
            raise _exists(one)
    with writable(folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Another name than anybody else's, so that what is deleted is what was made here.
        made = tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".partial", dir=folder.parent)
        partial = Path(made)
        try:
            manifest = _write_parts(settings, database, partial, parts, key_folder)
            _take_name(partial, folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    return manifest


def _write_parts(
    settings: Settings,
    database: Database,
    partial: Path,
    parts: Collection[str],
    key_folder: Path | None,
) -> Manifest:
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    left_out = {name: "not asked for" for name in PARTS if name not in parts}
    if "catalog" in parts:
        write_catalog(database, partial / CATALOG)
    if "uploads" in parts:
        _copy_uploads(settings.home / UPLOADS, partial / UPLOADS)
    if "key" in parts and (why := _copy_keys(settings, partial, key_folder)):
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
    )
    (partial / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1), "utf-8")
    for path in files_in(partial):
        _sync(path)
    for path in partial.rglob("*"):
        path.chmod(path.stat().st_mode & ~OTHERS)
    return manifest


def _take_name(partial: Path, folder: Path) -> None:
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
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def sha256(path: Path) -> str:
    """Return the digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copy_keys(settings: Settings, partial: Path, key_folder: Path | None) -> str | None:
    if settings.encryption_key:
        return "it is in S3SYNC_ENCRYPTION_KEY: keep it where that comes from"
    place = key_folder or partial / KEYS
    place.mkdir(mode=0o700, parents=True)
    for name in KEY_FILES:  # the newer ones lie beside the key while it is changed
        path = settings.encryption_key_file.with_name(name)
        if path.exists():
            shutil.copy(path, place / name)
            (place / name).chmod(0o600)
            _sync(place / name)
    return f"it is in {str(key_folder)!r}, apart from the rest" if key_folder else None


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
        with closing(sqlite3.connect(target / "index.db")) as index:
            named = {row[0] for row in index.execute("SELECT file FROM objects")}
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


def _copied(source: Path, target: Path) -> bool:
    try:
        shutil.copy(source, target)
    except FileNotFoundError:
        return False
    return True


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
