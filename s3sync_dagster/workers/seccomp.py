"""Seccomp: a worker has the system calls that readers make, whatever program it runs.

They stand in ``calls``. Each other one is answered as if the kernel had none, which libraries know
from older kernels: they do it in another way. Of some calls arguments are looked at: of sockets
there are pairs of streams alone (Landlock says nothing of UDP, nor of the sockets in folders by
which our own processes are asked), limits and processors are a process's own, memory stays in one.
"""

import ctypes
import errno
import functools
import platform
import socket
import struct
import sys

from s3sync_dagster.workers import calls
from s3sync_dagster.workers.landlock import forgo_new_rights, system_call

_MACHINES = {
    "x86_64": (0xC000003E, 317),
    "aarch64": (0xC00000B7, 277),
}
"""The kernel's name of the machine (``AUDIT_ARCH``) and its number of ``seccomp``."""
_HUGE_PAGES = 0x40000
_SHARED_WITHOUT_A_FILE = 0x21
"""``MAP_SHARED`` and ``MAP_ANONYMOUS``: what is unmapped of such memory stays as long as any of it
is mapped, and is no process's."""
_LOCKS = (6, 7, 37, 38)
"""Of ``fcntl``: answered as if they were done, as ``flock`` is."""
_FIRST_OF_SIGNALS = 8
"""``F_SETOWN``: below are descriptors and their flags."""
_MORE_OF_FCNTL = (36, 1030, 1032)
"""Whose a lock is, a descriptor that is closed by ``exec``, the size of a pipe. What else there is
sends signals to others, keeps them from opening a file, or makes pipes larger."""
_FIRST_OF_TERMINALS, _AFTER_TERMINALS = 0x5400, 0x5500
"""Of terminals, and how much there is to read: the others take disk, or send signals."""
_ALLOWED_OF_PRCTL = (1, 2, 3, 15, 16, 23, 38, 39, 51)
"""Death with a parent, names of threads, no new privileges, and what is only asked: whether it can
be looked at, bounds of capabilities, the length of vectors (aarch64)."""
_UNSHARE = 2
"""Of ``close_range``."""
_SHARED_BY_CLONE = 0xFE03EF00
"""Flags of ``clone``: what is shared, whose child it is, its own namespaces. The others say where
a number is left, are of semaphores, of which there are none, or no longer known. What ``clone3`` is
told cannot be seen here: libraries call ``clone`` where there is none."""
_SHAPES_OF_CLONE = {"fork": 0x0, "posix_spawn": 0x4100, "thread": 0x10F00}
"""Those three that libraries make. A process that has the memory of another one that does not wait
for it, or its descriptors, could hand all on and end before anybody looks at it."""
_SET_FILTER = 1
_SPEC_ALLOW = 1 << 2
"""Without it kernels before 5.16 slow the whole process down."""
_ALLOW, _IGNORE = 0x7FFF0000, 0x00050000
_REFUSE, _UNKNOWN = _IGNORE | errno.EPERM, _IGNORE | errno.ENOSYS
_LOAD, _AND, _EQUAL, _AT_LEAST, _ANY_OF, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _MACHINE_AT, _FIRST_ARGUMENT_AT, _SECOND_ARGUMENT_AT = 0, 4, 16, 24
_THIRD_ARGUMENT_AT, _FOURTH_ARGUMENT_AT = 32, 40
"""Places in ``struct seccomp_data``."""
_SOCKET_TYPE = 0xF
"""Bits of a socket's type, as the kernel reads it: the others are flags."""
_ENDS: dict[str, list[tuple[int, int | str, int | str, int]]] = {
    "unix": [
        (_LOAD, 0, 0, _FIRST_ARGUMENT_AT),
        (_EQUAL, "stream", "refuse", socket.AF_UNIX),
    ],
    "own": [(_LOAD, 0, 0, _FIRST_ARGUMENT_AT), (_EQUAL, "allow", "refuse", 0)],
    "clone": [
        (_LOAD, 0, 0, _FIRST_ARGUMENT_AT),
        (_AND, 0, 0, _SHARED_BY_CLONE),
        *((_EQUAL, "allow", 0, shape) for shape in _SHAPES_OF_CLONE.values()),
        (_RETURN, 0, 0, _REFUSE),
    ],
    "close": [
        (_LOAD, 0, 0, _THIRD_ARGUMENT_AT),
        (_ANY_OF, "refuse", "allow", _UNSHARE),
    ],
    "stream": [
        (_LOAD, 0, 0, _SECOND_ARGUMENT_AT),
        (_AND, 0, 0, _SOCKET_TYPE),
        (_EQUAL, "allow", "refuse", socket.SOCK_STREAM),
    ],
    "map": [
        (_LOAD, 0, 0, _FOURTH_ARGUMENT_AT),
        (_ANY_OF, "refuse", 0, _HUGE_PAGES),
        (_AND, 0, 0, _SHARED_WITHOUT_A_FILE),
        (_EQUAL, "refuse", "allow", _SHARED_WITHOUT_A_FILE),
    ],
    "fcntl": [
        (_LOAD, 0, 0, _SECOND_ARGUMENT_AT),
        *((_EQUAL, "ignore", 0, command) for command in _LOCKS),
        (_AT_LEAST, 0, "allow", _FIRST_OF_SIGNALS),
        *((_EQUAL, "allow", 0, command) for command in _MORE_OF_FCNTL),
        (_RETURN, 0, 0, _REFUSE),
    ],
    "ioctl": [
        (_LOAD, 0, 0, _SECOND_ARGUMENT_AT),
        (_AT_LEAST, "refuse", 0, _AFTER_TERMINALS),
        (_AT_LEAST, "allow", "refuse", _FIRST_OF_TERMINALS),
    ],
    "prctl": [
        (_LOAD, 0, 0, _FIRST_ARGUMENT_AT),
        *((_EQUAL, "allow", 0, option) for option in _ALLOWED_OF_PRCTL),
        (_RETURN, 0, 0, _REFUSE),
    ],
    "refuse": [(_RETURN, 0, 0, _REFUSE)],
    "ignore": [(_RETURN, 0, 0, _IGNORE)],
    "unknown": [(_RETURN, 0, 0, _UNKNOWN)],
    "allow": [(_RETURN, 0, 0, _ALLOW)],
}
"""What steps jump to, forwards; those that load look at 32 bits, which is all the kernel takes."""


