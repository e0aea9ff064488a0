"""A collection whose vector index is damaged is made whole again from its own folder.

Texts and metadata are in SQLite and were never in danger. Vectors are read out of the damaged
files where they are whole; the rest is embedded again from the texts.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from s3sync_dagster.ports.chroma import ChromaCollections
from s3sync_dagster.ports.chroma_collection import ChromaCollection
from s3sync_dagster.ports.chroma_embedded import EmbeddedChroma, lock_folder
from s3sync_dagster.ports.chroma_files import VectorSegment, saved_vectors, vector_segment
from s3sync_dagster.ports.chroma_probe import find_damage

if TYPE_CHECKING:
    from s3sync_dagster.engine.ports import Embedder, Vector

ASIDE = "damaged"
"""Folder inside Chroma's that takes damaged index files."""
DONE = "-repaired"
PAGE_RECORDS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """What was found and done."""

    damage: str | None
    """What was wrong; None: every vector can be read, and nothing was touched."""
    saved: int = 0
    """Records whose vectors were read out of the damaged files."""
    embedded: int = 0
    """Records whose vectors were made again from their texts."""
    lost: tuple[str, ...] = ()
    """Ids without a readable vector and without text; they stay, but no query finds them."""
    moved_to: Path | None = None
    """Where the damaged files lie now, for whoever wants to look."""


def repair_collection(
    path: Path, *, tenant: str, database: str, name: str, embedder: Embedder
) -> Repair:
    """Probe a collection and repair it where it is damaged.

    The old files are moved aside, never deleted. Stopped at any point, the next call goes on: what
    the moved files hold is read again.

    Args:
        path: Chroma's folder; its server must be stopped.
        tenant: of the database.
        database: of the collection.
        name: of the collection.
        embedder: the collection's, for texts whose vectors are lost.

    Raises:
        Conflict: the folder is in use (``chroma_in_use``).
        NotFound: there is no such collection.
        EmbeddingMismatch: the collection has another embedding function.
    """
    lock = lock_folder(path)
    collections = None
    try:
        damage = find_damage(path, tenant=tenant, database=database, name=name)
        if damage is None:
            return Repair(damage=None)
        segment = vector_segment(path, tenant=tenant, database=database, name=name)
        aside = _move_aside(path, segment)
        vectors = _all_saved(path, segment)
        collections = ChromaCollections(EmbeddedChroma(path, lock=lock))
        collection = collections.open(
            name, tenant=tenant, database=database, embedder=embedder, create=False
        )
        repair = _fill(collection, embedder, vectors)
        for folder in _unfinished(path, segment):
            folder.rename(folder.with_name(folder.name + DONE))
        return replace(repair, damage=damage, moved_to=aside.with_name(aside.name + DONE))
    finally:
        if collections is not None:
            collections.close()
        lock.close()


def _move_aside(path: Path, segment: VectorSegment) -> Path:
    aside = path / ASIDE / f"{segment.folder.name}.{time.time_ns()}"
    aside.mkdir(parents=True)
    if segment.folder.is_dir():
        aside.rmdir()
        shutil.move(segment.folder, aside)
    return aside


def _unfinished(path: Path, segment: VectorSegment) -> list[Path]:
    """Return what was moved aside by this repair and by earlier ones that were stopped, by age."""
    moved = (path / ASIDE).glob(f"{segment.folder.name}.*")
    return sorted(folder for folder in moved if not folder.name.endswith(DONE))


def _all_saved(path: Path, segment: VectorSegment) -> dict[str, Vector]:
    vectors: dict[str, Vector] = {}
    for folder in _unfinished(path, segment):
        vectors |= saved_vectors(path, replace(segment, folder=folder))
    return vectors


def _fill(collection: ChromaCollection, embedder: Embedder, vectors: dict[str, Vector]) -> Repair:
    """Give every record of the collection a vector again, page by page."""
    ids = [record.id for page in collection.scan() for record in page]
    saved = embedded = 0
    lost: list[str] = []
    for start in range(0, len(ids), PAGE_RECORDS):
        page = ids[start : start + PAGE_RECORDS]
        whole = [name for name in page if name in vectors]
        _restore(collection, whole, [vectors[name] for name in whole])
        saved += len(whole)
        torn = [name for name in page if name not in vectors]
        stored = collection.get(torn, documents=True)
        texts = {name: record.document for name, record in stored.items() if record.document}
        if texts:
            _restore(collection, list(texts), embedder.embed_documents(list(texts.values())))
        embedded += len(texts)
        lost += [name for name in torn if name not in texts]
    return Repair(damage=None, saved=saved, embedded=embedded, lost=tuple(lost))


def _restore(collection: ChromaCollection, ids: Sequence[str], vectors: Sequence[Vector]) -> None:
    import numpy as np

    if ids:
        collection.restore_vectors(ids, np.stack(vectors))
