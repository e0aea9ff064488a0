"""Chroma, embedding and vision endpoints and Dagster whose answers do not end."""

import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from s3sync_dagster.embedding import endpoint
from s3sync_dagster.embedding.endpoint import Endpoint
from s3sync_dagster.extraction import vision
from s3sync_dagster.http_bounds import ACCEPTED, STREAMED, UnboundedAnswer, bounded, bounded_client
from s3sync_dagster.model.errors import S3SyncError, Unavailable
from s3sync_dagster.ports import chroma_http, dagster_queries
from s3sync_dagster.ports.chroma_http import ChromaHttp
from s3sync_dagster.ports.dagster_queries import GraphQL
from s3sync_dagster_tests.conftest_catalog import HandClock
from s3sync_dagster_tests.endless_http import Endless, endless_server, trickle, without_end
from s3sync_dagster_tests.opened import closed_after

MEBIBYTE = 1024 * 1024


@pytest.fixture
def server() -> Iterator[Endless]:
    with endless_server() as running:
        running.media = "application/json"
        yield running


def opened(server: Endless, most_bytes: int = MEBIBYTE, seconds: float = 1.0) -> httpx.Client:
    hooks = bounded(most_bytes, seconds)
    return closed_after(
        httpx.Client(base_url=server.url, headers=ACCEPTED, event_hooks=hooks, trust_env=False)
    )


@pytest.mark.parametrize("status", [200, 302, 404, 500])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_answer_without_an_end(server: Endless, method: str, status: int) -> None:
    server.status = status
    server.pieces = lambda _: without_end(b"", b"x")
    with pytest.raises(UnboundedAnswer):
        opened(server).request(method, "/")
    assert server.sent < 16 * MEBIBYTE


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_an_answer_without_a_body_may_say_how_it_would_be_packed(server, encoding):
    server.encoding, server.status = encoding, 404
    server.pieces = lambda _: iter(())
    assert opened(server).get("/").content == b""


@pytest.mark.parametrize("form", [31, 15, -15], ids=["gzip", "deflate", "bare"])
def test_what_is_packed_is_unpacked_up_to_the_bound(server: Endless, form: int) -> None:
    def packed(size: int) -> Iterator[bytes]:
        packing = zlib.compressobj(wbits=form)
        yield packing.compress(b" " * size) + packing.flush()

    server.encoding = "gzip" if form == 31 else "deflate"
    server.pieces = lambda _: packed(MEBIBYTE)
    assert opened(server).get("/").content == b" " * MEBIBYTE
    server.pieces = lambda _: packed(MEBIBYTE + 1)
    with pytest.raises(UnboundedAnswer):
        opened(server).get("/")
    bomb = next(packed(64 * MEBIBYTE))
    server.pieces = lambda _: iter([bomb])
    tracemalloc.start()
    try:
        with pytest.raises(UnboundedAnswer):
            opened(server).get("/")
        assert tracemalloc.get_traced_memory()[1] < 16 * MEBIBYTE
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("encoding", "body"), [("gzip", b"no"), ("br", b"x"), ("gzip, gzip", b"")])
def test_what_is_packed_wrongly_is_a_failure_of_the_network(
    server: Endless, encoding: str, body: bytes
) -> None:
    server.encoding = encoding
    server.pieces = lambda _: iter([body] if body else [])
    with pytest.raises(httpx.TransportError):
        opened(server).get("/")


def test_an_answer_that_comes_a_byte_now_and_then(server: Endless) -> None:
    server.pieces = lambda _: trickle()
    began = time.monotonic()
    with pytest.raises(httpx.ReadTimeout):
        opened(server).get("/")
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("begin", [b"HTTP/1.1 200 OK\r\nX: ", b""])
def test_headers_that_come_a_byte_now_and_then(server: Endless, begin: bytes) -> None:
    server.headers_first = False
    server.pieces = lambda _: trickle(begin=begin)
    client = closed_after(bounded_client(MEBIBYTE, 1.0, base_url=server.url, trust_env=False))
    for _ in range(2):
        began = time.monotonic()
        with pytest.raises(httpx.TransportError):
            client.get("/")
        assert time.monotonic() - began < 20


def test_a_connection_is_used_again_and_each_answer_has_its_own_time(server: Endless) -> None:
    client = closed_after(bounded_client(MEBIBYTE, 1.0, base_url=server.url, trust_env=False))
    server.pieces = lambda _: iter([b"x"])
    server.keeps = True
    for _ in range(3):
        assert client.get("/").content == b"x"
        time.sleep(0.5)
    assert server.connections == 1


def test_what_is_streamed_is_bounded_where_it_is_refused_alone(server: Endless) -> None:
    server.pieces = lambda _: iter([b"x" * MEBIBYTE] * 3)
    client = opened(server)
    asked = client.build_request("GET", "/", extensions={STREAMED: True})
    assert len(client.send(asked).content) == 3 * MEBIBYTE
    server.status = 404
    with pytest.raises(UnboundedAnswer):
        client.send(asked)


def refused(call: Callable[[], Any], reason: str) -> None:
    with pytest.raises(S3SyncError) as caught:
        call()
    assert (type(caught.value), caught.value.reason) == (Unavailable, reason)


def test_each_client_says_so_and_asks_no_more(
    server: Endless, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in (
        (endpoint, "MOST_BYTES"),
        (chroma_http, "MOST_BYTES"),
        (dagster_queries, "MOST_BYTES"),
        (vision, "_MOST_BYTES"),
    ):
        monkeypatch.setattr(module, name, MEBIBYTE)
    server.pieces = lambda _: without_end(b"{", b'"a":')
    chroma = closed_after(ChromaHttp(server.url, clock=clock))
    refused(lambda: chroma.call("get", "POST", "x", {}, subject="it"), "answer_too_long")
    assert len(server.asked) == 1
    refused(lambda: Endpoint(server.url, clock=clock).post({}), "answer_too_long")
    assert len(server.asked) == 2
    dagster = closed_after(GraphQL(server.url, timeout_seconds=5))
    refused(lambda: dagster.ask("{a}"), "dagster_unavailable")
    ask = vision._ask  # pyright: ignore[reportPrivateUsage]
    refused(lambda: ask(server.url, model="m", headers={}, picture=b"x"), "vision_down")


@pytest.mark.parametrize("body", [b"[" * 90_000, b"[]," * 200_000, b'{"a":' * 90_000])
def test_lists_in_lists_are_no_vectors(server: Endless, clock: HandClock, body: bytes) -> None:
    server.pieces = lambda _: iter([body])
    with pytest.raises(Unavailable) as caught:
        Endpoint(server.url, clock=clock, tries=1).post({})
    assert caught.value.reason in ("bad_vectors", "answer_too_long")


def test_lists_in_lists_are_no_answer_of_chroma(server: Endless, clock: HandClock) -> None:
    server.pieces = lambda _: iter([b"[" * 90_000])
    chroma = closed_after(ChromaHttp(server.url, clock=clock, tries=1))
    refused(lambda: chroma.call("get", "POST", "x", {}, subject="it"), "bad_answer")
