"""Seccomp: system calls that no reader needs fail in a worker, whatever program it runs.

Sockets of all kinds but pairs of streams (Landlock says nothing of UDP, nor of the sockets in
folders by which our own processes are asked), the memory, limits and turns of other processes,
modes, owners and times of files (Landlock has no right for them), and what has a history of holes.
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
_NONE = None
"""A call that the machine does not have: there another one does the same."""
_REFUSED: dict[str, tuple[int | None, int | None]] = {  # name: number on x86_64 and on aarch64
    "socket": (41, 198),
    "connect": (42, 203),
    # Other processes: memory, signals with a message, turns, places.
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "kcmp": (312, 272),
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    # What processes of one user share by a number or a name, without a folder.
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "semget": (64, 190),
    "semop": (65, 193),
    "semctl": (66, 191),
    "semtimedop": (220, 192),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    # Memory that no limit counts (descriptors on their way are in no process), and groups in which
    # nobody looks for what is left.
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "sendmsg": (46, 211),
    "sendmmsg": (307, 269),
    "setsid": (112, 157),
    "setpgid": (109, 154),
    # Files that may not be opened.
    "truncate": (76, 45),
    "fallocate": (285, 47),  # the disk is looked at once a second, and this takes all of it in less
    "chown": (92, _NONE),
    "fchown": (93, 55),
    "lchown": (94, _NONE),
    "fchownat": (260, 54),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "setxattrat": (463, 463),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "removexattrat": (466, 466),
    "file_setattr": (469, 469),
    "inotify_init": (253, _NONE),
    "inotify_init1": (294, 26),
    "inotify_add_watch": (254, 27),
    "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263),
    # What all processes of a user share a number of: with none left the others stand still. Of
    # watches (epoll), which the layout of PDFs needs, a few are left (``folders``).
    "timer_create": (222, 107),
    # What the kernel keeps for sandboxes of our own kind: rules, and the room for all its filters.
    "landlock_add_rule": (445, 445),
    "seccomp": (317, 277),
    "open_by_handle_at": (304, 265),
    # The kernel's own; ``io_setup`` takes what all processes of the machine share.
    "io_setup": (206, 0),
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
    "mount_setattr": (442, 442),
    "pivot_root": (155, 41),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "open_tree_attr": (467, 467),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "kexec_load": (246, 104),
}
_OWN_ALONE: dict[str, tuple[int, int]] = {
    "prlimit64": (302, 261),
    "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
}
"""Calls whose first argument is a process: 0 is the caller, and no other may be named."""
_WITHOUT_EFFECT: dict[str, tuple[int | None, int | None]] = {
    "chmod": (90, _NONE),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "utime": (132, _NONE),
    "utimes": (235, _NONE),
    "futimesat": (261, _NONE),
    "utimensat": (280, 88),
    "setsockopt": (54, 208),
}
"""Calls that are answered as if they were done. Whoever copies a file in his own folder makes them,
and gives up where they fail; they would open the files of others as well, or close them. Sockets
keep the buffers that each has at first: what waits in these is counted (``linux``)."""
_NOT_KNOWN: dict[str, tuple[int, int]] = {
    "splice": (275, 76),
    "vmsplice": (278, 75),
    "tee": (276, 77),
    "sendfile": (40, 71),
}
"""Calls that are answered as if the kernel had none, so that whoever copies by them does it in
another way: a byte in a pipe keeps the page that it came from, which may be a large one."""
_MMAP, _HUGE_PAGES = (9, 222), 0x40000
_SHARED_WITHOUT_A_FILE = 0x21
"""``MAP_SHARED`` and ``MAP_ANONYMOUS``: what is unmapped of such memory stays as long as any of it
is mapped, and is no process's."""
_SOCKETPAIR = (53, 199)
"""Of streams alone: a datagram is sent from half a pair to any socket that stands in a folder."""
_FCNTL = (72, 25)
_LOCKS = (6, 7, 37, 38)
"""Answered as if they were done: a worker's files are its own, and four million locks are a
gigabyte of the kernel's."""
_FIRST_OF_SIGNALS = 8
"""``F_SETOWN``: below are descriptors and their flags."""
_MORE_OF_FCNTL = (36, 1030, 1032)
"""Whose a lock is, a descriptor that is closed by ``exec``, the size of a pipe. What else there is
sends signals to others, keeps them from opening a file, or makes pipes larger."""
_IOCTL, _FIRST_OF_TERMINALS, _AFTER_TERMINALS = (16, 29), 0x5400, 0x5500
"""Of terminals, and how much there is to read: the others take disk, or send signals."""
_PRCTL, _REFUSED_OF_PRCTL = (157, 167), (4, 22)
"""``PR_SET_DUMPABLE``: nobody could look at what it holds then; ``PR_SET_SECCOMP``."""
_CLOSE_RANGE, _UNSHARE = (436, 436), 2
_THREAD, _THREAD_WITH_FILES = 0x10000, 0x10400
"""Of ``clone``: a thread has the descriptors of its process, where they are looked at."""
_CLONE, _CLONE3 = (56, 220), (435, 435)
_NAMESPACES = 0x7E020000
"""Flags of ``clone``: a process in namespaces of its own. What ``clone3`` is told cannot be seen
here: libraries call ``clone`` where there is none."""
_SET_FILTER = 1
_SPEC_ALLOW = 1 << 2
"""Without it kernels before 5.16 slow the whole process down."""
_ALLOW, _IGNORE = 0x7FFF0000, 0x00050000
_REFUSE, _UNKNOWN = _IGNORE | errno.EPERM, _IGNORE | errno.ENOSYS
_X32 = 0x40000000
_LOAD, _AND, _EQUAL, _AT_LEAST, _ANY_OF, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _MACHINE_AT, _FIRST_ARGUMENT_AT, _SECOND_ARGUMENT_AT = 0, 4, 16, 24
_THIRD_ARGUMENT_AT, _FOURTH_ARGUMENT_AT = 32, 40
"""Places in ``struct seccomp_data``."""
_SOCKET_TYPE = 0xF
"""Bits of a socket's type, as the kernel reads it: the others are flags."""
_ENDS: dict[str, list[tuple[int, int | str, int | str, int]]] = {
    "own": [(_LOAD, 0, 0, _FIRST_ARGUMENT_AT), (_EQUAL, "allow", "refuse", 0)],
    "clone": [
        (_LOAD, 0, 0, _FIRST_ARGUMENT_AT),
        (_ANY_OF, "refuse", 0, _NAMESPACES),
        (_AND, 0, 0, _THREAD_WITH_FILES),
        (_EQUAL, "refuse", "allow", _THREAD),
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
        *((_EQUAL, "refuse", 0, option) for option in _REFUSED_OF_PRCTL),
        (_RETURN, 0, 0, _ALLOW),
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
    """Return the filter: another machine's calls and each of the lists are refused."""
    refused = [both[column] for name, both in _REFUSED.items() if name != "socket"]
    ignored = [both[column] for both in _WITHOUT_EFFECT.values()]
    own = [both[column] for both in _OWN_ALONE.values()]
    steps: list[tuple[int, int | str, int | str, int]] = [
        (_LOAD, 0, 0, _MACHINE_AT),
        (_EQUAL, 0, "refuse", machine),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_AT_LEAST, "refuse", 0, _X32),
        *((_EQUAL, "refuse", 0, number) for number in refused if number is not None),
        *((_EQUAL, "ignore", 0, number) for number in ignored if number is not None),
        *((_EQUAL, "own", 0, number) for number in own),
        (_EQUAL, "clone", 0, _CLONE[column]),
        (_EQUAL, "unknown", 0, _CLONE3[column]),
        (_EQUAL, "stream", 0, _SOCKETPAIR[column]),
        (_EQUAL, "fcntl", 0, _FCNTL[column]),
        (_EQUAL, "ioctl", 0, _IOCTL[column]),
        (_EQUAL, "prctl", 0, _PRCTL[column]),
        (_EQUAL, "close", 0, _CLOSE_RANGE[column]),
        (_EQUAL, "map", 0, _MMAP[column]),
        *((_EQUAL, "unknown", 0, both[column]) for both in _NOT_KNOWN.values()),
    ]
    made = _REFUSED["socket"][column] or 0
    if not own_sockets:
        steps.append((_EQUAL, "refuse", "allow", made))
    else:
        steps += [
            (_EQUAL, 0, "allow", made),
            (_LOAD, 0, 0, _FIRST_ARGUMENT_AT),
            (_EQUAL, "stream", "refuse", socket.AF_UNIX),
        ]
    ends: dict[str, int] = {}
    for name, found in _ENDS.items():
        ends[name] = len(steps)
        steps += found
    return b"".join(
        struct.pack("=HBBI", code, *(_distance(one, at, ends) for one in (yes, no)), value)
        for at, (code, yes, no, value) in enumerate(steps)
    )


def _distance(target: int | str, at: int, ends: dict[str, int]) -> int:
    return target if isinstance(target, int) else ends[target] - at - 1
