"""What happens inside one call: limits, the function, one reply, the end."""

import importlib
import os
import pickle
import resource
import signal
import socket
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any, NoReturn

from s3sync_dagster.engine.ports import WorkLimits
from s3sync_dagster.model.errors import LimitExceeded, S3SyncError
from s3sync_dagster.workers import linux, replies, wire

_ADDRESS_SPACE_SLACK_BYTES = 1024**3
"""Above the memory limit: mapped libraries, arenas and thread stacks are no memory yet."""
_MAX_FILE_BYTES = 2 * 1024**3


def run_call(link: socket.socket, header: wire.Header, *, folder: str) -> NoReturn:
    """Serve one call in a freshly forked process and end it."""
    code = 1
    try:
        _prepare(header.limits, folder=folder)
        # Read after the limits are set: the arguments count too.
        body = wire.read_frame(link, max_bytes=header.limits.memory_bytes)
        kind, reply = _answer(header, body)
        wire.send_frame(link, reply, kind=kind)
        code = 0
    except (EOFError, BrokenPipeError, ConnectionResetError):
        code = 0  # the caller is gone: nobody to answer
    finally:
        os._exit(code)


def _prepare(limits: WorkLimits, *, folder: str) -> None:
    """Lower this process's rights before it reads anything that came from outside."""
    os.setpgid(0, 0)
    linux.die_with_parent()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(name, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.environ["TMPDIR"] = tempfile.tempdir = folder  # of programs, and of this process
    space = linux.address_space() + limits.memory_bytes + _ADDRESS_SPACE_SLACK_BYTES
    seconds = int(limits.seconds) + 2
    _lower(resource.RLIMIT_AS, space)
    _lower(resource.RLIMIT_CPU, seconds)
    _lower(resource.RLIMIT_FSIZE, _MAX_FILE_BYTES)
    _lower(resource.RLIMIT_CORE, 0)
    try:  # when the machine runs out of memory, the kernel takes this process first
        Path("/proc/self/oom_score_adj").write_text("1000")
    except OSError:
        return  # not Linux: the watched limit remains


def _lower(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))


def _answer(header: wire.Header, body: bytes) -> tuple[bytes, bytes]:
    try:
        args, kwargs = pickle.loads(body)
        value = _resolve(header)(*args, **kwargs)
        reply = replies.dump_value(value)
    except S3SyncError as error:
        return wire.ERROR, replies.dump_error(error)
    except MemoryError:
        return wire.ERROR, replies.dump_error(out_of_memory(header.limits))
    except BaseException as error:  # noqa: BLE001 (the boundary: nothing foreign leaves the worker)
        return wire.ERROR, replies.dump_error(_foreign(error))
    if len(reply) > header.limits.output_bytes:
        return wire.ERROR, replies.dump_error(_too_large(header.limits))
    return wire.VALUE, reply


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
