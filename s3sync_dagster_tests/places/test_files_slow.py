"""Stores that are slow, within what the docs grant them."""

import time

import pytest

from s3sync_dagster.places import files_access, files_index, files_store, files_webdav
from s3sync_dagster_tests.places.test_files_bounds import MULTISTATUS, listing, server

__all__ = ["server"]

MEMBER = (
    b"<D:response><D:href>/docs/%s</D:href><D:propstat><D:prop><D:resourcetype>%s</D:resourcetype>"
    b"</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>"
)


@pytest.mark.parametrize("protocol", ["index", "dav"])
def test_the_names_of_a_folder_may_take_as_long_as_the_docs_say(server, protocol, monkeypatch):
    """Five minutes; here seconds stand for minutes."""
    pages = (files_access, files_index, files_webdav)
    for module in pages:
        monkeypatch.setattr(module, "PAGE_SECONDS", module.PAGE_SECONDS / 60)
    monkeypatch.setattr(files_store, "LIST_SECONDS", files_store.LIST_SECONDS / 60)

    def pieces(_):
        whole = MULTISTATUS + MEMBER % (b"", b"<D:collection/>")
        yield whole if protocol == "dav" else b"<a href=x/y>"
        for _ in range(6):
            time.sleep(0.5)
            yield b" "
        if protocol == "dav":
            yield b"</D:multistatus>"

    server.status = 200 if protocol == "index" else 207
    server.pieces = pieces
    assert listing(server, protocol)().objects == ()