def refuse_calls(*, own_sockets: bool = False) -> bool:
    """Refuse the calls to this thread and all that it starts; False where that is not possible.

    Args:
        own_sockets: sockets in folders may be made and listened to, as LibreOffice insists on;
            connected to they are not, be it its own.
    """
    body = program(own_sockets=own_sockets)
    if body is None or not forgo_new_rights():
        return False
    code = ctypes.create_string_buffer(body, len(body))
    named = struct.pack("HxxxxxxP", len(body) // 8, ctypes.addressof(code))
    number = _MACHINES[platform.machine()][1]
    return system_call(number, _SET_FILTER, _SPEC_ALLOW, ctypes.c_char_p(named)) == 0


@functools.cache
def program(*, own_sockets: bool) -> bytes | None:
    """Return the filter; None on a machine for which there is none."""
    machine = _MACHINES.get(platform.machine())
    if sys.platform != "linux" or machine is None:
        return None
    column = list(_MACHINES).index(platform.machine())
    return _program(machine[0], column=column, own_sockets=own_sockets)


def _program(machine: int, *, column: int, own_sockets: bool) -> bytes:
    """Return the filter: another machine's calls are refused, of its own those that nobody makes.

    One step a change of the answer, from the least number up: what is called often has a small one.
    """
    answers = _answers(column, own_sockets=own_sockets)
    changes = [
        number
        for number in sorted({*answers, *(number + 1 for number in answers)})
        if answers.get(number) != answers.get(number - 1)
    ]
    steps: list[tuple[int, int | str, int | str, int]] = [
        (_LOAD, 0, 0, _MACHINE_AT),
        (_EQUAL, 0, "refuse", machine),
        (_LOAD, 0, 0, _NUMBER_AT),
        *((_AT_LEAST, 0, answers.get(number - 1, "unknown"), number) for number in changes),
        (_RETURN, 0, 0, _UNKNOWN),
    ]
    ends: dict[str, int] = {}
    for name, found in _ENDS.items():
        ends[name] = len(steps)
        steps += found
    return b"".join(
        struct.pack("=HBBI", code, *(_distance(one, at, ends) for one in (yes, no)), value)
        for at, (code, yes, no, value) in enumerate(steps)
    )


def _answers(column: int, *, own_sockets: bool) -> dict[int, str]:
    """Return what each call is answered: the name of an end."""
    rules = [("ignore", both) for both in calls.IGNORED.values()]
    rules += [("refuse", both) for both in calls.REFUSED.values()]
    rules += [("allow", both) for both in calls.ALLOWED.values()]
    rules += calls.BY_ARGUMENTS.values()
    if own_sockets:
        rules += [("allow", both) for both in calls.OWN_SOCKETS.values()]
        rules.append(("unix", calls.SOCKET))
    return {number: answer for answer, both in rules if (number := both[column]) is not None}


def _distance(target: int | str, at: int, ends: dict[str, int]) -> int:
    return target if isinstance(target, int) else ends[target] - at - 1
