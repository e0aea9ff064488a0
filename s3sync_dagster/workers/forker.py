"""A warm process for one module: forks a child per call and watches it from outside.

It imports the module, and what the module's ``PRELOAD`` names for a function, before the first
call of that function; it never reads a document itself, so nothing but a library's import runs
here. It has one thread, which is what makes its forks safe.
"""

import gc
import importlib
import json
import os
import select
import shutil
import signal
import socket
import tempfile
import time
from dataclasses import dataclass, field
from typing import NoReturn

from s3sync_dagster.workers import child, linux, wire

WATCH_SECONDS = 0.02
_DEATHS_BY_REFUSED_MEMORY = tuple(
    -number for number in (signal.SIGABRT, signal.SIGSEGV, signal.SIGILL, signal.SIGTRAP)
)


@dataclass(slots=True)
class _Call:
    """A child at work."""

    pid: int
    link: socket.socket
    """Kept open only to see that the caller has hung up."""
    verdict: socket.socket
    header: wire.Header
    folder: str
    ends_at: float
    killed: str | None = None
    peak_bytes: int = 0
    exit_code: int = 0


@dataclass(slots=True)
class _Forker:
    module: str
    control: socket.socket
    calls: dict[int, _Call] = field(default_factory=dict)
    """By file descriptor of ``link``."""
    loaded: set[str] = field(default_factory=set)

    def run(self) -> None:
        """Serve until the server closes the control socket."""
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        self._load("")
        while True:
            for descriptor, _ in poll.poll(WATCH_SECONDS * 1000 if self.calls else None):
                if descriptor == self.control.fileno():
                    if not self._accept(poll):
                        return
                elif descriptor in self.calls:
                    poll.unregister(descriptor)
                    self._kill(self.calls[descriptor], "abandoned")
            self._watch()
            for descriptor in [*self.calls]:
                if self._reap(descriptor):
                    self._close(self.calls.pop(descriptor), poll)

    def end(self) -> None:
        """Kill what still runs and remove its files."""
        for call in self.calls.values():
            self._kill(call, "abandoned")
            os.waitpid(call.pid, 0)
            shutil.rmtree(call.folder, ignore_errors=True)

    def _accept(self, poll: select.poll) -> bool:
        _, descriptors, _, _ = socket.recv_fds(self.control, 1, 2)
        if len(descriptors) != 2:
            return False
        link, verdict = (socket.socket(fileno=descriptor) for descriptor in descriptors)
        body = wire.read_frame(link, max_bytes=wire.MAX_HEADER_BYTES)
        header = wire.Header.decode(body)
        assert header is not None  # the server looked at it before
        self._load(header.function)
        folder = tempfile.mkdtemp(prefix="s3sync-worker-")
        gc.freeze()  # shared pages stay shared: the child's collector does not touch them
        pid = os.fork()
        if pid == 0:
            self.control.close()
            verdict.close()
            for other in self.calls.values():
                other.link.close()
                other.verdict.close()
            child.run_call(link, header, folder=folder)
        call = _Call(
            pid=pid,
            link=link,
            verdict=verdict,
            header=header,
            folder=folder,
            ends_at=time.monotonic() + header.limits.seconds,
        )
        self.calls[link.fileno()] = call
        poll.register(link, 0)  # no event but a hang-up
        return True

    def _load(self, function: str) -> None:
        """Import what the function needs, once; the child reports what is missing."""
        if function in self.loaded:
            return
        self.loaded.add(function)
        try:
            module = importlib.import_module(self.module)
            for name in getattr(module, "PRELOAD", {}).get(function, ()):
                importlib.import_module(name)
        except ImportError:
            return

    def _watch(self) -> None:
        now = time.monotonic()
        for call in self.calls.values():
            if call.killed is not None:
                continue
            if now > call.ends_at:
                self._kill(call, "timeout")
                continue
            used = linux.memory_of_tree(call.pid)
            call.peak_bytes = max(call.peak_bytes, used)
            if used > call.header.limits.memory_bytes:
                self._kill(call, "out_of_memory")

    def _kill(self, call: _Call, why: str) -> None:
        call.killed = call.killed or why
        _kill_group(call.pid)

    def _reap(self, descriptor: int) -> bool:
        """Return whether the child has ended; what it started and left is killed with it."""
        call = self.calls[descriptor]
        if os.waitid(os.P_PID, call.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return False
        _kill_group(call.pid)  # before the pid is free for others
        _, status = os.waitpid(call.pid, 0)
        call.exit_code = os.waitstatus_to_exitcode(status)
        return True

    def _close(self, call: _Call, poll: select.poll) -> None:
        if call.killed != "abandoned":
            poll.unregister(call.link)
        call.link.close()
        _say(call)
        call.verdict.close()
        shutil.rmtree(call.folder, ignore_errors=True)


def _kill_group(pid: int) -> None:
    # The group does not exist before the child's first statement: then the process alone.
    for kill in (os.killpg, os.kill):
        try:
            kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue


def _say(call: _Call) -> None:
    """Tell the caller how the child ended."""
    # Native code rarely survives a refused allocation; a small process died of something else.
    large = call.peak_bytes > call.header.limits.memory_bytes / 2
    reason = call.killed
    if reason is None and call.exit_code == -signal.SIGXCPU:
        reason = "timeout"
    elif reason is None and large and call.exit_code in _DEATHS_BY_REFUSED_MEMORY:
        reason = "out_of_memory"
    verdict = {"reason": reason, "exit": call.exit_code}
    try:
        call.verdict.sendall(json.dumps(verdict).encode())
    except OSError:
        return  # the caller is gone


def serve(module: str, control: socket.socket) -> NoReturn:
    """Run a forker in this (freshly forked) process and end it."""
    # The server's death is seen as the end of its socket, so that files are cleared up after it.
    linux.leave_network()
    forker = _Forker(module=module, control=control)
    try:
        forker.run()
    finally:
        forker.end()
        os._exit(0)
