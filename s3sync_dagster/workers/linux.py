"""Process facts that the standard library does not give: memory of a tree, signals, namespaces."""

import ctypes
import os
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_ON_LINUX = sys.platform == "linux"


def die_with_parent() -> None:
    """Ask the kernel to kill this process when the one that started it ends (Linux)."""
    if _ON_LINUX:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


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


def memory_of_tree(pid: int) -> int:
    """Return the resident bytes of a process and its descendants, 0 when it is gone."""
    if not _ON_LINUX:
        return _memory_by_psutil(pid)
    total = 0
    waiting = [pid]
    while waiting:
        current = waiting.pop()
        total += _resident_bytes(current)
        waiting.extend(children_of(current))
    return total


def memory_of(pid: int) -> int:
    """Return the resident bytes of a process alone, 0 when it is gone or cannot be told."""
    return _resident_bytes(pid)


def address_space(pid: int | str = "self") -> int:
    """Return the size of a process's address space in bytes (0 where unknown)."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0


def _resident_bytes(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb", buffering=0) as file:  # noqa: PTH123 (20 times a second)
            return int(file.read(128).split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0


def children_of(pid: int) -> list[int]:
    """Return the processes that a single-threaded process has started; none where unknown."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", "rb", buffering=0) as file:  # noqa: PTH123
            return [int(word) for word in file.read(4096).split()]
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
