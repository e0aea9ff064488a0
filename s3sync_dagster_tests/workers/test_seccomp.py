"""The filter itself, read as the kernel reads it, for both machines that it is written for."""

import errno
import socket
import struct

import pytest

from s3sync_dagster.workers import seccomp

MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
ALLOW, ERROR = 0x7FFF0000, 0x00050000
REFUSED, UNKNOWN = ERROR | errno.EPERM, ERROR | errno.ENOSYS
OWN_FLAGS = 0x003D0F00  # of a thread, as libraries make it


def answer(program: bytes, number: int, *arguments: int, machine: int) -> int:
    """Return what the filter says of a call: all that it is made of is in this function."""
    data = struct.pack("=IIQ6Q", number, machine, 0, *arguments, *[0] * (6 - len(arguments)))
    steps = list(struct.iter_unpack("=HBBI", program))
    at = held = 0
    while True:
        code, yes, no, value = steps[at]
        at += 1
        match code:
            case 0x20:
                (held,) = struct.unpack_from("=I", data, value)
            case 0x54:
                held &= value
            case 0x06:
                return value
            case 0x15:
                at += yes if held == value else no
            case 0x35:
                at += yes if held >= value else no
            case 0x45:
                at += yes if held & value else no


@pytest.fixture(params=MACHINES)
def ask(request, monkeypatch):
    """Ask the filter of one machine."""
    monkeypatch.setattr(seccomp.platform, "machine", lambda: request.param)
    seccomp.program.cache_clear()
    column = list(MACHINES).index(request.param)

    def ask(call: str, *arguments: int, own_sockets: bool = False) -> int:
        program = seccomp.program(own_sockets=own_sockets)
        assert program is not None
        machine = MACHINES[request.param]
        return answer(program, CALLS[call][column], *arguments, machine=machine)

    yield ask
    seccomp.program.cache_clear()


CALLS = {
    "read": (0, 63),
    "openat": (257, 56),
    "fork": (57, 220),
    "clone": (56, 220),
    "clone3": (435, 435),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "connect": (42, 203),
    "prlimit64": (302, 261),
    "sched_setaffinity": (203, 122),
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "utimensat": (280, 88),
    "chmod": (90, 53),
    "fchownat": (260, 54),
    "setxattr": (188, 5),
    "setxattrat": (463, 463),
    "file_setattr": (469, 469),
    "truncate": (76, 45),
    "fallocate": (285, 47),
    "inotify_init1": (294, 26),
    "flock": (73, 32),
    "io_setup": (206, 0),
    "shmget": (29, 194),
    "pidfd_send_signal": (424, 424),
    "sendmsg": (46, 211),
    "sendmmsg": (307, 269),
    "setsockopt": (54, 208),
    "fcntl": (72, 25),
    "mmap": (9, 222),
    "splice": (275, 76),
    "vmsplice": (278, 75),
    "tee": (276, 77),
    "sendfile": (40, 71),
    "epoll_create1": (291, 20),
    "timer_create": (222, 107),
    "ioctl": (16, 29),
    "prctl": (157, 167),
    "close_range": (436, 436),
    "landlock_add_rule": (445, 445),
    "seccomp": (317, 277),
}
"""Numbers of ``asm/unistd_64.h`` and ``asm-generic/unistd.h``."""


def test_what_readers_need_is_left(ask):
    assert {ask(call, 3, 4) for call in ("read", "openat", "fork")} == {ALLOW}
    assert ask("clone", OWN_FLAGS) == ALLOW


def test_other_processes_have_their_limits_and_turns(ask):
    for call in ("prlimit64", "sched_setaffinity"):
        assert ask(call, 0, 7) == ALLOW
        for other in (1, 4711, 0xFFFFFFFF, 1 << 32 | 4711):
            assert ask(call, other, 7) == REFUSED
    for call in ("setpriority", "ioprio_set", "pidfd_send_signal", "shmget"):
        assert ask(call) == UNKNOWN


def test_modes_and_times_are_left_as_they_are_and_nobody_fails_for_it(ask):
    for call in ("chmod", "fchmod", "fchmodat", "fchmodat2", "utimensat"):
        assert ask(call) == ERROR


def test_owners_marks_and_lengths_are_refused(ask):
    for call in ("fchownat", "setxattr"):
        assert ask(call) == REFUSED  # whoever copies a file goes on without
    for call in ("setxattrat", "file_setattr", "truncate", "fallocate"):
        assert ask(call) == UNKNOWN


def test_no_process_is_made_in_namespaces_of_its_own(ask):
    for namespace in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert ask("clone", namespace | 17) == REFUSED
    assert ask("clone3") == UNKNOWN  # libraries call ``clone`` then


def test_sockets_are_made_by_who_needs_them_alone(ask):
    assert ask("socket", socket.AF_UNIX, socket.SOCK_STREAM) == UNKNOWN
    given = {
        (family, kind): ask("socket", family, kind | flags, own_sockets=True)
        for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, 16)
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET)
        for flags in (0, 0x80000, 0x80800)
    }
    allowed = [pair for pair, said in given.items() if said == ALLOW]
    assert allowed == [(socket.AF_UNIX, socket.SOCK_STREAM)]
    assert set(given.values()) == {ALLOW, REFUSED}


@pytest.mark.parametrize("own_sockets", [False, True])
def test_pairs_are_of_streams_for_others_could_send_to_any_socket(ask, own_sockets):
    flags = (0, 0x800, 0x80000, 0x80800)  # SOCK_NONBLOCK, SOCK_CLOEXEC
    given = {
        kind: {ask("socketpair", 1, kind | flag, own_sockets=own_sockets) for flag in flags}
        for kind in range(16)
    }
    assert given.pop(socket.SOCK_STREAM) == {ALLOW}
    assert set(map(frozenset, given.values())) == {frozenset({REFUSED})}
    assert ask("connect", 3, own_sockets=own_sockets) == UNKNOWN


