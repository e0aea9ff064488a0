"""Who is silent, slow or many at the doors of Dagster and Chroma keeps nobody out of them."""

import socket
import threading
import time
from asyncio import sleep
from collections import Counter
from contextlib import ExitStack, contextmanager

import httpx
import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from websockets.sync.client import connect

from s3sync_dagster.local import door
from s3sync_dagster.local.door import Door, door_protocol
from s3sync_dagster_tests.waiting import wait_for

HEAD = b"GET /server_info HTTP/1.1\r\nHost: 127.0.0.1\r\n"


UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
running: "Counter[str]" = Counter()


async def until_gone(receive, send):
    while (await receive())["type"] != "http.disconnect":
        pass


async def much(_receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for more in [True] * 400 + [False]:
        await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": more})


async def echoing(scope, receive, send):
    kind = {"/waits": until_gone, "/writes": much}.get(scope["path"])
    if kind is not None:
        running[scope["path"]] += 1
        try:
            await kind(receive, send)
        finally:
            running[scope["path"]] -= 1
    elif scope["type"] == "http":
        await PlainTextResponse("hello")(scope, receive, send)
    else:
        await echo(receive, send)


async def echo(receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


class Mute:
    """A keeper whom nobody hears."""

    admits = still_admits = None


@contextmanager
def standing(monkeypatch, *, connections, keeper=None):
    monkeypatch.setattr(door, "CONNECTIONS", connections)
    protocol = door_protocol()
    config = uvicorn.Config(
        Door(echoing, keeper=keeper), port=0, log_config=None, lifespan="off", http=protocol
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1], protocol.registry
    finally:
        server.should_exit = server.force_exit = True  # whatever a failed test left running
        thread.join()


@pytest.mark.parametrize("name", ["dagster", "chroma"])
def test_the_doors_of_a_stack_keep_no_head_without_end(tiny_stack, name):
    url = httpx.URL(getattr(tiny_stack.addresses, name))
    with socket.create_connection((url.host, url.port), 10) as link:
        link.sendall(HEAD)
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            link.sendall((b"x: " + b"y" * 1000 + b"\r\n") * 30_000)


def test_the_doors_of_a_stack_wait_for_no_head(tiny_stack):
    urls = [httpx.URL(one) for one in (tiny_stack.addresses.dagster, tiny_stack.addresses.chroma)]
    with ExitStack() as stack:
        links = [
            stack.enter_context(socket.create_connection((one.host, one.port), 10)) for one in urls
        ]
        for link in links:
            link.sendall(HEAD)
            link.settimeout(door.HEAD_SECONDS + 20)
        for link in links:
            assert not heard(link)


def heard(link):
    """Return what comes before the end of a connection."""
    try:
        return link.recv(1000)
    except ConnectionResetError:
        return b""


def test_heads_that_do_not_end_take_no_place_for_long(monkeypatch):
    with standing(monkeypatch, connections=10) as (port, _), ExitStack() as stack:
        for _ in range(40):
            link = stack.enter_context(socket.create_connection(("127.0.0.1", port), 10))
            link.sendall(HEAD)
        assert httpx.get(f"http://127.0.0.1:{port}/").text == "hello"


def test_websockets_stay_and_leave_their_places_when_they_end(monkeypatch):
    with standing(monkeypatch, connections=10) as (port, registry):
        with connect(f"ws://127.0.0.1:{port}/") as opened, ExitStack() as stack:
            for _ in range(40):
                link = stack.enter_context(socket.create_connection(("127.0.0.1", port), 10))
                link.sendall(HEAD)
            assert httpx.get(f"http://127.0.0.1:{port}/").text == "hello"
            opened.send("x" * 200_000)
            assert opened.recv() == "x" * 200_000
        wait_for(lambda: dict(registry._open), lambda found: not found, seconds=20)


@pytest.mark.parametrize(
    ("path", "behind"),
    [
        pytest.param("/waits", UPGRADE, id="upgrade-behind-one-that-waits"),
        pytest.param("/waits", HEAD + b"\r\n" + UPGRADE, id="upgrade-behind-two"),
        pytest.param("/writes", UPGRADE, id="upgrade-behind-one-that-writes"),
    ],
)
def test_a_request_hears_of_the_end_whatever_came_behind_it(monkeypatch, path, behind):
    running.clear()
    with standing(monkeypatch, connections=10) as (port, registry):
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", port), 10) as link:
                link.sendall(HEAD.replace(b"/server_info", path.encode()) + b"\r\n")
                wait_for(lambda: running[path], seconds=5)
                time.sleep(0.1)  # until nobody takes what it writes
                link.sendall(behind)
                time.sleep(0.1)
        wait_for(
            lambda: (running[path], len(registry._open)), lambda found: found == (0, 0), seconds=5
        )


def test_a_websocket_may_follow_a_request_that_was_answered(monkeypatch):
    with (
        standing(monkeypatch, connections=10) as (port, _),
        socket.create_connection(("127.0.0.1", port), 10) as link,
    ):
        link.sendall(HEAD + b"\r\n")
        assert link.recv(1000).endswith(b"hello")
        link.sendall(UPGRADE)
        assert link.recv(1000).startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(UPGRADE[:-2] + b"Content-Length: 9\r\n\r\n", id="a-body"),
        pytest.param(UPGRADE[:-2] + b"Transfer-Encoding: chunked\r\n\r\n", id="a-body-in-chunks"),
        pytest.param(UPGRADE[:-2] + b"x: " + b"y" * 10_000 + b"\r\n\r\n", id="a-long-line"),
        pytest.param(UPGRADE[:-2] + b"x: y\r\n" * 150 + b"\r\n", id="many-lines"),
    ],
)
def test_a_websocket_that_is_none_is_refused_and_takes_no_place(monkeypatch, head):
    with standing(monkeypatch, connections=10) as (port, registry), ExitStack() as stack:
        links = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), 10))
            for _ in range(10)
        ]
        for link in links:
            link.sendall(head)
        assert {link.recv(12) for link in links} == {b"HTTP/1.1 400"}
        wait_for(lambda: dict(registry._open), lambda found: not found, seconds=5)
        assert httpx.get(f"http://127.0.0.1:{port}/").text == "hello"


def test_a_websocket_that_was_not_admitted_makes_room(monkeypatch):
    async def asked_without_end(*_):
        await sleep(60)

    monkeypatch.setattr(Door, "_asked", asked_without_end)
    with standing(monkeypatch, connections=10, keeper=Mute()) as (port, _), ExitStack() as stack:

        def connected():
            return stack.enter_context(socket.create_connection(("127.0.0.1", port), 10))

        links = [connected() for _ in range(10)]
        for link in links:
            link.sendall(UPGRADE)
            time.sleep(0.05)
        connected()
        assert not heard(links[0])
