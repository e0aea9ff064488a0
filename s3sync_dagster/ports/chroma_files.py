"""What lies in Chroma's folder: segments, vectors that can be saved, and what is left over."""

from __future__ import annotations

import pickle
import re
import sqlite3
import uuid
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3sync_dagster.model.errors import NotFound

if TYPE_CHECKING:
    from s3sync_dagster.engine.ports import Vector

DATABASE = "chroma.sqlite3"
LABELS = "index_metadata.pickle"
"""Record ids of an index; absent until Chroma saves it for the first time."""
MAX_NEIGHBORS = 16
"""Chroma's default, where a collection's configuration names none."""
NORM_TOLERANCE = 1e-3
MAX_LINK_SHARE = 4
"""Torn link files were seen at terabytes, sparse: they are not read."""
DELETE = 3
"""``operation`` of a deletion in Chroma's write-ahead log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorSegment:
    """The HNSW files of one collection."""

    collection_id: str
    folder: Path
    dimension: int
    max_neighbors: int = MAX_NEIGHBORS

    @property
    def element_bytes(self) -> int:
        """Size of one element: count and links of the lowest level, vector, label."""
        return self.links_bytes + 4 * self.dimension + 8

    @property
    def links_bytes(self) -> int:
        """Bytes before an element's vector."""
        return 4 + 4 * 2 * self.max_neighbors


def vector_segment(path: Path, *, tenant: str, database: str, name: str) -> VectorSegment:
    """Return where a collection's vectors lie; reads SQLite only, never the index.

    Raises:
        NotFound: there is no such collection, or it never had a vector.
    """
    query = (
        "SELECT c.id, s.id, c.dimension, c.schema_str FROM collections c "
        "JOIN databases d ON d.id = c.database_id JOIN segments s ON s.collection = c.id "
        "WHERE c.name = ? AND d.name = ? AND d.tenant_id = ? AND s.scope = 'VECTOR'"
    )
    with _reading(path) as connection:
        row = connection.execute(query, (name, database, tenant)).fetchone()
    if row is None or row[2] is None:
        raise NotFound(f"there is no collection {name!r} with vectors in {str(path)!r}")
    named = re.search(r'"max_neighbors":\s*(\d+)', row[3] or "")
    return VectorSegment(
        collection_id=row[0],
        folder=path / row[1],
        dimension=row[2],
        max_neighbors=int(named[1]) if named else MAX_NEIGHBORS,
    )


def saved_vectors(path: Path, segment: VectorSegment) -> dict[str, Vector]:
    """Return the vectors that can be read without the index, by record id.

    Those of the HNSW files, unless damaged, overridden by what the write-ahead log has for the
    same record: the log is purged only of what the files hold.
    """
    vectors = _of_files(segment)
    for name, vector in _of_log(path, segment):
        if vector is None:
            vectors.pop(name, None)
        else:
            vectors[name] = vector
    return vectors


def links_are_whole(segment: VectorSegment) -> bool:
    """Return whether the upper levels' links fit the vectors; true where nothing is on disk yet.

    A file that ends too early is loaded without a word, and queries then miss records.
    """
    vectors, links = segment.folder / "data_level0.bin", segment.folder / "link_lists.bin"
    if not (segment.folder / LABELS).is_file():
        return True  # room that was made for an index; the vectors are in the log
    if not (vectors.is_file() and links.is_file()):
        return False
    if links.stat().st_size > MAX_LINK_SHARE * vectors.stat().st_size:
        return False
    count = vectors.stat().st_size // segment.element_bytes
    content = links.read_bytes()
    place = 0
    for _ in range(count):
        if place + 4 > len(content):
            return False
        place += 4 + int.from_bytes(content[place : place + 4], "little")
    return place == len(content)


def orphan_folders(path: Path) -> list[Path]:
    """Return index folders of collections that were deleted: Chroma leaves them on disk."""
    with _reading(path) as connection:
        used = {name for (name,) in connection.execute("SELECT id FROM segments")}
    return sorted(
        folder
        for folder in path.iterdir()
        if folder.is_dir() and _is_uuid(folder.name) and folder.name not in used
    )


def free_share(path: Path) -> float:
    """Return the part of the SQLite file that is empty, 0 to 1.

    Above a half of a large file ``chroma vacuum`` is worth its stop of the server. Writing itself
    leaves up to 0.4, which later writes use.
    """
    with _reading(path) as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        free = connection.execute("PRAGMA freelist_count").fetchone()[0]
    return free / pages if pages else 0.0


def _of_files(segment: VectorSegment) -> dict[str, Vector]:
    import numpy as np

    data, labels = segment.folder / "data_level0.bin", segment.folder / LABELS
    if not data.is_file() or not labels.is_file():
        return {}
    try:
        names: dict[int, str] = _PlainPickle(BytesIO(labels.read_bytes())).load()["label_to_id"]
    except (pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError, IndexError):
        return {}
    size, before = segment.element_bytes, segment.links_bytes
    raw = np.fromfile(data, dtype=np.uint8)
    elements = raw[: len(raw) // size * size].reshape(-1, size)
    vectors = np.ascontiguousarray(elements[:, before : size - 8]).view("<f4")
    numbers = np.ascontiguousarray(elements[:, size - 8 :]).view("<u8").ravel()
    # A torn element shows in its norm: cosine spaces keep unit vectors.
    with np.errstate(all="ignore"):
        whole = np.abs(np.linalg.norm(vectors, axis=1) - 1) < NORM_TOLERANCE
    return {
        names[int(number)]: vector
        for number, vector, good in zip(numbers, vectors, whole, strict=True)
        if good and int(number) in names
    }


def _of_log(path: Path, segment: VectorSegment) -> Iterator[tuple[str, Vector | None]]:
    import numpy as np

    query = (
        "SELECT id, operation, vector, encoding FROM embeddings_queue "
        "WHERE topic LIKE '%/' || ? ORDER BY seq_id"
    )
    with _reading(path) as connection:
        for name, operation, vector, encoding in connection.execute(
            query, (segment.collection_id,)
        ):
            if operation == DELETE:
                yield name, None
            elif vector is not None and encoding == "FLOAT32":
                yield name, np.frombuffer(vector, dtype="<f4")


class _PlainPickle(pickle.Unpickler):
    """Reads containers, strings and numbers; a pickle that asks for anything else is refused."""

    def find_class(self, _module: str, _name: str) -> Any:
        raise pickle.UnpicklingError


@contextmanager
def _reading(path: Path) -> Generator[sqlite3.Connection]:
    file = path / DATABASE
    if not file.is_file():
        raise NotFound(f"there is no Chroma in {str(path)!r}")
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30)) as connection:
        yield connection


def _is_uuid(name: str) -> bool:
    try:
        uuid.UUID(name)
    except ValueError:
        return False
    return True
