"""Landlock: the kernel lets a process give up files, TCP and signals for itself and its children.

By its system calls, which have no wrapper in libc: their numbers are the same on all machines,
structures and rights are those of ``linux/landlock.h`` (kernel 5.13 and newer).
"""

import ctypes
import os
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

_LIBC = ctypes.CDLL(None)  # once, before the forks
_SYSCALL = _LIBC.syscall
_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446
_VERSION = 1  # flag of _CREATE
_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
REMOVE_FILE, MAKE_SOCKET = 1 << 5, 1 << 9
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | _TRUNCATE | _IOCTL_DEV
"""Rights that a rule about something else than a folder may name."""
_RIGHTS_BY_VERSION = (0, 13, 14, 15, 15, 16)
"""How many rights a version knows; later ones know those of the last."""
_TCP_VERSION, _SCOPES_VERSION = 4, 6
_BIND_AND_CONNECT = 3
_ABSTRACT_SOCKETS_AND_SIGNALS = 3

READ = READ_FILE | READ_DIR
ALL = (1 << 16) - 1


def version() -> int:
    """Return the version of the kernel's Landlock; 0 where it has none or it is switched off."""
    if sys.platform != "linux":
        return 0
    return max(system_call(_CREATE, None, 0, _VERSION), 0)


def restrict(rules: Iterable[tuple[Path | str, int]]) -> bool:
    """Keep this thread, and all that it starts, to what the rules allow; False where refused.

    TCP is given up altogether, and so are abstract sockets and signals to processes outside. A
    process that is restricted can no longer look into the memory or environment of others.

    Args:
        rules: a path, and what may be done with it and all below. Paths that are not there are
            left out. Rights that the kernel does not know are dropped.
    """
    kernel = version()
    if not kernel:
        return False
    handled = (1 << _RIGHTS_BY_VERSION[min(kernel, len(_RIGHTS_BY_VERSION) - 1)]) - 1
    attributes = struct.pack(
        "=QQQ",
        handled,
        _BIND_AND_CONNECT if kernel >= _TCP_VERSION else 0,
        _ABSTRACT_SOCKETS_AND_SIGNALS if kernel >= _SCOPES_VERSION else 0,
    )
    size = 24 if kernel >= _SCOPES_VERSION else 16 if kernel >= _TCP_VERSION else 8
    ruleset = system_call(_CREATE, ctypes.c_char_p(attributes), size, 0)
    if ruleset < 0:
        return False
    try:
        for path, rights in rules:
            _allow(ruleset, path, rights & handled)
        return forgo_new_rights() and system_call(_RESTRICT, ruleset, 0) == 0
    finally:
        os.close(ruleset)


def forgo_new_rights() -> bool:
    """Let no program that this process starts gain rights (setuid); False where refused."""
    return _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0


def _allow(ruleset: int, path: Path | str, rights: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not os.path.isdir(path):  # noqa: PTH112 (for each path and process)
            rights &= _OF_FILES
        if rights:
            rule = struct.pack("=Qi", rights, opened)
            system_call(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.c_char_p(rule), 0)
    finally:
        os.close(opened)


def system_call(number: int, *arguments: object) -> int:
    """Call the kernel; -1 where it refuses."""
    return _SYSCALL(ctypes.c_long(number), *arguments)
