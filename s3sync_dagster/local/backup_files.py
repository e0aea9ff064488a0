"""What lies in the folder of a backup, held against its manifest."""

import json
import os
import stat
from pathlib import Path
from typing import Any

from s3sync_dagster.local.backup import (
    CATALOG,
    FORM,
    KEYS,
    MANIFEST,
    PARTS,
    UPLOADS,
    Manifest,
    files_in,
    sha256,
)
from s3sync_dagster.local.dagster_history import HISTORY
from s3sync_dagster.model.errors import FixConfiguration

MOST_MANIFEST_BYTES = 256 * 1024 * 1024
"""Of a manifest, which has a line for each file: a million uploads of older versions."""


def read_manifest(folder: Path) -> Manifest:
    """Return what a backup says of itself, once each of its files is what it was.

    Raises:
        FixConfiguration: it is none, of a later form, or damaged (``backup_damaged``).
    """
    try:
        told = json.loads(_text_of(folder / MANIFEST))
        manifest = Manifest(**{**told, "parts": tuple(told["parts"])})
        _require_types(manifest)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        raise FixConfiguration(
            f"{str(folder)!r} holds no whole backup (no {MANIFEST} that can be read).",
            reason="backup_damaged",
        ) from None
    if manifest.form > FORM:
        raise FixConfiguration(
            f"The backup was written by s3sync-dagster {manifest.program}: restore it with that "
            "version or a later one.",
            reason="backup_damaged",
        )
    for path in sorted(folder.rglob("*")):
        # Copying follows links: who may write where backups lie would have other files put here.
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise FixConfiguration(
                f"{str(path.relative_to(folder))!r} in the backup is neither a file nor a folder, "
                "as all that was written is: who put it there? Take another backup.",
                reason="backup_damaged",
            )
    for name, digest in manifest.files.items():
        _require_file(folder / name, name, digest)
    held = {str(path.relative_to(folder)) for path in files_in(folder)}
    foreign = {name for name in held - {MANIFEST, *manifest.files} if _of_a_part(name)}
    if "catalog" in manifest.parts and CATALOG not in manifest.files:
        foreign.add(CATALOG)
    for name in sorted(foreign):
        raise FixConfiguration(
            f"{name!r} is in the backup, and its {MANIFEST} has no digest of it: who put it there? "
            "Take it away, or take another backup.",
            reason="backup_damaged",
        )
    return manifest


def _text_of(path: Path) -> str:
    """Return the manifest; ``ValueError`` where what has its name is no file of its size.

    It is read before anything is known of the backup, which may come from anywhere.
    """
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(file, encoding="utf-8") as opened:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_size > MOST_MANIFEST_BYTES:
            raise ValueError
        return opened.read(MOST_MANIFEST_BYTES)


def _require_types(manifest: Manifest) -> None:
    """Raise ``TypeError`` where values are of other types, ``ValueError`` for unknown parts."""
    tables: tuple[Any, ...] = (manifest.files, manifest.apart, manifest.left_out)
    texts = [text for table in tables for pair in dict(table).items() for text in pair]
    if type(manifest.form) is not int or not all(isinstance(text, str) for text in texts):
        raise TypeError
    if manifest.form <= FORM and not set(manifest.parts) <= set(PARTS):
        raise ValueError


def _of_a_part(name: str) -> bool:
    return name.split("/")[0] in (CATALOG, KEYS, UPLOADS, HISTORY)


def _require_file(path: Path, name: str, digest: str) -> None:
    try:
        same = path.is_file() and sha256(path) == digest
    except OSError as error:
        raise FixConfiguration(
            f"{name!r} of the backup cannot be read ({os.strerror(error.errno or 0)}).",
            reason="backup_damaged",
        ) from error
    if not same:
        raise FixConfiguration(
            f"{name!r} of the backup is not what was written: take another backup.",
            reason="backup_damaged",
        )


def require_digest(manifest: Manifest, copied: Path, name: str) -> None:
    """Raise where a copy is not what the backup's manifest has: it was another when it was read.

    Who may write where backups lie could put a link in the place of a file in between, to one
    whose digest he does not know.
    """
    _require_file(copied, name, manifest.files.get(name, ""))
