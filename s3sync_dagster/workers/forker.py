"""A warm process for one module: has children serve calls and watches them from outside.

It imports the module, and what the module's ``PRELOAD`` names for a function, before the first
call of that function; it never reads a document itself, so nothing but a library's import runs
here. It has one thread, which is what makes its forks safe.

A child serves one call, unless the module's ``REUSED`` names the function: then it serves further
ones of the same caller, until it leaves something behind (``worker.Worker.is_clean``).
"""

import gc
import importlib
import os
import select
import socket
import time
from dataclasses import dataclass, field
from typing import NoReturn

from s3sync_dagster.workers import child, folders, groups, linux, sandbox, wire
from s3sync_dagster.workers.groups import Group
from s3sync_dagster.workers.remover import Remover
from s3sync_dagster.workers.worker import Call, Worker

WATCH_SECONDS = 0.02
IDLE_SECONDS = 1.0
"""After which a child without work ends."""
_LEFT_SECONDS = 1.0
"""Between two looks at what workers that have ended leave, where none is left to watch."""


@dataclass(slots=True)
class _Forker:
    module: str
    control: socket.socket
    poll: select.poll = field(default_factory=select.poll)
    workers: dict[int, Worker] = field(default_factory=dict)
    """By pid."""
    by_link: dict[int, Worker] = field(default_factory=dict)
    """By file descriptor of the link of their call."""
    by_control: dict[int, Worker] = field(default_factory=dict)
    """Those that serve several calls, by file descriptor of their socket."""
    loaded: set[str] = field(default_factory=set)
    reused: frozenset[str] = frozenset()
    """Functions whose calls may follow each other in one process."""
    remover: Remover = field(default_factory=Remover)
    ended: list[Group] = field(default_factory=list)
    """Of workers that are gone, with something in them that has not ended yet."""
    forked: int = 0
    folder: str = ""
    """Its own, in which each worker has one."""
    holds: int = -1
    """Descriptor by which others see that it lives."""

    def run(self) -> None:
        """Serve until the server closes the control socket."""
        self.poll.register(self.control, select.POLLIN)
        self._load("")
        groups.prepare()
        self.folder, self.holds = folders.make_own()
        self.remover.sweeps = True
        is_left = self.remover.go_on()
        while True:
            found = {descriptor for descriptor, _ in self.poll.poll(self._patience(is_left))}
            for descriptor in found & self.by_control.keys():
                self._hear(self.by_control[descriptor])
            for descriptor in found & self.by_link.keys():
                self._hung_up(self.by_link[descriptor])
            # Last: a child that has just finished takes the next call.
            if self.control.fileno() in found and not self._accept():
                return
            now = time.monotonic()
            for worker in [*self.workers.values()]:
                worker.watch(now)
                if worker.idle_since is not None and now > worker.idle_since + IDLE_SECONDS:
                    worker.retire()
                if worker.reap():
                    self._bury(worker)
            self.ended = [one for one in self.ended if not one.remove()]
            is_left = self.remover.go_on() or bool(self.ended)
            is_left |= linux.bury_orphans({*self.workers, self.remover.pid})

    def end(self) -> None:
        """Kill what still runs and remove its files."""
        for worker in self.workers.values():
            worker.end()
            self._leave(worker)
        self.remover.take(self.folder)
        self.remover.end()
        linux.end_orphans()
        for group in self.ended:
            group.remove()

    def _patience(self, is_left: bool) -> float | None:
        """Return milliseconds until somebody has to be looked at; None: not before a message."""
        if self.workers or self.by_link:
            return WATCH_SECONDS * 1000
        return _LEFT_SECONDS * 1000 if is_left else None

    def _accept(self) -> bool:
        _, descriptors, _, _ = socket.recv_fds(self.control, 1, 2)
        if len(descriptors) != 2:
            return False
        link, verdict = (socket.socket(fileno=descriptor) for descriptor in descriptors)
        body = wire.read_frame(link, max_bytes=wire.MAX_HEADER_BYTES)
        header = wire.Header.decode(body)
        assert header is not None  # the server looked at it before
        self._load(header.function)
        call = Call(link=link, verdict=verdict, header=header)
        worker = self._idle(header)
        if worker is None or not worker.hand(call, body):
            if worker is not None:
                worker.kill("gone")  # it died while it waited
            worker = self._fork(call, body)
        self.by_link[link.fileno()] = worker
        self.poll.register(link, 0)  # no event but a hang-up
        return True

    def _idle(self, header: wire.Header) -> Worker | None:
        """Return a child that waits for calls of this caller."""
        if header.fresh or header.function not in self.reused:
            return None
        return next(
            (
                worker
                for worker in self.by_control.values()
                if worker.idle_since is not None
                and worker.retired_at is None
                and worker.killed is None
                and worker.caller == header.caller
            ),
            None,
        )

    def _fork(self, call: Call, body: bytes) -> Worker:
        reused = call.header.function in self.reused and not call.header.fresh
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        folder = f"{self.folder}/{self.forked}"
        os.mkdir(folder, 0o700)  # noqa: PTH102 (for each worker)
        gc.freeze()  # shared pages stay shared: the child's collector does not touch them
        group = groups.make(self.forked)
        self.forked += 1
        pid = os.fork()
        if pid == 0:
            self.control.close()
            os.close(self.holds)
            ours.close()
            for other in self.workers.values():
                other.close()
            call.verdict.close()
            if group is not None:
                group.enter()
            if reused:
                call.link.close()
                child.serve_calls(theirs, folder=folder)
            theirs.close()
            child.run_call(call.link, call.header, folder=folder)
        theirs.close()
        worker = Worker(pid=pid, folder=folder, caller=call.header.caller, group=group)
        self.workers[pid] = worker
        if reused:
            worker.control = ours
            self.by_control[ours.fileno()] = worker
            self.poll.register(ours, select.POLLIN)
            worker.hand(call, body)
        else:
            ours.close()
            worker.begin(call)
        return worker

    def _load(self, function: str) -> None:
        """Import what the function needs, once; the child reports what is missing."""
        if function in self.loaded:
            return
        self.loaded.add(function)
        try:
            module = importlib.import_module(self.module)
            sandbox.warm(self.module)
            self.reused = frozenset(getattr(module, "REUSED", ()))
            for name in getattr(module, "PRELOAD", {}).get(function, ()):
                importlib.import_module(name)
        except ImportError:
            return

    def _hear(self, worker: Worker) -> None:
        """Take a child's word that it has answered; its socket's end is seen as its death."""
        if not worker.heard() or worker.call is None:
            return
        self._forget(worker.call)
        worker.finish()

    def _hung_up(self, worker: Worker) -> None:
        assert worker.call is not None
        if worker.control is not None and worker.heard():
            self._forget(worker.call)
            worker.finish()
        else:
            self.poll.unregister(worker.call.link)
            worker.abandon()

    def _forget(self, call: Call) -> None:
        del self.by_link[call.link.fileno()]
        if not call.abandoned:
            self.poll.unregister(call.link)

    def _bury(self, worker: Worker) -> None:
        del self.workers[worker.pid]
        if worker.control is not None:
            self.poll.unregister(worker.control)
            del self.by_control[worker.control.fileno()]
        if worker.call is not None:
            self._forget(worker.call)
        worker.bury()
        self._leave(worker)

    def _leave(self, worker: Worker) -> None:
        """Have what a worker leaves removed."""
        self.remover.take(worker.folder)
        if worker.group is not None and not worker.group.remove():
            self.ended.append(worker.group)


def serve(module: str, control: socket.socket) -> NoReturn:
    """Run a forker in this (freshly forked) process and end it."""
    # The server's death is seen as the end of its socket, so that files are cleared up after it.
    linux.leave_network()
    linux.adopt_orphans()
    forker = _Forker(module=module, control=control)
    try:
        forker.run()
    finally:
        forker.end()
        os._exit(0)
