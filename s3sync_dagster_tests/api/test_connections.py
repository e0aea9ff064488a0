"""Who is silent, slow or many does not silence the API: a server of its own with real sockets."""

import socket
import threading
import time
from contextlib import ExitStack, contextmanager

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request
from starlette.responses import Response

from s3sync_dagster.api import connections
from s3sync_dagster.api.guards import BodyLimits
from s3sync_dagster.api.options import ApiOptions
from s3sync_dagster.api.server import configure

OPTIONS = ApiOptions(
    head_timeout_seconds=0.6, body_timeout_seconds=0.6, connections=20, connections_per_address=15
)


def application(options: ApiOptions, gate: threading.Event) -> FastAPI:
    app = FastAPI()

    @app.get("/")
    def hello() -> str:
        return "hello"

    @app.get("/slow")
    def slow() -> str:
        gate.wait(20)
        return "slow"

    @app.get("/large")
    def large() -> Response:
        return Response(b"x" * 50_000_000)

    @app.post("/webhooks/one")
    @app.post("/body")
    async def body(request: Request) -> int:
        return len(await request.body())

    app.add_middleware(BodyLimits, options=options)
    return app


@contextmanager
def serving(options: ApiOptions, gate: threading.Event):
    server = uvicorn.Server(
        configure(application(options, gate), options, host="127.0.0.1", port=0)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        gate.set()
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def gate():
    return threading.Event()


@pytest.fixture(scope="module")
def port(gate):
    with serving(OPTIONS, gate) as port:
        yield port


@contextmanager
def connected(port, *, source="127.0.0.1"):
    with socket.create_connection(("127.0.0.1", port), 10, source_address=(source, 0)) as link:
        yield link


def ended_after(link):
    """Return the seconds until the server ends the connection."""
    began = time.monotonic()
    link.settimeout(10)
    try:
        while link.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return time.monotonic() - began


def sent_until_ended(link, parts, *, pause=0.0):
    """Send one part after another; return whether the server ended the connection meanwhile."""
    try:
        for part in parts:
            link.sendall(part)
            time.sleep(pause)
    except OSError:
        return True
    return False


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nhost: x\r\n"])
def test_a_head_that_does_not_come_is_not_waited_for(port, sent):
    with connected(port) as link:
        link.sendall(sent)
        assert ended_after(link) < 5


def test_nor_is_the_head_of_a_second_request(port):
    with connected(port) as link:
        link.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert link.recv(1000).endswith(b'hello"')
        link.sendall(b"GET / HTTP/1.1\r\nho")
        assert ended_after(link) < 5


def test_a_head_that_comes_byte_by_byte_is_not_waited_for(port):
    with connected(port) as link:
        began = time.monotonic()
        head = b"GET / HTTP/1.1\r\nhost: " + b"x" * 1000
        assert sent_until_ended(link, (bytes([byte]) for byte in head), pause=0.05)
        assert time.monotonic() - began < 5


def test_a_head_without_end_is_not_kept(port):
    with connected(port) as link:
        link.sendall(b"GET / HTTP/1.1\r\n")
        lines = (b"x-%d: %s\r\n" % (number, b"y" * 1000) for number in range(100_000))
        assert sent_until_ended(link, lines)


@pytest.mark.parametrize(("path", "piece"), [(b"/body", b"x"), (b"/webhooks/one", b"x" * 1000)])
def test_a_body_that_trickles_is_not_waited_for(port, path, piece):
    with connected(port) as link:
        link.sendall(b"POST " + path + b" HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n")
        began = time.monotonic()
        link.settimeout(0.05)
        answer = b""
        while not answer:
            link.sendall(piece)
            try:
                answer = link.recv(100)
            except TimeoutError:
                assert time.monotonic() - began < 5
        assert b" 408 " in answer


def test_an_answer_that_nobody_takes_is_given_up(port, monkeypatch):
    monkeypatch.setattr(connections, "READER_SECONDS", 0.3)
    with connected(port) as link:
        link.sendall(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
        time.sleep(1.5)  # reading nothing is what is tested
        received = 0
        link.settimeout(10)
        try:
            while part := link.recv(1 << 20):
                received += len(part)
        except ConnectionResetError:
            pass
        assert received < 50_000_000
    assert len(httpx.get(f"http://127.0.0.1:{port}/large").content) == 50_000_000


def test_idle_connections_keep_nobody_out(port):
    with ExitStack() as stack:
        for number in range(60):
            link = stack.enter_context(connected(port, source=f"127.0.0.{1 + number % 6}"))
            link.sendall(b"GET / HTTP/1.1\r\n")
            if number % 10 == 9:
                assert httpx.get(f"http://127.0.0.1:{port}/").json() == "hello"


def test_requests_of_one_address_leave_places_to_others(port, gate):
    with ExitStack() as stack:
        for _ in range(15):
            link = stack.enter_context(connected(port, source="127.0.0.9"))
            link.sendall(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
        time.sleep(0.5)  # until all of them are served
        with connected(port, source="127.0.0.9") as link:
            assert link.recv(100).startswith(b"HTTP/1.1 503 ")
        assert httpx.get(f"http://127.0.0.1:{port}/body").status_code == 405  # no thread is free
        gate.set()


def test_a_connection_that_is_used_again_may_rest_between_requests(port):
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as http:
        for _ in range(3):
            assert http.get("/").json() == "hello"
            time.sleep(0.8)  # longer than a head may take
        assert http.get("/").json() == "hello"
