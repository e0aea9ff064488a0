"""Repositories on the disk, one of which git fetches from: each change of a file is a commit.

Commits are written without git, since each of its processes costs as much as ten steps of a world;
what the source reads comes through git itself.
"""

import hashlib
import os
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from s3sync_dagster.places.git import GIT_PROTOCOLS, GitPlace, open_git
from s3sync_dagster.ports.places import Surroundings
from s3sync_dagster_tests.simulation.places import WRITTEN_NS, OnDisk
from s3sync_dagster_tests.simulation.safety import PILLARS
from s3sync_dagster_tests.simulation.two_hosts import TwoHosts

PERSON = "A <a@example.org>"
ENVIRONMENT = {GIT_PROTOCOLS: "file", "PATH": os.environ.get("PATH", os.defpath)}
Tree = dict[str, str]
"""Path -> blob."""


class Bare:
    """A bare repository, as whoever pushes to it leaves it."""

    def __init__(self, name: str, path: Path, told: list[str], known: set[tuple[str, ...]]) -> None:
        self.name, self.path, self._told, self._known = name, path, told, known
        self._contents: dict[str, bytes] = {}
        self._branch, self._branches, self._written = "main", 1, 0
        self._past: list[tuple[str, Tree]] = []
        """Commits that were ever the newest, with their files."""
        self._files: Tree = {}
        self._lost: set[str] = set()
        (path / "refs" / "heads").mkdir(parents=True)
        (path / "objects").mkdir()
        (path / "config").write_text(
            "[core]\n\trepositoryformatversion = 0\n\tbare = true\n"
            "[uploadpack]\n\tallowFilter = true\n"
        )
        self._commit()
        self._point()

    def put(self, key: str, content: str) -> None:
        """Push a commit with another content of a file."""
        self._files = {**self._files, key: self._blob(content.encode())}
        self._commit()
        self._told.append(key)

    def delete(self, key: str) -> None:
        """Push a commit without a file, where there is one."""
        if key in self._files:
            self._files = {path: blob for path, blob in self._files.items() if path != key}
            self._commit()
            self._told.append(key)

    def rename(self, before: str, after: str) -> None:
        """Push a commit in which a file has another path."""
        files = dict(self._files)
        files[after] = files.pop(before)
        self._files = files
        self._commit()
        self._told.append(after)

    def objects(self) -> dict[str, bytes]:
        """Return the files of the newest commit."""
        return {path: self._contents[blob] for path, blob in self._files.items()}

    def rewrite(self) -> None:
        """Push the same files as a commit without a past, by force."""
        self._past = []
        self._commit()
        self._told.append("all")

    def rewind(self, chance: Random) -> None:
        """Push a commit of before by force; the pillars stand in it."""
        whole = [one for one in self._past if one[1].keys() >= PILLARS.keys()]
        if whole:
            commit, self._files = chance.choice(whole)
            self._set(commit)
            self._told.append("all")

    def branch(self) -> None:
        """Go on with another branch than the one that others know."""
        self._branches += 1
        head = (self.path / "refs" / "heads" / self._branch).read_text()
        self._branch = f"b{self._branches}"
        (self.path / "refs" / "heads" / self._branch).write_text(head)
        self._point()
        self._told.append("all")

    def close_door(self) -> None:
        """Answer that there is no repository."""
        (self.path / "HEAD").unlink()

    def name_nothing(self) -> None:
        """Answer as a repository without any commit."""
        self._replace("HEAD", "ref: refs/heads/none\n")

    def lose_blobs(self) -> None:
        """Have a file's bytes no more: nobody can fetch the newest commit."""
        self._lost = set(self._files.values())
        for blob in self._lost:
            self._loose(blob).rename(self._loose(blob).with_suffix(".lost"))

    def mend(self) -> None:
        """Be as it was."""
        for blob in self._lost:
            self._loose(blob).with_suffix(".lost").rename(self._loose(blob))
        self._lost = set()
        self._point()

    def _commit(self) -> None:
        self._written += 1
        at = f"{PERSON} {WRITTEN_NS // 10**9 + self._written} +0000"
        parent = f"parent {self._past[-1][0]}\n" if self._past else ""
        text = f"tree {self._tree(self._files)}\n{parent}author {at}\ncommitter {at}\n\nchange\n"
        self._set(self._object("commit", text.encode()))

    def _set(self, commit: str) -> None:
        self._past.append((commit, self._files))
        self._known |= {(path, blob, commit) for path, blob in self._files.items()}
        self._replace(f"refs/heads/{self._branch}", f"{commit}\n")

    def _point(self) -> None:
        self._replace("HEAD", f"ref: refs/heads/{self._branch}\n")

    def _replace(self, name: str, text: str) -> None:
        (self.path / name).write_text(text)

    def _tree(self, files: Tree) -> str:
        rows: dict[bytes, bytes] = {}
        folders: dict[str, Tree] = {}
        for path, blob in files.items():
            name, slash, rest = path.partition("/")
            if slash:
                folders.setdefault(name, {})[rest] = blob
            else:
                rows[name.encode()] = b"100644 " + name.encode() + b"\0" + bytes.fromhex(blob)
        for name, inside in folders.items():
            mode = b"40000 " + name.encode() + b"\0" + bytes.fromhex(self._tree(inside))
            rows[name.encode() + b"/"] = mode
        return self._object("tree", b"".join(rows[name] for name in sorted(rows)))

    def _blob(self, content: bytes) -> str:
        blob = self._object("blob", content)
        self._contents[blob] = content
        return blob

    def _object(self, kind: str, content: bytes) -> str:
        whole = f"{kind} {len(content)}\0".encode() + content
        name = hashlib.sha1(whole, usedforsecurity=False).hexdigest()
        path = self._loose(name)
        if not path.exists() and not path.with_suffix(".lost").exists():
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(zlib.compress(whole, 1))
        return name

    def _loose(self, name: str) -> Path:
        return self.path / "objects" / name[:2] / name[2:]


