"""What the standard library does not ask the kernel for: deaths, orphans, namespaces, rights."""

import ctypes
import os
import signal
import struct
import sys
from collections.abc import Container
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from s3sync_dagster.workers.processes import children_of

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_CAPABILITY_VERSION = 0x20080522  # the third
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
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


def bury_orphans(known: Container[int]) -> bool:
    """Let go of children that have ended and are not known: nobody else waits for them.

    Returns whether others are left, which have not ended.
    """
    left = False
    for pid in children_of(os.getpid()):
        if pid not in known:
            try:
                left |= os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG) is None
            except ChildProcessError:
                continue
    return left


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


_statm: BinaryIO | None = None


def keep_address_space() -> None:
    """Keep what tells of this process's own address space open: a name in ``/proc`` may be lost."""
    global _statm
    with suppress(OSError):
        _statm = Path("/proc/self/statm").open("rb", buffering=0)  # noqa: SIM115


def address_space() -> int:
    """Return the size of this process's address space in bytes (0 where unknown)."""
    try:
        if _statm is not None:
            _statm.seek(0)
            return int(_statm.read(128).split()[0]) * _PAGE_BYTES
        return int(Path("/proc/self/statm").read_text().split()[0]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0
