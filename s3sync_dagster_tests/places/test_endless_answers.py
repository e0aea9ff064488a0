"""Servers of buckets and folders that answer without an end, or what is dear to read."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.model.s3_place import S3Place
from s3sync_dagster.places.files import FilesPlace
from s3sync_dagster.places.files_index import _links_of  # pyright: ignore[reportPrivateUsage]
from s3sync_dagster_tests.opened import open_object_store
from s3sync_dagster_tests.places.file_servers import all_refs, open_place

MIB = 1024 * 1024
MOST = 96
"""Of MiB, after which the server gives up: whoever took them would have taken any number."""


@contextmanager
def endless(head: bytes, piece: bytes, content_type: str) -> Iterator[tuple[str, list[int]]]:
    sent = [0]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(207 if self.command == "PROPFIND" else 200)
            self.send_header("Content-Type", content_type)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.close_connection = True
            try:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(head), head))
                while sent[0] < MOST * MIB:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                    sent[0] += len(piece)
            except OSError:
                pass

        do_PROPFIND = do_GET  # noqa: N815

        def log_message(self, *_: object, **_more: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}", sent
    finally:
        server.shutdown()
        server.server_close()


def test_a_listing_page_without_an_end_is_not_read_to_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    entry = b"<Contents><Key>%s</Key><Size>1</Size></Contents>" % (b"k" * 1000)
    with endless(b"<ListBucketResult>", entry * 64, "application/xml") as (host, sent):
        place = S3Place(bucket_name="bucket", endpoint_url=f"http://{host}")
        store = open_object_store(place, resolve_env=os.environ.get, spool_dir=tmp_path)
        with pytest.raises(S3SyncError):
            store.list_page("", start_after=None)
        store.close()
    assert sent[0] < MOST * MIB


def test_a_folder_page_without_an_end_is_not_read_to_it() -> None:
    with endless(b"<html>", b"a" * 65536, "text/html") as (host, sent):
        store = open_place(FilesPlace(store_url=f"index+http://{host}/x"), {})
        with pytest.raises(S3SyncError):
            all_refs(store)
        store.close()
    assert sent[0] < MOST * MIB


def test_an_answer_of_a_webdav_server_without_an_end_is_not_read_to_it() -> None:
    one = b"<D:response><D:href>/x/a.md</D:href></D:response>"
    head = b'<?xml version="1.0"?><D:multistatus xmlns:D="DAV:">'
    with endless(head, one * 1000, "application/xml") as (host, sent):
        store = open_place(FilesPlace(store_url=f"dav://{host}/x"), {})
        with pytest.raises(S3SyncError):
            all_refs(store)
        store.close()
    assert sent[0] < MOST * MIB


def test_the_links_of_a_folder_page_are_found_in_linear_time() -> None:
    before = time.thread_time()
    _links_of("<a " * 8000)
    assert time.thread_time() - before < 2.5
