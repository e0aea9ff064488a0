"""Servers of repositories that answer without an end: what git would take of memory and disk."""

import threading
import time
import zlib
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.places import git_program
from s3sync_dagster_tests.contracts.object_worlds import all_refs
from s3sync_dagster_tests.places.test_git import opened

COMMIT = b"1" * 40
MEBIBYTE = 1024 * 1024
MOST_SENT = 512 * MEBIBYTE


class Flood(BaseHTTPRequestHandler):
    """A server of git that says what is asked for, or without an end what the path names."""

    protocol_version = "HTTP/1.1"
    sent = 0
    """Bytes of what goes on without an end, before they are packed."""

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._begin("advertisement")
        if "refs-without-end" not in self.path:
            greets = (b"version 2\n", b"ls-refs=unborn\n", b"fetch=shallow filter\n")
            lines = b"".join(map(packet, greets))
            self._end(packet(b"# service=git-upload-pack\n") + b"0000" + lines + b"0000")
            return
        self._without_end(b"0" * MEBIBYTE)

    def do_POST(self) -> None:
        asked = self._body()
        self._begin("result")
        if b"command=ls-refs" in asked:
            head = packet(COMMIT + b" HEAD symref-target:refs/heads/main\n")
            self._end(head + packet(COMMIT + b" refs/heads/main\n") + b"0000")
            return
        self._chunk(packet(b"packfile\n"))
        self._without_end(packet(b"\x02" + b"x" * 65_000 + b"\n") * 16)

    def _begin(self, kind: str) -> None:
        self.send_response(200)
        self.send_header("content-type", f"application/x-git-upload-pack-{kind}")
        self.send_header("transfer-encoding", "chunked")
        self._packer = None
        if "packed" in self.path:
            self._packer = zlib.compressobj(9, zlib.DEFLATED, 31)
            self.send_header("content-encoding", "gzip")
        self.end_headers()

    def _body(self) -> bytes:
        if "content-length" in self.headers:
            body = self.rfile.read(int(self.headers["content-length"]))
        else:
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        packed = self.headers.get("content-encoding") == "gzip"
        return zlib.decompress(body, 31) if packed else body

    def _without_end(self, piece: bytes) -> None:
        try:
            while Flood.sent < MOST_SENT:
                self._chunk(piece)
                Flood.sent += len(piece)
                time.sleep(0.01)
        except OSError:  # git has ended
            return

    def _chunk(self, data: bytes) -> None:
        if self._packer is not None:
            data = self._packer.compress(data)
        if data:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def _end(self, data: bytes) -> None:
        if self._packer is not None:
            data = self._packer.compress(data) + self._packer.flush()
        self.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data))


def packet(line: bytes) -> bytes:
    """Return a line as git frames it."""
    return b"%04x%b" % (len(line) + 4, line)


@contextmanager
def flooding(home: Path, name: str):
    """Give a store of a repository at such a server."""
    Flood.sent = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), Flood) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            repository = f"http://127.0.0.1:{server.server_port}/{name}"
            with opened(None, home, repository=repository) as store:
                yield store
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("name", ["refs-without-end", "refs-without-end-packed"])
def test_a_list_of_refs_without_an_end_fills_no_memory(tmp_path, monkeypatch, name):
    monkeypatch.setattr(git_program, "MEMORY_BYTES", 128 * MEBIBYTE)
    with flooding(tmp_path / "home", name) as store:
        with pytest.raises(S3SyncError) as caught:
            all_refs(store)
        assert caught.value.reason == "repository_too_large"
    assert Flood.sent < MOST_SENT


def test_what_a_server_says_beside_the_files_fills_no_disk(tmp_path):
    with flooding(tmp_path / "home", "chatty") as store:
        with pytest.raises(S3SyncError) as caught:
            all_refs(store)
        assert caught.value.reason == "git_failed"
    assert Flood.sent < MOST_SENT / 2
