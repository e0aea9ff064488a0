"""Who is alive: one locked file per working process, freed by the kernel however it ends.

The lock is a POSIX record lock: forked children do not inherit it, so a worker that outlives its
parent does not keep it.
"""

import fcntl
import hashlib
import os
import socket
import threading
import uuid
from pathlib import Path
from typing import IO

_HELD: dict[Path, tuple[int, IO[str]]] = {}
"""Files that this process holds, with its pid. A process may always take its own record lock again,
and closing any handle of the file frees it: such files are never tried."""


_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def _boot_id() -> str:
    """Return what tells this start of this machine from all others."""
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:  # no Linux: a copy on the same host has another folder at least
        return f"{socket.gethostname()} {uuid.getnode()}"


class Owners:
    """The folder ``owners`` of one data folder."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "owners"
        self._mine: tuple[int, str] | None = None
        self._lock = threading.Lock()

    def me(self) -> str:
        """Return this process's owner name, ``<home id>:<file>``; its lock is held from now on."""
        with self._lock:
            if self._mine is None or self._mine[0] != os.getpid():
                self._folder.mkdir(parents=True, exist_ok=True)
                name = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
                path = self._folder / name
                file = path.open("w")
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _HELD[path] = (os.getpid(), file)
                self._mine = (os.getpid(), name)
            return f"{self._home_id()}:{self._mine[1]}"

    def is_dead(self, owner: str | None) -> bool | None:
        """Return whether an owner's process has ended; None when this home cannot tell."""
        home, _, name = (owner or "").partition(":")
        if not name or home != self._home_id() or "/" in name:
            return None
        path = self._folder / name
        if path in _HELD and _HELD[path][0] == os.getpid():
            return False
        try:
            with path.open("r+") as file:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return True
        except BlockingIOError:
            return False
        path.unlink(missing_ok=True)
        return True

    def others_work(self) -> bool:
        """Return whether another process of this data folder holds its lock."""
        files = self._folder.iterdir() if self._folder.is_dir() else ()
        for path in [one for one in files if not one.name.startswith(".") and one not in _HELD]:
            try:
                with path.open("r+") as file:
                    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except FileNotFoundError:
                continue
            except BlockingIOError:
                return True
        return False

    def close(self) -> None:
        """Give up this process's lock."""
        with self._lock:
            if self._mine is not None and self._mine[0] == os.getpid():
                path = self._folder / self._mine[1]
                path.unlink(missing_ok=True)
                _HELD.pop(path)[1].close()
                self._mine = None

    def _home_id(self) -> str:
        """Return a name that tells this home from others, and from copies of it.

        A folder is copied with all that is in it, by ``cp`` or with its whole machine. Only where
        the folder is the same one of the same start of a machine do its locks tell anything;
        whoever meets another name waits for a lease.
        """
        written = self._written_id()
        folder = self._folder.stat()
        told = f"{written} {_boot_id()} {folder.st_dev} {folder.st_ino}"
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    def _written_id(self) -> str:
        """Return a random name that stands in this home; made once."""
        path = self._folder / ".home"
        try:
            return path.read_text("ascii").strip()
        except FileNotFoundError:
            self._folder.mkdir(parents=True, exist_ok=True)
        fresh = self._folder / f".home-{uuid.uuid4().hex}"
        fresh.write_text(uuid.uuid4().hex[:12], "ascii")
        try:
            os.link(fresh, path)  # atomic: of two that begin at once both read the winner's name
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
        return path.read_text("ascii").strip()
