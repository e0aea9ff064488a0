"""A bare copy of one commit of a repository on this disk: fetched in part, and kept small.

It holds the newest commit's tree and its files up to a size, and what earlier fetches brought;
when that has become much, it is fetched anew beside and takes the old one's place. Several
processes share it: whoever fetches holds a lock, and which commit is read stands in one file.

It is a copy and no more: whatever became of it on this disk, the next time that the server is asked
makes it whole. A fetch that was killed leaves locks and unfinished packs, which go first; a copy
that lacks something, or that nothing can be fetched into, is fetched anew.
"""

import contextlib
import fcntl
import os
import re
import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from s3sync_dagster.model.errors import FixConfiguration, S3SyncError, Unavailable
from s3sync_dagster.places.disk_room import size_of
from s3sync_dagster.places.git_program import ASK_SECONDS, FETCH_SECONDS, GitProgram, Remote

MAX_BLOB_BYTES = 200 * 1024 * 1024
"""Larger files are not fetched; they count as skipped (the contract's largest file)."""
MAX_PACKS = 40
"""Fetches after which the copy is made anew."""
ANEW_SECONDS = 600.0
"""So often at most a copy is made anew because reading it failed."""
TOO_LARGE_SECONDS = 86_400.0
"""For so long a commit that was too large is not fetched once more, unless it may be larger."""
TOO_LARGE_ANEW_SECONDS = 3600.0
"""The same for another commit: most are as large as the one before."""
_TOO_LARGE = "too-large"
"""A file beside the copy: commit and bound, and behind them what was said."""
_LEFT_OUT = "left-out"
"""A file in the copy: ids, one a line."""
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


