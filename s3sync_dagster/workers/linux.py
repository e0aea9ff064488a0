"""Process facts that the standard library does not give: memory of a tree, signals, namespaces."""

import ctypes
import os
import signal
import struct
import sys
from collections.abc import Container, Iterable, Iterator
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_CAPABILITY_VERSION = 0x20080522  # the third
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_THREAD_BYTES = 64 * 1024
"""What a thread takes of its process's memory, used or not: nobody has 10,000 to look at."""
_BUFFER_BYTES = 256 * 1024
"""What may wait unread in the kernel for a descriptor: a socket's first buffer
(``net.core.wmem_default``, 208 KiB) with what the kernel adds, or a pipe's (64 KiB)."""
_MOST_DESCRIPTORS = 1024
"""What a process counts that hides its own."""
_EPOLL = "anon_inode:[eventpoll]"
_MOST_SAID_BYTES = 64 * 1024
"""Of what the kernel says of watches: about 700 of them."""
_ON_LINUX = sys.platform == "linux"


def die_with_parent() -> None:
    """Ask the kernel to kill this process when the one that started it ends (Linux)."""
    if _ON_LINUX:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of all that is started below this process and loses its own (Linux)."""
    if _ON_LINUX:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def orphans_of(group: int) -> list[int]:
    """Return what this process has adopted of a group, which is named by its first process."""
    return [pid for pid in children_of(os.getpid()) if pid != group and _group_of(pid) == group]


def bury_orphans(known: Container[int]) -> None:
    """Let go of children that have ended and are not known: nobody else waits for them."""
    for pid in children_of(os.getpid()):
        if pid not in known:
            try:
                os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)
            except ChildProcessError:
                continue


def end_orphans() -> None:
    """Kill what this process has adopted: its other children have ended."""
    for pid in children_of(os.getpid()):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _group_of(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


def leave_network() -> bool:
    """Move this process into an empty network namespace; False where the kernel refuses.

    Needs a single-threaded process. Containers without extra rights usually refuse.
    """
    if not _ON_LINUX:
        return False
    libc = ctypes.CDLL(None)
    if os.geteuid() == 0:
        return libc.unshare(_CLONE_NEWNET) == 0
    uid, gid = os.geteuid(), os.getegid()
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
        return False
    try:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    except OSError:  # files stay readable without the map; only names of owners are lost
        return True
    return True


def drop_capabilities() -> bool:
    """Give up what makes root more than a user, here and in programs that are started from here.

    A root without them reads its own files as before; Landlock hides other processes from it.
    """
    if not _ON_LINUX:
        return False
    head = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
    return ctypes.CDLL(None).capset(ctypes.c_char_p(head), ctypes.c_char_p(bytes(24))) == 0


def memory_of_tree(pid: int) -> int:
    """Return the bytes of a process and its descendants, 0 when it is gone.

    What is resident, and what each thread and descriptor may have in the kernel beside it.
    """
    if not _ON_LINUX:
        return _memory_by_psutil(pid)
    return sum(
        _resident_bytes(one) + threads * _THREAD_BYTES + _descriptors_of(one) * _BUFFER_BYTES
        for one, threads in _tree_of(pid)
    )


def tree_of(pid: int) -> list[int]:
    """Return a process and its descendants; it alone where the others are unknown."""
    return [one for one, _ in _tree_of(pid)]


def _tree_of(pid: int) -> Iterator[tuple[int, int]]:
    """Yield a process and its descendants, each with how many threads it has."""
    waiting = [pid]
    while waiting:
        current = waiting.pop()
        children, threads = _family_of(current)
        yield current, threads
        waiting.extend(children)


def memory_of(pid: int) -> int:
    """Return the resident bytes of a process alone, 0 when it is gone or cannot be told."""
    return _resident_bytes(pid)


def address_space(pid: int | str = "self") -> int:
    """Return the size of a process's address space in bytes (0 where unknown)."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0


def folder_of(pid: int) -> str:
    """Return where the kernel tells of a process: of a thread, where the first one has ended.

    Of that one nothing is told any more, while the others go on with all that there is.
    """
    folder = f"/proc/{pid}"
    if _resident_in(folder):
        return folder
    try:
        threads = os.listdir(f"{folder}/task")  # noqa: PTH208 (20 times a second)
    except OSError:
        return folder
    each = (f"{folder}/task/{thread}" for thread in threads)
    return next((one for one in each if _resident_in(one)), folder)


def _resident_bytes(pid: int) -> int:
    return _resident_in(folder_of(pid))


def _resident_in(folder: str) -> int:
    try:
        with open(f"{folder}/statm", "rb", buffering=0) as file:  # noqa: PTH123 (20 times a second)
            return int(file.read(128).split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0


def _descriptors_of(pid: int) -> int:
    """Return how many descriptors a process has open."""
    folder = f"{folder_of(pid)}/fd"
    try:  # from Linux 6.2 on the size of the folder, which nobody can hide
        return os.stat(folder).st_size or len(os.listdir(folder))  # noqa: PTH116, PTH208 (20 times a second)
    except PermissionError:  # also of one that has ended, and is not waited for yet
        return _MOST_DESCRIPTORS if _resident_bytes(pid) else 0
    except OSError:
        return 0


def has_many_watches(pids: Iterable[int]) -> bool:
    """Return whether processes watch more files (epoll) than a reader does, which are a few.

    All processes of a user have a number of watches together, and without any the doors end.
    """
    left = _MOST_SAID_BYTES
    for pid in pids:
        there = folder_of(pid)
        try:
            names = os.listdir(f"{there}/fd")  # noqa: PTH208 (20 times a second)
        except OSError:
            continue
        for name in names:
            try:
                if os.readlink(f"{there}/fd/{name}") == _EPOLL:  # noqa: PTH115
                    with open(f"{there}/fdinfo/{name}", "rb") as file:  # noqa: PTH123
                        left -= len(file.read(left + 1))
            except OSError:
                continue
            if left < 0:
                return True
    return False


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has started, by whichever thread; none where unknown."""
    return _family_of(pid)[0]


def _family_of(pid: int) -> tuple[list[int], int]:
    """Return a process's children, and how many threads it has.

    Each thread has a list of its own: what another than the first starts stands in no other.
    """
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 (20 times a second)
    except OSError:
        return [], 0
    return [child for thread in threads for child in _started_by(pid, thread)], len(threads)


def _started_by(pid: int, thread: str) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{thread}/children", "rb", buffering=0) as file:  # noqa: PTH123
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def _memory_by_psutil(pid: int) -> int:
    import psutil  # noqa: PLC0415 (only where /proc is missing)

    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        return sum(member.memory_info().rss for member in family)
    except psutil.Error:
        return 0
