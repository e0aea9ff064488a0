"""A worker has the calls of a list, and no others: whatever a kernel will have one day."""

import errno
import platform
from itertools import chain

import pytest

from s3sync_dagster.engine.ports import WorkLimits
from s3sync_dagster.workers import calls, open_pool, seccomp
from s3sync_dagster_tests.workers.test_seccomp import ALLOW, ERROR, MACHINES, answer

PLENTY = WorkLimits(seconds=30, memory_bytes=500 * 1024**2)
OTHERS = {
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "userfaultfd": (323, 282),
    "perf_event_open": (298, 241),
    "bpf": (321, 280),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "semget": (64, 190),
    "semop": (65, 193),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "inotify_init1": (294, 26),
    "inotify_add_watch": (254, 27),
    "fanotify_init": (300, 262),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "ptrace": (101, 117),
    "kcmp": (312, 272),
    "mount": (165, 40),
    "umount2": (166, 39),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "io_setup": (206, 0),
    "timer_create": (222, 107),
    "timerfd_create": (283, 85),
    "signalfd4": (289, 74),
    "vmsplice": (278, 75),
    "splice": (275, 76),
    "tee": (276, 77),
    "sendfile": (40, 71),
    "copy_file_range": (326, 285),
    "sendmsg": (46, 211),
    "sendmmsg": (307, 269),
    "recvmmsg": (299, 243),
    "connect": (42, 203),
    "socket": (41, 198),
    "bind": (49, 200),
    "listen": (50, 201),
    "accept4": (288, 242),
    "truncate": (76, 45),
    "fallocate": (285, 47),
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
    "sched_setscheduler": (144, 119),
    "sched_setattr": (314, 274),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "mbind": (237, 235),
    "set_mempolicy": (238, 237),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "setsid": (112, 157),
    "setpgid": (109, 154),
    "setuid": (105, 146),
    "setgroups": (116, 159),
    "setxattrat": (463, 463),
    "removexattr": (197, 14),
    "removexattrat": (466, 466),
    "file_setattr": (469, 469),
    "landlock_create_ruleset": (444, 444),
    "landlock_add_rule": (445, 445),
    "landlock_restrict_self": (446, 446),
    "seccomp": (317, 277),
    "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264),
    "openat2": (437, 437),
    "execveat": (322, 281),
    "mknodat": (259, 33),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "kexec_load": (246, 104),
    "syslog": (103, 116),
    "personality": (135, 92),
    "quotactl": (179, 60),
    "mlock": (149, 228),
    "mlockall": (151, 230),
    "remap_file_pages": (216, 234),
    "membarrier": (324, 283),
    "clone3": (435, 435),
    "syncfs": (306, 267),
    "sync": (162, 81),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "acct": (163, 89),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "pkey_alloc": (330, 289),
    "lookup_dcookie": (212, 18),
    "futex_waitv": (449, 449),
    "capset": (126, 91),
    "epoll_pwait2": (441, 441),
}
"""Numbers of calls that no reader makes (``asm/unistd_64.h``, ``asm-generic/unistd.h``)."""
PLAIN = (calls.ALLOWED, calls.IGNORED, calls.REFUSED)


def numbers_of(column: int) -> list[int]:
    """Return what numbers the list has for a machine, of whichever rule."""
    rules = chain(
        *(table.values() for table in PLAIN), (both for _, both in calls.BY_ARGUMENTS.values())
    )
    return [number for both in rules if (number := both[column]) is not None]


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("own_sockets", [False, True])
def test_each_number_that_is_not_in_the_list_is_unknown(machine, own_sockets):
    column = list(MACHINES).index(machine)
    program = seccomp._program(MACHINES[machine], column=column, own_sockets=own_sockets)
    listed = numbers_of(column)
    assert len(set(listed)) == len(listed)
    more = [calls.SOCKET, *calls.OWN_SOCKETS.values()] if own_sockets else []
    known = {*listed, *(both[column] for both in more)}
    x32, negative = 0x40000000, 0xFFFFFFFF
    for number in {*range(1200), x32, x32 | 59, negative} - known:
        assert answer(program, number, machine=MACHINES[machine]) == ERROR | errno.ENOSYS
    for table, said in ((calls.ALLOWED, ALLOW), (calls.IGNORED, ERROR)):
        for both in table.values():
            number = both[column]
            if number is not None:
                assert answer(program, number, machine=MACHINES[machine]) == said


@pytest.mark.parametrize("machine", MACHINES)
def test_what_others_share_is_in_no_list(machine):
    column = list(MACHINES).index(machine)
    assert {both[column] for both in OTHERS.values()}.isdisjoint(numbers_of(column))


def test_a_worker_cannot_make_them():
    """The kernel itself is asked, by a worker that would make each with nothing as arguments."""
    machine = platform.machine()
    with open_pool(workers=1) as pool:
        made = {name: both[list(MACHINES).index(machine)] for name, both in OTHERS.items()}
        job = "s3sync_dagster_tests.workers.burglar:make_calls"
        told = pool.submit(job, made, limits=PLENTY).result()
    assert {name: errno.errorcode.get(one, one) for name, one in told.items()} == dict.fromkeys(
        OTHERS, "ENOSYS"
    )
