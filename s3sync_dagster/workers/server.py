"""The one clean process from which all workers descend.

``python -m s3sync_dagster.workers.server --fd N`` serves the process that started it and ends with
it (end of file on the socket). ``--socket PATH`` keeps warm workers for everyone who may open the
path, and ends on SIGTERM or when its parent ends. It has one thread, imports the standard library
only, and forks one ``forker`` per module on first use.
"""

import argparse
import os
import selectors
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

from s3sync_dagster.workers import forker, linux, processes, wire
from s3sync_dagster.workers.remover import sweep_apart

_END_SECONDS = 2.0
_PARENT_CHECK_SECONDS = 1.0


class Server:
    """Hands each call to the forker of its module."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._forkers: dict[str, tuple[int, socket.socket]] = {}
        self._main: socket.socket | None = None
        self._parent = os.getppid()
        self._stopped = False

    def serve_caller(self, control: socket.socket) -> None:
        """Serve one caller until it is gone."""
        self._main = control
        self._selector.register(control, selectors.EVENT_READ, self._receive)
        self._loop()

    def serve_path(self, path: Path) -> None:
        """Serve everyone who connects to a socket that only this user may open."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        path.unlink(missing_ok=True)
        before = os.umask(0o077)
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
        listener.listen(64)
        self._selector.register(listener, selectors.EVENT_READ, self._connect)
        try:
            self._loop()
        finally:
            path.unlink(missing_ok=True)

    def stop(self, *_: object) -> None:
        """End after the current event."""
        self._stopped = True

    def _loop(self) -> None:
        try:
            while not self._stopped:
                timeout = None if self._main else _PARENT_CHECK_SECONDS
                for key, _ in self._selector.select(timeout):
                    key.data(key.fileobj)
                if self._main is None and os.getppid() != self._parent:
                    return
        finally:
            self._end_forkers()

    def _connect(self, listener: socket.socket) -> None:
        control, _ = listener.accept()
        self._selector.register(control, selectors.EVENT_READ, self._receive)

    def _receive(self, control: socket.socket) -> None:
        try:
            _, descriptors, _, _ = socket.recv_fds(control, 1, 2)
        except ConnectionResetError:
            descriptors = []
        if len(descriptors) == 2:
            self._pass_on(descriptors)
            return
        self._selector.unregister(control)
        control.close()
        if control is self._main:
            self._stopped = True

    def _pass_on(self, descriptors: list[int]) -> None:
        with socket.socket(fileno=descriptors[0]) as link, socket.socket(fileno=descriptors[1]):
            link.settimeout(_END_SECONDS)
            header = wire.peek_header(link)
            # Closing both ends without a word tells the caller that nobody served it.
            if header is None or not header.module.startswith("s3sync_dagster"):
                return
            link.settimeout(None)
            socket.send_fds(self._forker(header.module), [b"c"], descriptors)

    def _forker(self, module: str) -> socket.socket:
        if module not in self._forkers:
            self._forkers[module] = self._start(module)
        return self._forkers[module][1]

    def _start(self, module: str) -> tuple[int, socket.socket]:
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            # An end of someone else's socket that stays open here would hide that it was closed.
            os.closerange(3, theirs.fileno())
            os.closerange(theirs.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            forker.serve(module, theirs)
        theirs.close()
        self._selector.register(ours, selectors.EVENT_READ, self._bury)
        return pid, ours

    def _bury(self, control: socket.socket) -> None:
        """Forget a forker that ended: it never writes, so this is the end of its socket."""
        self._selector.unregister(control)
        control.close()
        for module, (pid, link) in list(self._forkers.items()):
            if link is control:
                del self._forkers[module]
                os.waitpid(pid, 0)
        self._end_strays()

    def _end_strays(self) -> None:
        """Kill what a forker has left that was killed itself; the kernel gives it to us."""
        known = {pid for pid, _ in self._forkers.values()}
        ends_at = time.monotonic() + _END_SECONDS
        while strays := set(processes.children_of(os.getpid())) - known:
            for pid in strays:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            linux.bury_orphans(known)
            if time.monotonic() > ends_at:
                return
            time.sleep(0.005)

    def _end_forkers(self) -> None:
        for _, control in self._forkers.values():
            control.close()
        ends_at = time.monotonic() + _END_SECONDS
        is_left = False
        for pid, _ in self._forkers.values():
            while os.waitpid(pid, os.WNOHANG)[0] == 0:
                if time.monotonic() > ends_at:
                    is_left = True
                    os.kill(pid, signal.SIGKILL)
                time.sleep(0.005)
        self._forkers.clear()
        self._end_strays()
        if is_left:  # of the files of its workers
            sweep_apart()


def main(arguments: list[str]) -> None:
    """Run a server for one caller (``--fd``) or for a path (``--socket``)."""
    parser = argparse.ArgumentParser(prog="s3sync_dagster.workers.server")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--fd", type=int, help="inherited socket of the caller")
    where.add_argument("--socket", type=Path, help="path to listen on")
    options = parser.parse_args(arguments)
    server = Server()
    linux.adopt_orphans()
    # The caller may have handed down blocked or ignored signals.
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    signal.signal(signal.SIGTERM, server.stop)
    if options.fd is not None:
        server.serve_caller(socket.socket(fileno=options.fd))
    else:
        server.serve_path(options.socket)


if __name__ == "__main__":
    main(sys.argv[1:])