class Repository:
    """The copy of one source's repository.

    Args:
        folder: of this source alone.
        remote: where it comes from.
        ref: branch, tag or commit; None: what the server's HEAD names.
        most_bytes: that the copy may need.
    """

    def __init__(self, folder: Path, remote: Remote, ref: str | None, *, most_bytes: int) -> None:
        self._folder, self._most_bytes = folder, most_bytes
        whole = ref is not None and _COMMIT.fullmatch(ref.lower())
        self._ref = ref.lower() if ref is not None and whole else ref  # git tells ids in lower case
        self._there = folder / "repository.git"
        self.git = GitProgram(self._there, remote)
        self._remote = remote

    def commit(self) -> str | None:
        """Return the commit that was fetched last, None before the first."""
        try:
            found = (self._folder / "commit").read_text("ascii").strip()
        except OSError:
            return None
        return found if _COMMIT.fullmatch(found) and self._there.is_dir() else None

    def has(self, commit: str) -> bool:
        """Return whether the files of a commit can still be listed."""
        try:
            self.git.ask("cat-file", "-e", f"{commit}^{{tree}}")
        except S3SyncError:
            return False
        return True

    def refresh(self) -> str:
        """Bring the copy up to date and return its commit; one question where nothing is new.

        Raises:
            FixConfiguration: ``git_ref_not_found``, ``repository_not_found`` and its like.
            AccessDenied: ``git_access_denied``.
            Unavailable: the server cannot be reached.
        """
        with self._locked(FETCH_SECONDS) as lock:
            whole = self._prepare()
            wanted, doubted = self._wanted(), self._is_doubted()
            if wanted != self.commit() or not whole or doubted:
                # Of what lies beside a commit that cannot be read nothing is known.
                broken = not whole and any(self._there.glob("objects/pack/*.pack"))
                anew = doubted or broken or not self._may_hold(wanted)
                with self._unless_too_large(wanted):
                    self._bring(wanted, lock, before=self.commit() if whole else None, anew=anew)
                self._remember(wanted)
            return wanted

    def left_out(self) -> frozenset[str]:
        """Return the ids of files that are not here because they are too large to be fetched.

        Any other file that is not here was lost: git has one word for both.
        """
        return _left_out(self._there)

    def doubt(self, commit: str) -> None:
        """Note that a file of the commit that is read could not be: the copy is damaged.

        The next ``refresh`` makes it anew. Where it holds another commit by now, it was made anew
        already.
        """
        if commit == self.commit():
            with contextlib.suppress(FileNotFoundError):  # it was swept
                (self._folder / "doubted").touch()

    def look(self) -> None:
        """Ask the server for the commit and fetch no files; raises what ``refresh`` would."""
        with self._locked(ASK_SECONDS) as lock:
            whole = self._prepare()
            wanted = self._wanted()
            if wanted == self._ref and not (whole and wanted == self.commit()):
                self._require_commit(wanted, lock)

    def named(self) -> tuple[str, str | None]:
        """Return the commit that is followed, and the branch where the ref is the server's choice.

        Asks the server twice and fetches nothing; raises what ``refresh`` would.
        """
        with self._locked(ASK_SECONDS):
            self._prepare()
            commit, branch = self._wanted(), self._ref
            if branch is None:
                out = self.git.ask_remote("ls-remote", "--symref", "origin", "HEAD")
                told = re.search(rb"^ref: refs/heads/(\S+)\tHEAD$", out, re.MULTILINE)
                branch = told.group(1).decode(errors="replace") if told else None
            return commit, branch

    def _prepare(self) -> bool:
        """Tidy up after whoever was killed; return whether the copy has the commit that is read."""
        self._tidy()
        commit = self.commit()
        if commit is not None and self.has(commit):
            return True
        self.git.require_version()
        if not self._is_repository():
            shutil.rmtree(self._there, ignore_errors=True)
            self._init(self.git)
        return False

    def _tidy(self) -> None:
        for unfinished in ("next.git", "before.git"):
            shutil.rmtree(self._folder / unfinished, ignore_errors=True)
        _remove_unfinished(self._there)

    def _is_repository(self) -> bool:
        if not self._there.is_dir():
            return False
        try:
            self.git.ask("rev-parse", "--git-dir")
        except S3SyncError as error:
            return error.reason == "git_timeout"
        return True

    def _is_doubted(self) -> bool:
        anew = self._folder / "anew"
        if not (self._folder / "doubted").exists():
            return False
        return not anew.exists() or time.time() - anew.stat().st_mtime > ANEW_SECONDS

    def _wanted(self) -> str:
        """Return the commit that the ref names now."""
        ref = self._ref
        if ref is not None and _COMMIT.fullmatch(ref):
            return ref
        names = ["HEAD"] if ref is None else [f"refs/heads/{ref}", f"refs/tags/{ref}"]
        asked = [*names, *(f"{name}^{{}}" for name in names if name.startswith("refs/tags/"))]
        out = self.git.ask_remote("ls-remote", "origin", *asked).decode(errors="replace")
        found = {
            name: commit for commit, _, name in (line.partition("\t") for line in out.splitlines())
        }
        for name in (*names[:1], *reversed(asked[1:])):  # a branch before a tag, a tag's own commit
            if _COMMIT.fullmatch(found.get(name, "")):
                return found[name]
        raise _not_found(
            "has no commit yet, or its own branch is not there (name another one as ref)"
            if ref is None
            else f"has no branch and no tag {ref!r}"
        )

    def _require_commit(self, commit: str, lock: int) -> None:
        """Raise where the server has no commit of an id, which no list of its refs tells."""
        beside = GitProgram(self._folder / "next.git", self._remote)
        self._init(beside, commit)
        try:
            beside.fetch(
                "fetch", "--quiet", "--depth=1", "--no-tags", "--no-write-fetch-head",
                "--no-recurse-submodules", "--filter=tree:0", "origin", commit,
                most_bytes=self._most_bytes, lock=lock, seconds=ASK_SECONDS,
            )  # fmt: skip
            _require_files(beside, commit)
        except S3SyncError as error:
            # A server without filters sends all of it: that it begins to tells enough.
            if error.reason not in ("git_timeout", "repository_too_large"):
                raise
        finally:
            shutil.rmtree(beside.folder, ignore_errors=True)

    @contextmanager
    def _unless_too_large(self, commit: str) -> Generator[None]:
        """Fetch a commit, unless that has just shown that it is too large: it costs the bound."""
        note = self._folder / _TOO_LARGE
        with contextlib.suppress(FileNotFoundError, ValueError):
            known, most, said = note.read_text("utf-8").split(" ", 2)
            patience = TOO_LARGE_SECONDS if known == commit else TOO_LARGE_ANEW_SECONDS
            if int(most) >= self._most_bytes and time.time() - note.stat().st_mtime < patience:
                raise FixConfiguration(said, reason="repository_too_large")
        try:
            yield
        except S3SyncError as error:
            self._tidy()  # what was fetched in vain may be gigabytes
            if error.reason == "repository_too_large":
                if size_of(self._there) > self._most_bytes:
                    shutil.rmtree(self._there, ignore_errors=True)
                note.write_text(f"{commit} {self._most_bytes} {error.message}", "utf-8")
            raise
        note.unlink(missing_ok=True)

    def _may_hold(self, commit: str) -> bool:
        """Return whether the copy's ids are of the length that a commit's has: SHA-1 or SHA-256."""
        return self.git.ask("rev-parse", "--show-object-format").decode().strip() == _hash(commit)

    def _init(self, git: GitProgram, commit: str = "") -> None:
        """Make an empty repository, for a commit where it is known by now."""
        git.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        kind = f"--object-format={_hash(commit)}"
        git.ask("init", "--quiet", "--bare", "--template=", kind, str(git.folder))

    def _bring(self, commit: str, lock: int, *, before: str | None, anew: bool) -> None:
        """Fetch a commit, into a copy beside where this one is damaged or has grown."""
        _require_files(self.git, commit)
        if not anew and len(list(self._there.glob("objects/pack/*.pack"))) < MAX_PACKS:
            try:
                self._fetch(self.git, commit, lock, before=before)
                _require_files(self.git, commit)
                if self.has(commit):
                    return
            except S3SyncError as error:
                # The server has just answered: that git fails is as likely this copy's fault, and
                # most of what is too large may be what earlier commits have left in it.
                if error.reason not in ("git_failed", "repository_too_large"):
                    raise
        self._fetch_anew(commit, lock)

    def _fetch(self, git: GitProgram, commit: str, lock: int, *, before: str | None = None) -> None:
        git.fetch(
            "fetch", "--quiet", "--depth=1", "--no-tags", "--no-write-fetch-head",
            "--no-recurse-submodules", f"--filter=blob:limit={MAX_BLOB_BYTES}", "origin",
            f"+{commit}:refs/s3sync/{commit}",
            most_bytes=self._most_bytes, lock=lock, seconds=FETCH_SECONDS,
        )  # fmt: skip
        self._forget_promises(git)
        _note_left_out(git, commit, before)
        # Only the newest is had: the next fetch asks for what differs from it.
        for line in git.ask("for-each-ref", "--format=%(refname)", "refs/s3sync").decode().split():
            if line != f"refs/s3sync/{commit}":
                git.ask("update-ref", "-d", line)

    def _forget_promises(self, git: GitProgram) -> None:
        """Have what was left out of a fetch stay out: git asks for it again otherwise."""
        with contextlib.suppress(S3SyncError):  # a server without filters promised nothing
            git.ask("config", "--remove-section", "remote.origin")

    def _fetch_anew(self, commit: str, lock: int) -> None:
        (self._folder / "anew").touch()
        beside = GitProgram(self._folder / "next.git", self._remote)
        shutil.rmtree(beside.folder, ignore_errors=True)
        self._init(beside, commit)
        self._fetch(beside, commit, lock)
        _require_files(beside, commit)
        before = self._folder / "before.git"
        self._there.rename(before)
        beside.folder.rename(self._there)
        (self._folder / "doubted").unlink(missing_ok=True)
        shutil.rmtree(before, ignore_errors=True)

    def _remember(self, commit: str) -> None:
        beside = self._folder / "commit.new"
        beside.write_text(commit, "ascii")
        beside.replace(self._folder / "commit")

    @contextmanager
    def _locked(self, seconds: float) -> Generator[int]:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.utime(self._folder)  # it is used, see ``sweep``
        ends = time.monotonic() + seconds
        with (self._folder / "lock").open("w") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > ends:
                        raise Unavailable(
                            "Another process fetches the repository.", reason="git_timeout"
                        ) from None
                    time.sleep(0.1)
            yield lock.fileno()