class Repositories(OnDisk, TwoHosts):
    """Repositories, one of which is there where the source looks, and the copies of two hosts."""

    environment = ENVIRONMENT

    def __init__(self, clock: Any) -> None:
        super().__init__(clock)
        self.told: list[str] = []
        """Pushes that nobody has heard of yet."""
        self._made = 0
        self._known: set[tuple[str, ...]] = set()
        """Paths with the blob that a commit has there."""
        self._troubled: Bare | None = None
        self.home: Any = self.new("bucket")
        self._mounted = self.home
        self._arrive()

    def new(self, name: str) -> Any:
        """Return one without a file that is nowhere yet."""
        self._made += 1
        told = [] if self._made > 1 else self.told  # nobody watches another one
        return Bare(name, self._root / f"away {self._made}", told, self._known)

    def declared(self, place: Any, name: str) -> Any:
        """Return a source's place under another name."""
        del place
        return GitPlace(repository=f"file://{self._root / name}.git")

    def etag_of(self, text: str) -> str:
        """Return the version of a content."""
        whole = f"blob {len(text.encode())}\0{text}".encode()
        return hashlib.sha1(whole, usedforsecurity=False).hexdigest()

    def opened(self, source: Any, surroundings: Surroundings) -> Any:
        """Return a copy that a host fetches."""
        return open_git(source, surroundings)

    def news(self) -> bool | None:
        """Return whether a webhook told of a push since it was asked last."""
        pushed = bool(self.told)
        self.told.clear()
        return pushed

    def version_of(self, key: str, etag: str, told: str) -> str:
        """Return a commit that has the content at the key: that which is named, if it does."""
        commits = {commit for path, blob, commit in self._known if (path, blob) == (key, etag)}
        return told if told in commits else min(commits, default=etag)

    def trouble(self, world: Any, chance: Random) -> None:
        """Let the repository answer nobody, or wrongly."""
        if self._troubled is None:
            what = chance.choice(["close_door", "name_nothing", "lose_blobs"])
            world.note(f"the repository: {what}")
            self._troubled = self._mounted
            getattr(self._mounted, what)()
        else:
            world.note("the repository answers again")
            self.calm()

    def calm(self) -> None:
        """Let the repository answer."""
        if self._troubled is not None:
            self._troubled.mend()
            self._troubled = None

    def _arrive(self) -> None:
        self._mounted.path = self._mounted.path.rename(self._root / f"{self._mounted.name}.git")

    @staticmethod
    def _pushed(what: str, world: Any, chance: Random) -> None:
        world.note(f"the repository: {what}")
        home = world.place.home
        home.rewind(chance) if what == "rewind" else getattr(home, what)()

    @staticmethod
    def _renamed(world: Any, chance: Random) -> None:
        """Let a file get another path, in one commit."""
        there = [key for key in world.keys if key in world.bucket.objects()]
        if there:
            before, after = chance.choice(there), chance.choice(world.keys)
            world.note(f"rename {before} to {after}")
            content = world.bucket.objects()[before].decode()
            world.history.setdefault(after, []).append(content)
            world.bucket.rename(before, after)

    happenings: ClassVar[dict[str, tuple[float, Callable[..., None]]]] = {
        "rewrite": (1, partial(_pushed, "rewrite")),
        "rewind": (1, partial(_pushed, "rewind")),
        "branch": (1, partial(_pushed, "branch")),
        "rename": (2, _renamed),
        "trouble": (3, lambda w, c: w.place.trouble(w, c)),
        "lose copies": (1, lambda w, c: w.place.lose_host(w, c)),
    }
