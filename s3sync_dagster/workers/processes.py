"""Processes as they are seen from outside, 20 times a second: one walk for all that is asked."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_THREAD_BYTES = 64 * 1024
"""What a thread takes of its process's memory, used or not: nobody has 10,000 to look at."""
_BUFFER_BYTES = 256 * 1024
"""What may wait unread in the kernel for a descriptor: a socket's first buffer
(``net.core.wmem_default``, 208 KiB) with what the kernel adds, or a pipe's (64 KiB)."""
_MOST_DESCRIPTORS = 1024
"""What a process counts that hides its own."""
MOST_PROCESSES = 64
"""Of one worker, ended ones too that nobody has waited for: a look at them is short. Readers have a
few at once: LibreOffice with what starts it, or Tesseract."""
MOST_THREADS = 4_000
"""Of one worker, for the same."""
_EPOLL = "anon_inode:[eventpoll]"
_MOST_SAID_BYTES = 64 * 1024
"""Of what the kernel says of watches: about 700 of them."""
_ON_LINUX = sys.platform == "linux"


@dataclass(slots=True)
class Look:
    """Whether one look at a worker has seen all that there was.

    What is listed and gone by its turn was handed on, perhaps, to where the look has been already.
    """

    ended_before: frozenset[int] = frozenset()
    """Processes that had ended by the look before, and that nobody has waited for."""
    ended: set[int] = field(default_factory=set)
    is_whole: bool = True

    def miss(self) -> None:
        """Enter that something was gone by its turn."""
        self.is_whole = False

    def miss_of(self, process: "Process") -> None:
        """Enter it, unless it is of a process that was seen to have ended."""
        if process.pid not in self.ended:
            self.is_whole = False

    def enter_ended(self, pid: int) -> None:
        """Enter that a process has nothing any more; by its turn, where it still had before."""
        self.ended.add(pid)
        if pid not in self.ended_before:
            self.is_whole = False


@dataclass(frozen=True, slots=True)
class Process:
    """What one look has seen of a process."""

    pid: int
    folder: str
    """Where the kernel tells of it: of a thread, where the first one has ended. Of that one nothing
    is told any more, while the others go on with all that there is. Linux alone has it."""
    threads: int
    resident_bytes: int
    """0 when it has ended, or cannot be told."""


def trees_of(*pids: int, look: Look | None = None) -> list[Process]:
    """Return processes and their descendants, no more than tell that there are ``are_many``."""
    if not _ON_LINUX:
        return [*_trees_by_psutil(pids)]
    look = look or Look()
    found: list[Process] = []
    threads_seen = 0
    waiting = [*pids]
    while waiting and len(found) <= MOST_PROCESSES and threads_seen <= MOST_THREADS:
        pid = waiting.pop()
        threads = _threads_of(pid)
        threads_seen += len(threads)
        waiting += _started_by(pid, threads[: MOST_THREADS + 1], look)
        one = _look_at(pid, threads)
        if not one.resident_bytes:
            look.enter_ended(pid)
        found.append(one)
    return found


def are_many(processes: Sequence[Process]) -> bool:
    """Return whether there are more processes or threads than a reader has."""
    return len(processes) > MOST_PROCESSES or sum(one.threads for one in processes) > MOST_THREADS


def memory_of(processes: Iterable[Process], *, look: Look | None = None) -> int:
    """Return the bytes of processes: what is resident, and what the kernel may keep beside it.

    That is what each thread and descriptor may have.
    """
    look = look or Look()
    return sum(
        one.resident_bytes
        + one.threads * _THREAD_BYTES
        + _descriptors_of(one, look) * _BUFFER_BYTES
        for one in processes
    )


def resident_bytes(pid: int) -> int:
    """Return the resident bytes of a process alone, 0 when it is gone or cannot be told."""
    return _look_at(pid, _threads_of(pid)).resident_bytes


def is_there(process: Process) -> bool:
    """Return whether a process has not ended since it was seen: a zombie has nothing resident."""
    return resident_in(process.folder) > 0


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has started, by whichever thread; none where unknown."""
    return [*_started_by(pid, _threads_of(pid), Look())]


def has_many_watches(processes: Iterable[Process], *, look: Look | None = None) -> bool:
    """Return whether processes watch more files (epoll) than a reader does, which are a few.

    All processes of a user have a number of watches together, and without any the doors end.
    """
    look = look or Look()
    left = _MOST_SAID_BYTES
    for process in processes:
        try:
            names = os.listdir(f"{process.folder}/fd")  # noqa: PTH208 (20 times a second)
        except OSError:
            look.miss_of(process)
            continue
        for name in names:
            try:
                if os.readlink(f"{process.folder}/fd/{name}") == _EPOLL:  # noqa: PTH115
                    with open(f"{process.folder}/fdinfo/{name}", "rb") as file:  # noqa: PTH123
                        left -= len(file.read(left + 1))
            except OSError:  # closed, or moved to another number
                look.miss_of(process)
                continue
            if left < 0:
                return True
    return False


def resident_in(folder: str) -> int:
    """Return the resident bytes that the kernel tells in a folder; 0 where it tells none."""
    try:
        with open(f"{folder}/statm", "rb", buffering=0) as file:  # noqa: PTH123 (20 times a second)
            return int(file.read(128).split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0


def _look_at(pid: int, threads: list[str]) -> Process:
    folders = (f"/proc/{pid}", *(f"/proc/{pid}/task/{thread}" for thread in threads))
    told = ((folder, resident) for folder in folders if (resident := resident_in(folder)))
    folder, resident = next(told, (folders[0], 0))
    return Process(pid=pid, folder=folder, threads=len(threads), resident_bytes=resident)


def _threads_of(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 (20 times a second)
    except OSError:
        return []


def _started_by(pid: int, threads: Iterable[str], look: Look) -> Iterator[int]:
    """Yield a process's children.

    Each thread has a list of its own: what another than the first starts stands in no other.
    """
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children", "rb", buffering=0) as file:  # noqa: PTH123
                yield from map(int, file.read().split())
        except OSError:
            look.miss()  # another one of the process has its children now
            continue


def _descriptors_of(process: Process, look: Look) -> int:
    """Return how many descriptors a process has open."""
    folder = f"{process.folder}/fd"
    try:  # from Linux 6.2 on the size of the folder, which nobody can hide
        return os.stat(folder).st_size or len(os.listdir(folder))  # noqa: PTH116, PTH208 (20 times a second)
    except PermissionError:  # also of one that has ended, and is not waited for yet
        if is_there(process):
            return _MOST_DESCRIPTORS
        look.miss_of(process)
        return 0
    except OSError:
        look.miss_of(process)
        return 0


def _trees_by_psutil(pids: Iterable[int]) -> Iterator[Process]:
    import psutil  # noqa: PLC0415 (only where /proc is missing)

    for pid in pids:
        try:
            root = psutil.Process(pid)
            for one in (root, *root.children(recursive=True)):
                resident = one.memory_info().rss
                yield Process(pid=one.pid, folder="", threads=0, resident_bytes=resident)
        except psutil.Error:
            continue
