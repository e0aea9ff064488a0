"""What happens inside a child: limits, the function, one reply; then the end, or the next call."""

import importlib
import os
import pickle
import resource
import signal
import socket
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from typing import Any, NoReturn

from s3sync_dagster.engine.ports import WorkLimits
from s3sync_dagster.model.errors import LimitExceeded, S3SyncError
from s3sync_dagster.workers import linux, refusals, replies, sandbox, wire

_ADDRESS_SPACE_SLACK_BYTES = 1024**3
"""Above the memory limit: mapped libraries, arenas and thread stacks are no memory yet."""
_MAX_FILE_BYTES = 2 * 1024**3
_MAX_DESCRIPTORS = 1024


def run_call(link: socket.socket, header: wire.Header, *, folder: str) -> NoReturn:
    """Serve one call in a freshly forked process and end it."""
    code = 1
    try:
        _prepare(folder=folder)
        limits = header.limits
        space = linux.address_space() + limits.memory_bytes + _ADDRESS_SPACE_SLACK_BYTES
        _lower(resource.RLIMIT_AS, space)
        _lower(resource.RLIMIT_CPU, int(limits.seconds) + 2)
        kind, reply, _ = _answer(header, _body(link, header), folder=folder)
        wire.send_frame(link, reply, kind=kind)
        code = 0
    except (EOFError, BrokenPipeError, ConnectionResetError):
        code = 0  # the caller is gone: nobody to answer
    finally:
        os._exit(code)


def serve_calls(control: socket.socket, *, folder: str) -> NoReturn:
    """Serve the calls that come over ``control``, one after the other, and end when none may.

    Each has its own limits, counted from where the process stands. They are soft ones, which a
    parser that was taken over could lift; what is watched from outside remains.
    """
    code = 1
    try:
        _prepare(folder=folder)
        unbound: str | None = folder
        linux.keep_address_space()
        while True:
            body, descriptors, _, _ = socket.recv_fds(control, wire.MAX_HEADER_BYTES, 1)
            header = wire.Header.decode(body) if body else None
            if header is None or not descriptors:
                break  # the forker has ended
            limits = header.limits
            space = linux.address_space() + limits.memory_bytes + _ADDRESS_SPACE_SLACK_BYTES
            _limit_softly(resource.RLIMIT_AS, space)
            spent = resource.getrusage(resource.RUSAGE_SELF)
            used = int(spent.ru_utime + spent.ru_stime) + 1
            _limit_softly(resource.RLIMIT_CPU, used + int(limits.seconds) + 2)
            with socket.socket(fileno=descriptors[0]) as link:
                kind, reply, whole = _answer(header, _body(link, header), folder=unbound)
                unbound = None  # what was given up stays so; a call with a file has another process
                another = whole and threading.active_count() == 1
                if another:  # before the reply: the caller's next call finds this process free
                    control.send(wire.DONE)
                wire.send_frame(link, reply, kind=kind)
            if not another:
                break
        code = 0
    except (EOFError, BrokenPipeError, ConnectionResetError):
        code = 0  # a caller is gone: nobody to answer
    finally:
        os._exit(code)


def _body(link: socket.socket, header: wire.Header) -> bytes:
    """Return the arguments; read after the limits are set, since they count too."""
    return wire.read_frame(link, max_bytes=header.limits.memory_bytes)


def _prepare(*, folder: str) -> None:
    """Lower this process's rights before it reads anything that came from outside."""
    os.setpgid(0, 0)
    linux.die_with_parent()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(name, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.environ["TMPDIR"] = tempfile.tempdir = folder  # of programs, and of this process
    _lower(resource.RLIMIT_FSIZE, _MAX_FILE_BYTES)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_NOFILE, _MAX_DESCRIPTORS)
    try:  # when the machine runs out of memory, the kernel takes this process first
        Path("/proc/self/oom_score_adj").write_text("1000")
    except OSError:
        return  # not Linux: the watched limit remains


def _lower(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))


def _limit_softly(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, hard))


def _answer(header: wire.Header, body: bytes, *, folder: str | None) -> tuple[bytes, bytes, bool]:
    """Return the kind and the bytes of a reply, and whether nothing unforeseen has happened.

    ``folder`` is given before the first call of a process: the rest of its rights ends there.
    """
    try:
        args, kwargs = pickle.loads(body)
        if folder is not None:
            sandbox.enter(folder, header.module, [*args, *kwargs.values()])
        value = _resolve(header)(*args, **kwargs)
        reply = replies.dump_value(value)
    except S3SyncError as error:
        told = error if refusals.is_believed(error) else _foreign(error)
        return wire.ERROR, refusals.dump_error(told), True
    except MemoryError:
        return wire.ERROR, refusals.dump_error(out_of_memory(header.limits)), False
    except BaseException as error:  # noqa: BLE001 (the boundary: nothing foreign leaves the worker)
        return wire.ERROR, refusals.dump_error(_foreign(error)), False
    if len(reply) > header.limits.output_bytes:
        return wire.ERROR, refusals.dump_error(_too_large(header.limits)), False
    return wire.VALUE, reply, True


def _resolve(header: wire.Header) -> Any:
    return getattr(importlib.import_module(header.module), header.function)


def out_of_memory(limits: WorkLimits) -> LimitExceeded:
    """Return the error of a call that asked for more memory than it may have."""
    return LimitExceeded(
        f"Reading this needs more than {limits.memory_bytes // 1024**2} MiB of memory.",
        reason="out_of_memory",
    )


def _too_large(limits: WorkLimits) -> LimitExceeded:
    return LimitExceeded(
        f"The result is larger than {limits.output_bytes // 1024**2} MiB.",
        reason="output_too_large",
    )


def _foreign(error: BaseException) -> LimitExceeded:
    """Name the kind and the place of a foreign exception; its text may hold the file's content."""
    place = "unknown place"
    frames = traceback.extract_tb(error.__traceback__)
    if frames:
        module = "/".join(Path(frames[-1].filename).parts[-2:])
        place = f"{module}:{frames[-1].lineno}"
    del frames
    sys.exc_info()
    return LimitExceeded(
        f"The worker failed with {type(error).__name__} at {place}.", reason="worker_crashed"
    )
