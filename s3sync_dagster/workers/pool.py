"""The caller's side of the workers: futures, and a server that is started once when needed."""

import json
import os
import pickle
import socket
import subprocess
import sys
import threading
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from s3sync_dagster.engine.ports import WorkLimits
from s3sync_dagster.model.errors import LimitExceeded, Unavailable
from s3sync_dagster.workers import child, folders, refusals, replies, sandbox, wire
from s3sync_dagster.workers.capacity import default_workers
from s3sync_dagster.workers.environment import worker_environment


def open_pool(*, workers: int | None = None, socket_path: Path | None = None) -> "LocalPool":
    """Return a pool; no process starts before the first call.

    Args:
        workers: calls at the same time; None: by cores and memory.
        socket_path: where a warm server listens. When none answers there, or one of another
            version does, the pool starts its own.
    """
    return LocalPool(workers=workers or default_workers(), socket_path=socket_path)


def warm_server_command(socket_path: Path) -> list[str]:
    """Return the command line of a server that keeps warm workers at ``socket_path``."""
    return [
        sys.executable,
        "-P",
        "-m",
        "s3sync_dagster.workers.server",
        "--socket",
        str(socket_path),
    ]


LARGE_REPLY_BYTES = 4 * 1024**2
"""Replies above are opened one after the other: text takes nine times its bytes meanwhile."""


class _NoAnswer(Exception):
    """The server ended or refused before the call was served."""


class _DiedOfOthers(Exception):
    """A worker died that had served other calls before this one."""


class LocalPool:
    """Runs importable functions in killable child processes (see ``WorkerPool``)."""

    def __init__(self, *, workers: int, socket_path: Path | None = None) -> None:
        self.workers = workers
        self._name = uuid.uuid4().hex
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="s3sync-worker-call")
        self._lock = threading.Lock()
        self._large = threading.Lock()
        self._control: socket.socket | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._socket_path = socket_path
        self._closed = False

    def submit(
        self, function: str, /, *args: Any, limits: WorkLimits, **kwargs: Any
    ) -> Future[Any]:
        """Call ``module.path:name`` in a worker; its value is plain or of ``replies.CLASSES``."""
        module, _, name = function.partition(":")
        # A process that has served others may no longer open a file, but for what all calls that
        # it serves read.
        given = [*args, *kwargs.values()]
        fresh = any(isinstance(one, Path) for one in given)
        caller = "\n".join([self._name, *map(str, sandbox.named_files(given))])
        header = wire.Header(
            module=module, function=name, limits=limits, caller=caller, fresh=fresh
        )
        return self._threads.submit(self._call, header, args, kwargs)

    def close(self) -> None:
        """End all workers; calls at work end with ``Unavailable`` (``pool_closed``)."""
        with self._lock:
            self._closed = True
            server = self._hang_up()
        if server is not None:
            server.wait()
        self._threads.shutdown(cancel_futures=True)

    def __enter__(self) -> Self:
        """Return the pool itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the pool."""
        self.close()

    def _call(self, header: wire.Header, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        body = pickle.dumps((args, kwargs), protocol=pickle.HIGHEST_PROTOCOL)
        # The warm server, an own one, an own one that was started again, a worker of its own.
        for _ in range(4):
            try:
                return self._try(header, body)
            except _DiedOfOthers:
                header = replace(header, fresh=True)
            except _NoAnswer:
                continue
        raise Unavailable("The worker server does not stay up.", reason="worker_server_died")

    def _try(self, header: wire.Header, body: bytes) -> Any:
        link, far_link = socket.socketpair()
        verdict, far_verdict = socket.socketpair()
        with link, verdict:
            wire.send_frame(link, header.encode())
            with far_link, far_verdict, self._lock:
                control = self._connect()
                try:
                    socket.send_fds(control, [b"c"], [far_link.fileno(), far_verdict.fileno()])
                except OSError:
                    self._forget(control)
                    raise _NoAnswer from None
            try:
                wire.send_frame(link, body)
                kind = wire.read_exactly(link, 1)
                most = refusals.MAX_BYTES if kind == wire.ERROR else header.limits.output_bytes
                reply = wire.read_frame(link, max_bytes=most)
            except wire.TooLarge:  # whoever sends that is not waited for
                raise refusals.broken_reply() from None
            except (EOFError, OSError):
                self._raise_verdict(verdict, control, header.limits)
            else:
                large = len(reply) > LARGE_REPLY_BYTES
                with self._large if large else nullcontext():
                    return _open_reply(kind, reply)

    def _raise_verdict(
        self, verdict: socket.socket, control: socket.socket, limits: WorkLimits
    ) -> None:
        """Turn the watcher's word into an error."""
        said = verdict.recv(4096)
        if not said:
            with self._lock:
                self._forget(control)
            raise _NoAnswer
        ended = json.loads(said)
        if ended["reason"] == wire.AGAIN:
            raise _DiedOfOthers
        if ended["reason"] == "timeout":
            message = f"Reading this takes longer than {limits.seconds:g} s."
            raise LimitExceeded(message, reason="timeout")
        if ended["reason"] == "out_of_memory":
            raise child.out_of_memory(limits)
        if ended["reason"] == "too_much_written":
            raise LimitExceeded(
                f"Reading this writes more than {folders.MOST_BYTES // 1024**2} MiB, or "
                f"{folders.MOST_FILES} files, of temporary files.",
                reason="output_too_large",
            )
        message = f"The worker process died (exit status {ended['exit']})."
        raise LimitExceeded(message, reason="worker_crashed")

    def _connect(self) -> socket.socket:
        if self._closed:
            raise Unavailable("The worker pool was closed.", reason="pool_closed")
        if self._control is None:
            self._control = self._connect_warm() or self._start_server()
        return self._control

    def _connect_warm(self) -> socket.socket | None:
        path, self._socket_path = self._socket_path, None  # tried once
        if path is None:
            return None
        control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            control.connect(str(path))
        except OSError:
            control.close()
            return None
        return control

    def _start_server(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            self._server = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", "s3sync_dagster.workers.server"),
                    *("--fd", str(theirs.fileno())),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # Ctrl-C is the caller's to handle
                env=worker_environment(os.environ),
            )
        return ours

    def _forget(self, control: socket.socket) -> None:
        if self._control is control:
            server = self._hang_up()
            if server is not None:
                server.wait()

    def _hang_up(self) -> subprocess.Popen[bytes] | None:
        server, self._server = self._server, None
        if self._control is not None:
            self._control.close()
            self._control = None
        return server


def _open_reply(kind: bytes, reply: bytes) -> Any:
    try:
        if kind == wire.VALUE:
            return replies.load_value(reply)
        error = refusals.load_error(reply)
    except replies.BrokenReply:  # a worker that read a hostile file may send anything
        raise refusals.broken_reply() from None
    raise error