def _hash(commit: str) -> str:
    """Return what the ids of a repository are made by, by one of them."""
    return "sha256" if len(commit) == 64 else "sha1"


def _left_out(folder: Path) -> frozenset[str]:
    try:
        return frozenset((folder / _LEFT_OUT).read_text("ascii").split())
    except OSError:
        return frozenset()


def _note_left_out(git: GitProgram, commit: str, before: str | None) -> None:
    """Note which files a fetch has left out, besides those that earlier ones did.

    Of the commit that was here before the server sends nothing: what is missing of that was lost.
    """
    known = ("--objects-edge-aggressive", f"^{before}") if before else ("--objects",)
    out = git.ask("rev-list", "--missing=print", "--no-object-names", *known, commit)
    missing = {line[1:].decode() for line in out.splitlines() if line.startswith(b"?")}
    beside = git.folder / "tmp_left_out"
    beside.write_text("\n".join(sorted(missing | _left_out(git.folder))), "ascii")
    beside.replace(git.folder / _LEFT_OUT)


def _require_files(git: GitProgram, commit: str) -> None:
    """Refuse what a ref names where it is a file: a tag may name one. What is not there passes."""
    try:
        kind = git.ask("cat-file", "-t", commit)
    except S3SyncError:
        return
    if kind == b"blob\n":
        raise _not_found("has a file and no commit at that ref")


def _not_found(what: str) -> FixConfiguration:
    return FixConfiguration(
        f"The repository {what}: its records stay as they are.", reason="git_ref_not_found"
    )


def _remove_unfinished(repository: Path) -> None:
    """Remove what git leaves where it is killed: it waits for locks for ever, and packs only grow.

    For whoever holds the copy's lock alone, which a fetch that goes on by itself holds as well.
    """
    for path, _, names in os.walk(repository):
        for name in names:
            if name.endswith(".lock") or name.startswith("tmp_"):
                Path(path, name).unlink(missing_ok=True)


def sweep(folder: Path, *, unused_seconds: float) -> None:
    """Remove copies that nobody asked for so long: their sources were deleted."""
    limit = time.time() - unused_seconds
    with contextlib.suppress(OSError):
        for one in folder.iterdir():
            # A database that is open for months changes itself alone, and not its folder.
            if all(part.stat().st_mtime < limit for part in (one, *one.glob("*"))):
                shutil.rmtree(one, ignore_errors=True)