@pytest.mark.parametrize("own_sockets", [False, True])
def test_what_waits_in_the_kernel_stays_small_and_in_a_process(ask, own_sockets):
    assert ask("setsockopt", 3, 1, 7, own_sockets=own_sockets) == ERROR
    for call in ("sendmsg", "sendmmsg"):
        assert ask(call, 3, own_sockets=own_sockets) == UNKNOWN
    said = {command: ask("fcntl", 3, command, own_sockets=own_sockets) for command in range(2000)}
    assert [one for one, what in said.items() if what == ALLOW] == [*range(6), 36, 1030, 1032]
    # Locks are answered as if they were done: each is memory of the kernel's.
    assert [one for one, what in said.items() if what == ERROR] == [6, 7, 37, 38]
    assert set(said.values()) == {ALLOW, ERROR, REFUSED}


def test_no_signal_is_sent_by_a_file_and_nobody_hides(ask):
    # FIOSETOWN, SIOCSPGRP, FS_IOC_RESVSP64 (which is ``fallocate``), FICLONE
    for command in (0x8901, 0x8902, 0x4030582A, 0x40049409, 0x53FF, 0x5500):
        assert ask("ioctl", 3, command) == REFUSED
    for command in (0x5400, 0x5401, 0x541B, 0x5421, 0x5451, 0x54FF):
        assert ask("ioctl", 3, command) == ALLOW
    # Without PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_CHILD_SUBREAPER, PR_SCHED_CORE.
    allowed = [option for option in range(100) if ask("prctl", option, 0) == ALLOW]
    assert allowed == [1, 2, 3, 15, 16, 23, 38, 39, 51]
    assert ask("prctl", 0x53564D41, 0) == REFUSED  # PR_SET_VMA, of which the kernel keeps names


def test_a_thread_has_the_descriptors_of_its_process(ask):
    assert ask("clone", OWN_FLAGS & ~0x400) == REFUSED  # CLONE_FILES
    assert ask("clone", 17) == ALLOW  # a process
    assert ask("close_range", 3, 9, 2) == REFUSED  # CLOSE_RANGE_UNSHARE
    assert ask("close_range", 3, 9, 4) == ALLOW


CLONES = {
    "fork": 0x01200011,  # glibc: CLONE_CHILD_CLEARTID, CLONE_CHILD_SETTID, SIGCHLD
    "fork of musl": 0x11,
    "posix_spawn, vfork": 0x4111,  # CLONE_VM, CLONE_VFORK, SIGCHLD
    "thread": 0x003D0F00,
    "thread of musl": 0x007D0F00,  # CLONE_DETACHED, which the kernel no longer knows
    "thread of Go": 0x00050F00,
}
"""As libraries make them."""


@pytest.mark.parametrize("own_sockets", [False, True])
def test_processes_and_threads_are_made_as_libraries_make_them_and_in_no_other_way(
    ask, own_sockets
):
    """Whoever handed memory and descriptors on from process to process was never looked at."""
    for flags in CLONES.values():
        assert ask("clone", flags, own_sockets=own_sockets) == ALLOW
    refused = {
        "hop": 0x100 | 0x200 | 0x400 | 0x8000 | 17,  # CLONE_VM, _FS, _FILES, _PARENT
        "another's child": 0x8000 | 17,
        "thread and another's child": 0x003D0F00 | 0x8000,
        "descriptors": 0x400 | 17,
        "memory": 0x100 | 17,
        "memory and signals": 0x900 | 17,
        "descriptors of who waits": 0x4500 | 17,
        "folder": 0x200 | 17,
        "waits and shares nothing": 0x4000 | 17,
        "places of devices": 0x80000000 | 17,  # CLONE_IO
        "tracer": 0x2000 | 17,
        "semaphores": 0x00240F00 & ~0x10000,
    }
    for flags in refused.values():
        assert ask("clone", flags, own_sockets=own_sockets) == REFUSED
    assert ask("clone", 1 << 32 | 0x8111, own_sockets=own_sockets) == REFUSED


def test_what_all_processes_of_a_user_share_a_number_of_is_not_taken(ask):
    for call in ("timer_create", "inotify_init1", "io_setup", "landlock_add_rule", "seccomp"):
        assert ask(call) == UNKNOWN
    assert ask("flock", 3, 2) == ERROR  # as locks of ``fcntl``
    assert ask("epoll_create1") == ALLOW


@pytest.mark.parametrize("own_sockets", [False, True])
def test_no_memory_is_shared_without_a_file_or_kept_by_a_byte_of_it(ask, own_sockets):
    def mapped(flags: int) -> int:
        return ask("mmap", 0, 4096, 3, flags, own_sockets=own_sockets)

    private, shared, validated, anonymous, huge = 0x2, 0x1, 0x3, 0x20, 0x40000
    for flags in (private, private | anonymous, shared, validated, private | 0x20022):
        assert mapped(flags) == ALLOW
    for flags in (shared | anonymous, validated | anonymous, private | anonymous | huge):
        assert mapped(flags) == REFUSED
    for call in ("splice", "vmsplice", "tee", "sendfile"):
        assert ask(call, 3, own_sockets=own_sockets) == UNKNOWN


def test_another_machines_calls_are_refused():
    for own_sockets in (False, True):
        program = seccomp.program(own_sockets=own_sockets)
        if program is None:
            assert seccomp.platform.machine() not in MACHINES
            return
        assert answer(program, 0, machine=0x40000003) == REFUSED
        own = MACHINES[seccomp.platform.machine()]
        assert answer(program, 0x40000000, machine=own) == UNKNOWN
