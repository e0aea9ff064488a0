"""What a worker could still do once it has given up what it can: tried, not asked for.

For ``doctor``, which has a worker try it: what happens tells more than what a kernel offers.
"""

import os
import resource
import socket
import tempfile
from pathlib import Path

from s3sync_dagster.workers import groups


def held() -> tuple[str, ...]:
    """Return what is left: ``network``, ``files``, ``programs``, ``processes``, ``modes``."""
    attempts = {
        "network": _connect,
        "files": _look,
        "programs": _start,
        "processes": _end_another,
        "modes": _set_mode,
    }
    return tuple(name for name, attempt in attempts.items() if attempt())


def is_counted() -> bool:
    """Return whether what the kernel keeps for this worker counts as its memory (``groups``)."""
    return groups.is_inside()


def _connect() -> bool:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.connect(("192.0.2.1", 9))  # of no one (RFC 5737); nothing is sent
    except OSError:
        return False
    return True


def _look() -> bool:
    try:
        list(Path.home().iterdir())
        list(Path("/var").iterdir())
    except OSError:
        return False
    return True


def _start() -> bool:
    try:
        child = os.posix_spawn("/bin/sh", ["sh", "-c", ":"], {})
    except OSError:
        return False
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _end_another() -> bool:
    """Return whether the process that forked this one could be ended, by a signal or a limit."""
    return _could_signal(os.getppid()) or _could_limit(os.getppid())


def _could_signal(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _could_limit(pid: int) -> bool:
    if not hasattr(resource, "prlimit"):  # Linux alone has it
        return False
    try:
        resource.prlimit(pid, resource.RLIMIT_CPU)
    except OSError:
        return False
    return True


def _set_mode() -> bool:
    """Return whether files get another mode, tried with one of its own."""
    with tempfile.NamedTemporaryFile() as file:
        os.fchmod(file.fileno(), 0o400)
        return os.fstat(file.fileno()).st_mode & 0o777 == 0o400
