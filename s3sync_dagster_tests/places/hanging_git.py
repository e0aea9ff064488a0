"""A server of repositories that keeps each fetch alive and never sends a file."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer

from s3sync_dagster_tests.places.test_git_floods import COMMIT, Flood, packet

OLD = b"side-band-64k shallow filter allow-tip-sha1-in-want symref=HEAD:refs/heads/main"
"""What a server of protocol 0 says it can."""


@dataclass
class HangingGit:
    """What a test knows of it."""

    url: str
    fetches: list[str] = field(default_factory=list[str])
    """Paths of those that were begun."""
    over: threading.Event = field(default_factory=threading.Event)
    """Has all end that hangs."""


@contextmanager
def hanging_git(*, protocol: int = 2) -> Iterator[HangingGit]:
    """Serve until the block ends, by a protocol that the server chooses."""

    class Handler(Flood):
        def do_GET(self) -> None:  # noqa: N802
            if protocol == 2:
                super().do_GET()
                return
            self._begin("advertisement")
            refs = packet(COMMIT + b" HEAD\0" + OLD + b"\n")
            refs += packet(COMMIT + b" refs/heads/main\n") + b"0000"
            self._end(packet(b"# service=git-upload-pack\n") + b"0000" + refs)

        def do_POST(self) -> None:  # noqa: N802
            if protocol == 2:
                super().do_POST()
                return
            asked = self._body()
            self._begin("result")
            shallow = packet(b"shallow " + COMMIT) + b"0000"
            if b"done" not in asked:
                self._end(shallow)
                return
            self._chunk(shallow)
            self._chunk(packet(b"NAK\n"))
            self._without_end(b"")

        def _without_end(self, piece: bytes) -> None:
            del piece
            served.fetches.append(self.path)
            self.close_connection = True
            try:
                while not served.over.wait(0.1):
                    self._chunk(packet(b"\x01") * 300)
            except OSError:  # git has ended
                return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        served = HangingGit(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield served
        finally:
            served.over.set()
            server.shutdown()
            thread.join()
