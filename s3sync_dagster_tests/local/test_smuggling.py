"""Requests that two servers might read in two ways: what passes was judged as read."""

import socket
import threading
import time
from contextlib import suppress

import pytest
import uvicorn

from s3sync_dagster.local.chroma_door import Forwarding
from s3sync_dagster.local.door import Door, door_protocol
from s3sync_dagster_tests.scripted_http import scripted_server

HOST = b"Host: 127.0.0.1\r\n"
JSON = b"Content-Type: application/json\r\n"
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: rebound.example\r\n\r\n"


@pytest.fixture(scope="module")
def behind():
    with scripted_server() as server:
        yield server


@pytest.fixture(scope="module")
def port(behind):
    config = uvicorn.Config(
        Door(Forwarding(behind.url)), port=0, log_config=None, http=door_protocol()
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()


def statuses(port, sent, *, answers=1):
    """Return the statuses of so many answers to bytes as they are; after a 400 all there are."""
    heard = b""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as link:
        link.sendall(sent)
        while heard.count(b"HTTP/1.1 ") < answers or heard.startswith(b"HTTP/1.1 400"):
            piece = link.recv(65536)
            if not piece:
                break
            heard += piece
    return [int(one.split(b" ", 1)[0]) for one in heard.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST /a HTTP/1.1\r\n" + HOST + JSON + b"Content-Length: 4\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
        b"POST /a HTTP/1.1\r\n" + HOST + JSON + b"Content-Length: 5\r\n"
        b"Content-Length: 50\r\n\r\nhello" + HIDDEN,
        b"POST /a HTTP/1.1\r\n" + HOST + JSON + b"Transfer-Encoding: xchunked\r\n"
        b"Content-Length: 5\r\n\r\nhello" + HIDDEN,
        b"GET /a HTTP/1.1\r\n" + HOST + b"Host: rebound.example\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost : 127.0.0.1\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: 127.0.0.1\r\n rebound.example\r\n\r\n",
        b"GET /a HTTP/1.1\r\n" + HOST + b"X: a\rTransfer-Encoding: chunked\r\n\r\n",
        b"GET http://127.0.0.1/a HTTP/1.1\r\nHost: rebound.example\r\n\r\n",
        b"GET /a HTTP/1.1\r\n\r\n",
        b"GET a HTTP/1.1\r\n" + HOST + b"\r\n",
        b"CONNECT 127.0.0.1:22 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
    ],
)
def test_what_can_be_read_in_two_ways_goes_no_further(port, behind, request_bytes):
    behind.asked.clear()
    assert statuses(port, request_bytes) in ([400], [403])
    assert behind.asked == []


def test_what_stands_behind_a_request_is_judged_by_itself(port, behind):
    behind.asked.clear()
    head = b"POST /a HTTP/1.1\r\n" + HOST + JSON
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    assert statuses(port, chunked + HIDDEN, answers=2) == [200, 403]
    assert statuses(port, head + b"Content-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN) == [200]
    assert [(path, body) for _, path, _, body in behind.asked] == [("/a", b""), ("/a", HIDDEN)]


@pytest.mark.parametrize("other", [b"h2c", b"websocket"])
def test_a_body_behind_an_upgrade_is_no_request(port, behind, other):
    behind.asked.clear()
    upgrade = b"Connection: Upgrade\r\nUpgrade: " + other + b"\r\n"
    body = b"GET /b HTTP/1.1\r\n" + HOST + b"\r\n"
    length = b"Content-Length: %d\r\n\r\n" % len(body)
    with socket.create_connection(("127.0.0.1", port), timeout=60) as link:
        link.sendall(b"POST /a HTTP/1.1\r\n" + HOST + JSON + upgrade + length)
        time.sleep(0.2)  # the parser drops what comes with the head
        heard = b""
        with suppress(ConnectionError):
            link.sendall(body)
            while piece := link.recv(65536):
                heard += piece
    assert heard.count(b"HTTP/1.1 ") <= 1
    assert behind.asked == []
