"""Answers of Azure's and Google's services that do not end, or make much of few bytes."""

import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from s3sync_dagster.model.errors import InvalidSetting, S3SyncError, Unavailable
from s3sync_dagster.places import cloud_bounds
from s3sync_dagster.places.cloud_bounds import MOST_BYTES, require_plain
from s3sync_dagster.places.files import FilesPlace
from s3sync_dagster.places.files_store import FilesStore
from s3sync_dagster_tests.endless_http import Endless, endless_server, trickle, without_end
from s3sync_dagster_tests.places.file_servers import open_place

ON_THE_WAY = 24 * 1024 * 1024
BLOBS = b'<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs>'
KEY = "a2V5a2V5a2V5"


@pytest.fixture
def server() -> Iterator[Endless]:
    with endless_server() as running:
        yield running


def azure(url: str) -> FilesStore:
    pytest.importorskip("adlfs")
    told = f"DefaultEndpointsProtocol=http;AccountName=acc;AccountKey={KEY};BlobEndpoint={url}/acc;"
    place = FilesPlace(store_url="abfs://c@acc.dfs.core.windows.net/docs", token_env="SECRET")
    return open_place(place, {"SECRET": told})


def google(monkeypatch: pytest.MonkeyPatch, url: str) -> FilesStore:
    pytest.importorskip("gcsfs")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
    return open_place(FilesPlace(store_url="gs://some-bucket/docs"), {})


def refused(store: FilesStore) -> S3SyncError:
    with pytest.raises(S3SyncError) as caught:
        store.list_unordered("", token=None)
    return caught.value


@pytest.mark.parametrize("status", [200, 400])
def test_an_answer_of_azure_without_an_end(server: Endless, status: int) -> None:
    server.status = status
    server.pieces = lambda _: without_end(BLOBS, b"<Blob><Name>docs/a</Name></Blob>")
    assert refused(azure(server.url)).reason == "answer_too_long"
    assert server.sent < MOST_BYTES + ON_THE_WAY
    assert len(server.asked) == 1


def test_an_answer_of_azure_that_declares_attributes_or_is_packed(server: Endless) -> None:
    attributes = " ".join(f'a{one} CDATA "x"' for one in range(9000))
    body = f"<!DOCTYPE l [<!ATTLIST a {attributes}>]><l>{'<a/>' * 3000}</l>".encode()
    server.pieces = lambda _: iter((body,))
    began = time.thread_time()
    assert "declares" in refused(azure(server.url)).message
    assert time.thread_time() - began < 20
    server.encoding = "gzip"
    server.pieces = lambda _: iter((gzip.compress(b" " * (MOST_BYTES + 1)),))
    assert refused(azure(server.url)).reason == "answer_too_long"
    with pytest.raises(Unavailable):
        require_plain(BLOBS + b"<a/>" * 1_500_000, "")


def test_an_honest_page_of_azure_is_taken(server: Endless) -> None:
    blob = (
        "<Blob><Name>docs/a.md</Name><Properties><Etag>0x1</Etag><Content-Length>4</Content-Length>"
        "<Last-Modified>Wed, 01 Jan 2025 00:00:00 GMT</Last-Modified>"
        "<BlobType>BlockBlob</BlobType></Properties></Blob>"
    )
    body = BLOBS + blob.encode() + b"</Blobs><NextMarker/></EnumerationResults>"
    server.pieces = lambda _: iter((body,))
    page = azure(server.url).list_unordered("", token=None)
    assert [one.key for one in page.objects] == ["a.md"]


def test_an_azure_that_is_down_is_told_soon() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        began = time.monotonic()
        assert refused(azure(url)).reason in ("store_failed", "store_timeout")
        assert time.monotonic() - began < 12


def test_an_answer_of_google_without_an_end(
    server: Endless, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.media = "application/json"
    server.pieces = lambda _: without_end(b'{"kind":"storage#objects","items":[', b'{"name":"a"},')
    store = google(monkeypatch, server.url)
    assert refused(store).reason == "answer_too_long"
    assert server.sent < MOST_BYTES + ON_THE_WAY


def test_a_service_account_s_key_asks_google_alone_for_tokens() -> None:
    pytest.importorskip("gcsfs")
    key: dict[str, Any] = {"type": "service_account", "token_uri": "http://127.0.0.1:9/token"}
    place = FilesPlace(store_url="gs://some-bucket/docs", token_env="SECRET")
    with pytest.raises(InvalidSetting):
        open_place(place, {"SECRET": json.dumps(key)}).list_unordered("", token=None)


def test_a_name_of_azure_that_takes_gigabytes_to_decode(server: Endless) -> None:
    blob = b'<Blob><Name Encoded="true">' + b"%61" * 1_200_000 + b"</Name></Blob>"
    server.pieces = lambda _: iter((BLOBS + blob + b"</Blobs></EnumerationResults>",))
    assert refused(azure(server.url)).reason == "answer_too_long"


def test_headers_of_azure_that_do_not_end(server: Endless, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud_bounds, "ANSWER_SECONDS", 1.0)
    server.headers_first = False
    server.pieces = lambda _: (one.strip() + b"HTTP/1.1 100 C\r\n\r\n" for one in trickle())
    store = azure(server.url)
    assert refused(store).reason == "store_timeout"
    until = time.monotonic() + 10
    while any(one.name == "s3sync-files" for one in threading.enumerate()):
        assert time.monotonic() < until
        time.sleep(0.05)
