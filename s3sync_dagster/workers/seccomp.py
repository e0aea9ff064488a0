"""Seccomp: system calls that no reader needs fail in a worker, whatever program it runs.

Sockets of all kinds (Landlock says nothing of UDP, nor of the sockets in folders by which our own
processes are asked), the memory of other processes, and what has a history of holes.
"""

import ctypes
import errno
import functools
import platform
import socket
import struct
import sys

from s3sync_dagster.workers.landlock import forgo_new_rights, system_call

_MACHINES = {
    "x86_64": (0xC000003E, 317),
    "aarch64": (0xC00000B7, 277),
}
"""The kernel's name of the machine (``AUDIT_ARCH``) and its number of ``seccomp``."""
_REFUSED = {  # name: number on x86_64 and on aarch64
    "socket": (41, 198),
    "connect": (42, 203),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "io_uring_setup": (425, 425),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "open_by_handle_at": (304, 265),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "kexec_load": (246, 104),
}
_SET_FILTER = 1
_SPEC_ALLOW = 1 << 2
"""Without it kernels before 5.16 slow the whole process down."""
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EACCES
_X32 = 0x40000000
_LOAD, _AND, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_NUMBER_AT, _MACHINE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16
"""Places in ``struct seccomp_data``."""


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
    """Return the filter: another machine's calls and each of the list are refused."""
    numbers = [both[column] for name, both in _REFUSED.items() if name != "socket"]
    steps: list[tuple[int, int | str, int | str, int]] = [
        (_LOAD, 0, 0, _MACHINE_AT),
        (_EQUAL, 0, "refuse", machine),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_AT_LEAST, "refuse", 0, _X32),
        *((_EQUAL, "refuse", 0, number) for number in numbers),
        (_EQUAL, 0, "allow", _REFUSED["socket"][column]),
    ]
    if own_sockets:
        steps += [
            (_LOAD, 0, 0, _FIRST_ARGUMENT_AT),
            (_EQUAL, 0, "refuse", socket.AF_UNIX),
            (_LOAD, 0, 0, _FIRST_ARGUMENT_AT + 8),
            (_AND, 0, 0, 0xFF),  # without the flags
            (_EQUAL, "allow", 0, socket.SOCK_STREAM),
        ]
    ends = {"refuse": len(steps), "allow": len(steps) + 1}
    steps += [(_RETURN, 0, 0, _REFUSE), (_RETURN, 0, 0, _ALLOW)]
    return b"".join(
        struct.pack("=HBBI", code, *(_distance(one, at, ends) for one in (yes, no)), value)
        for at, (code, yes, no, value) in enumerate(steps)
    )


def _distance(target: int | str, at: int, ends: dict[str, int]) -> int:
    return target if isinstance(target, int) else ends[target] - at - 1
