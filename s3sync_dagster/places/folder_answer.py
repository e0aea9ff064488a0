"""Whether a folder answers at all: a mount whose server is gone keeps for good whoever asks."""

import os
import re
import stat
import threading
from collections.abc import Collection
from contextlib import suppress
from pathlib import PurePosixPath

from s3sync_dagster.model.errors import Unavailable

ANSWER_SECONDS = 10.0
"""A disk wakes up within, and a mount that is made when it is asked for."""
MOST_IN_A_MOUNT = 8
"""Where so many of its folders hang, all of a mount is taken to hang."""
MOUNTS = "/proc/self/mountinfo"
_MOST_LINKS = 40
_ESCAPED = re.compile(r"\\(\d{3})")
_MADE_WHEN_ENTERED = frozenset({"autofs"})

_hanging: dict[str, threading.Thread] = {}
"""Who still waits, by the highest folder that hangs or its mount: one of this process, whoever asks
and however often."""
_lock = threading.Lock()


class _Look(threading.Thread):
    """Asks for the folders of a path from the top down, and for the last one's file system."""

    def __init__(self, folder: str) -> None:
        super().__init__(name="s3sync-folder", daemon=True)
        self.folder = folder
        self.at = "/"
        """What is asked for just now; no part of it is a link."""
        self.known = False
        """Whether it is known to hang, and was not asked."""

    def run(self) -> None:
        with suppress(OSError, ValueError):
            if not self._walk():
                return
            # No names: some file systems give the first of a large folder when they know all.
            there = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fstatvfs(there)  # of the server itself
            finally:
                os.close(there)

    def _walk(self) -> bool:
        """Go down to the folder; returns whether all of the way answered."""
        left, links, here = self.folder.split("/")[::-1], 0, "/"
        while left:
            part = left.pop()
            if part in ("", "."):
                continue
            if part == "..":
                here = os.path.dirname(here)  # noqa: PTH120  (as text)
                continue
            self.at = f"{here.rstrip('/')}/{part}"
            with _lock:
                self.known = self.at in _hanging
            if self.known:
                return False
            if not stat.S_ISLNK(os.lstat(self.at).st_mode):
                here = self.at
                continue
            target, links = os.readlink(self.at), links + 1  # noqa: PTH115  (as text)
            if links > _MOST_LINKS:
                return False
            here = "/" if target.startswith("/") else here
            left += target.split("/")[::-1]
        return True


def require_answer(folder: str) -> None:
    """Return once the system tells anything of a folder, also that it is not there.

    Raises:
        Unavailable: ``folder_hangs``.
    """
    with _lock:
        for known in [one for one, waits in _hanging.items() if not waits.is_alive()]:
            del _hanging[known]
        if any(PurePosixPath(folder).is_relative_to(known) for known in _hanging):
            raise _hangs(folder)
    look = _Look(folder)
    look.start()
    look.join(ANSWER_SECONDS)
    if look.is_alive():
        with _lock:
            _hanging[_what_hangs(look.at)] = look
    if look.is_alive() or look.known:
        raise _hangs(folder)


def require_answers_below(folder: str, *, skip: Collection[str] = ()) -> None:
    """Return once all that is mounted below a folder answers, as far as the system tells of that.

    Args:
        folder: one that answers.
        skip: names of folders that are not entered.

    Raises:
        Unavailable: ``folder_hangs``.
    """
    real = os.path.realpath(folder)
    for mount, kind in _mounts():
        inside = PurePosixPath(mount)
        if mount == real or not inside.is_relative_to(real) or kind in _MADE_WHEN_ENTERED:
            continue
        if not any(one in skip for one in inside.relative_to(real).parts):
            require_answer(mount)


def _what_hangs(folder: str) -> str:
    mounts = {one for one, _ in _mounts()} - {"/"}
    around = {one: _mount_of(one, mounts) for one in (folder, *_hanging)}
    mount = around[folder]
    many = sum(one == mount for one in around.values()) > MOST_IN_A_MOUNT
    return mount if many and mount is not None else folder


def _mount_of(folder: str, mounts: Collection[str]) -> str | None:
    path = PurePosixPath(folder)
    return max((one for one in mounts if path.is_relative_to(one)), key=len, default=None)


def _mounts() -> list[tuple[str, str]]:
    """Return what is mounted where, and its type; nothing where the system does not tell."""
    found: list[tuple[str, str]] = []
    try:
        with open(MOUNTS, "rb") as told:  # noqa: PTH123  (as text)
            for line in told.read().splitlines():
                before, _, behind = os.fsdecode(line).partition(" - ")
                path = _ESCAPED.sub(lambda one: chr(int(one[1], 8)), before.split(" ")[4])
                found.append((path, behind.partition(" ")[0]))
    except (OSError, IndexError):
        return []
    return found


def _hangs(folder: str) -> Unavailable:
    return Unavailable(
        f"The folder {folder!r} does not answer, or what is mounted there: is the server of that "
        "mount gone? Its records stay as they are.",
        reason="folder_hangs",
    )
