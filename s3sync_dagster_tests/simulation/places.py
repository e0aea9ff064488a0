"""Where the objects of a world are: what every place promises, buckets and watched folders.

``repositories`` and ``sites`` have the others.
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any, ClassVar

from s3sync_dagster.places.folder import FolderPlace
from s3sync_dagster.places.folder_store import FileStore
from s3sync_dagster.ports.memory_s3 import MemoryBucket, MemoryObjectStore
from s3sync_dagster_tests.simulation.learning import PAGE_KEYS

WRITTEN_NS = 1_767_225_600 * 10**9
"""A time that files say they were written at: no world depends on the real one."""


class Whereabouts:
    """What a world asks of where its objects are, as most answer it."""

    happenings: ClassVar[Mapping[str, tuple[float, Callable[..., None]]]] = {}
    """What can happen in it besides, as the driver's actions."""
    always: ClassVar[Mapping[str, str]] = {}
    """Objects that it has by itself."""
    listings_to_know: ClassVar[int] = 1
    """So many complete listings, an hour apart, until one tells that an object is gone."""
    home: Any
    store: Any

    def key(self, name: str) -> str:
        """Return the key of what the world calls by a name."""
        return name

    def store_of(self, source: Any, *, far: bool) -> Any:
        """Return what a source reads on this host, or on the other one."""
        del source, far
        return self.store

    def snapshots(self, folder: Path, *, far: bool) -> Path | None:
        """Return where a host keeps its listings; None: those have to end within one call."""
        del far
        return None if self.store.ordered and not hasattr(self.store, "pin") else folder

    def news(self) -> bool | None:
        """Return whether something says that a listing is due; None: others tell of each change."""
        return None

    def version_of(self, key: str, etag: str, told: str) -> str:
        """Return the version that the records of an object name, given what they do name."""
        del key, told
        return etag

    def calm(self) -> None:
        """Let what troubles it pass."""

    def close(self) -> None:
        """Remove all of it."""


class Buckets(Whereabouts):
    """Buckets in memory, one of which is there where the source looks."""

    def __init__(self, changed: Callable[..., None], *, ordered: bool) -> None:
        self.home: Any = MemoryBucket(listeners=[changed])
        """What people put objects into."""
        self.store: Any = MemoryObjectStore(
            self.home, ordered=ordered, page_keys=PAGE_KEYS, pages_in_turn=0
        )
        self.told: list[str] = []
        """Keys that somebody who watches has heard of."""

    def new(self, name: str) -> Any:
        """Return an empty one that is nowhere yet."""
        return MemoryBucket(name)

    def mount(self, other: Any) -> Any:
        """Put one in the place where the source looks; returns what was there."""
        before, self.store._bucket = self.store._bucket, other
        return before

    def rename(self, name: str) -> None:
        """Give the one in which the objects are another name."""
        self.home.name = name

    def declared(self, place: Any, name: str) -> Any:
        """Return a source's place under another name."""
        return place.with_changes(bucket_name=name)

    def etag_of(self, text: str) -> str:
        """Return the version of a content."""
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


class Tree:
    """A real folder with files."""

    def __init__(self, name: str, path: Path, told: list[str]) -> None:
        self.name, self.path, self._told = name, path, told
        self._writes = 0
        path.mkdir()

    def put(self, key: str, content: str) -> None:
        """Write a file, which its watcher hears of."""
        path = self.path / key
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, newline="")
        self._writes += 1
        os.utime(path, ns=(WRITTEN_NS + self._writes, WRITTEN_NS + self._writes))
        self._told.append(key)

    def delete(self, key: str) -> None:
        """Remove a file where it is one."""
        if (self.path / key).exists():
            (self.path / key).unlink()
            self._told.append(key)

    def objects(self) -> dict[str, bytes]:
        """Return all contents by key."""
        files = (one for one in self.path.rglob("*") if one.is_file())
        return {one.relative_to(self.path).as_posix(): one.read_bytes() for one in files}


class OnDisk(Whereabouts):
    """What is on the disk, one of which lies where the source looks, and the others away."""

    _root: Path
    _made: int
    _mounted: Any

    def mount(self, other: Any) -> Any:
        """Put one in the place where the source looks; returns what was there."""
        self.calm()
        before = self._mounted
        self._made += 1
        before.path = before.path.rename(self._root / f"away {self._made}")
        self._mounted = other
        self._arrive()
        return before

    def rename(self, name: str) -> None:
        """Give the one in which the objects are another name."""
        self.home.name = name
        if self._mounted is self.home:
            self._arrive()

    def _arrive(self) -> None:
        raise AssertionError("each has names of its own")


class Folders(OnDisk):
    """Folders on the disk, one of which is mounted where the source looks."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self._root = Path(mkdtemp(prefix="s3sync-world-"))
        self._made = 0
        self.home: Any = self.new("bucket")
        self._mounted = self.home
        self._arrive()

    def new(self, name: str) -> Any:
        """Return an empty one that is nowhere yet."""
        self._made += 1
        told = [] if self._made > 1 else self.told  # nobody watches another one
        return Tree(name, self._root / f"away {self._made}", told)

    def declared(self, place: Any, name: str) -> Any:
        """Return a source's place under another name."""
        if not isinstance(place, FolderPlace):
            place = FolderPlace(folder="/", file_version="content")
        return place.with_changes(folder=str(self._root / name))

    def etag_of(self, text: str) -> str:
        """Return the version of a content."""
        return hashlib.sha256(text.encode()).hexdigest()

    def close(self) -> None:
        """Remove all of it."""
        rmtree(self._root)

    def _arrive(self) -> None:
        self._mounted.path = self._mounted.path.rename(self._root / self._mounted.name)
        self.store: Any = FileStore(str(self._mounted.path), version="content")
