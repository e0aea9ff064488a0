"""Who is silent, slow or many does not silence the API: a server of its own with real sockets."""

import socket
import threading
import time
from asyncio import sleep
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request
from prometheus_client import CollectorRegistry
from starlette.responses import Response

from s3sync_dagster.api import connections
from s3sync_dagster.api.access import CALLER, Caller
from s3sync_dagster.api.guards import BodyLimits
from s3sync_dagster.api.guesses import network_of
from s3sync_dagster.api.metrics import Traffic
from s3sync_dagster.api.options import ApiOptions
from s3sync_dagster.api.request_log import RequestLog
from s3sync_dagster.api.server import configure
from s3sync_dagster.api.threads import PER_TENANT, Threads
from s3sync_dagster_tests.waiting import wait_for

OPTIONS = ApiOptions(
    head_timeout_seconds=0.6, body_timeout_seconds=0.6, connections=20, connections_per_address=15
)


done: list[int] = []


def application(options: ApiOptions, gate: threading.Event, *, logged: bool) -> FastAPI:
    app = FastAPI()
    threads = Threads()

    @app.get("/")
    def hello() -> str:
        return "hello"

    @app.get("/slow")
    def slow(request: Request) -> str:
        request.scope[CALLER] = caller_of(request)
        gate.wait(20)
        return "slow"

    @app.get("/unknown")
    async def unknown() -> str:
        while not gate.is_set():
            await sleep(0.01)
        return "unknown"

    @app.get("/queued")
    async def queued() -> None:
        def work() -> None:
            done.append(1)
            gate.wait(20)

        await threads.run("a", work)

    @app.get("/large")
    def large() -> Response:
        return Response(b"x" * 50_000_000)

    @app.post("/known")
    async def known(request: Request) -> int:
        request.scope[CALLER] = caller_of(request)
        return len(await request.body())

    @app.post("/webhooks/one")
    @app.post("/body")
    async def body(request: Request) -> int:
        length = len(await request.body())
        return -length if "x-late" in request.headers else length

    app.add_middleware(BodyLimits, options=options)
    if logged:
        app.add_middleware(RequestLog, traffic=Traffic(CollectorRegistry()))
    return app


def caller_of(request):
    return Caller(tenant=request.headers["x-tenant"], role="member")


@contextmanager
def serving(options: ApiOptions, gate: threading.Event, *, logged: bool = False):
    server = uvicorn.Server(
        configure(application(options, gate, logged=logged), options, host="127.0.0.1", port=0)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield server
    finally:
        gate.set()
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def gate():
    return threading.Event()


@pytest.fixture(scope="module")
def server(gate):
    with serving(OPTIONS, gate) as server:
        yield server


@pytest.fixture(scope="module")
def port(server):
    return port_of(server)


def port_of(server):
    return server.servers[0].sockets[0].getsockname()[1]


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
        assert time.monotonic() - began < 25


def test_a_head_without_end_is_not_kept(port):
    with connected(port) as link:
        link.sendall(b"GET / HTTP/1.1\r\n")
        lines = (b"x-%d: %s\r\n" % (number, b"y" * 1000) for number in range(100_000))
        assert sent_until_ended(link, lines)


GET = b"GET %s HTTP/1.1\r\nhost: x\r\n"
UNREAD = (GET % b"/large" + b"\r\n") * 3  # the first is written, the second waits to be
SLOW = GET % b"/slow" + b"x-tenant: %s\r\n\r\n"
BODY = b"POST /known HTTP/1.1\r\nhost: x\r\nx-tenant: %s\r\ncontent-length: 900000\r\n\r\n{"
WAITING = GET % b"/unknown" + b"\r\n"
CHUNKED = b"POST /body HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n"
LINE = b"x: " + b"y" * 1000 + b"\r\n"


@pytest.mark.parametrize(
    ("begun", "going_on"),
    [
        pytest.param(UNREAD + GET % b"/", LINE, id="head-behind-an-unread-answer"),
        pytest.param(UNREAD + GET % b"/" + b"x: ", LINE[3:-2], id="value-behind-it"),
        pytest.param(UNREAD + b"GET /", LINE[3:-2], id="url-behind-it"),
        pytest.param(WAITING + GET % b"/", LINE, id="head-behind-a-running-request"),
        pytest.param(CHUNKED + b"0\r\n", LINE, id="trailers"),
        pytest.param(CHUNKED + b"0\r\nx: ", LINE[3:-2], id="value-of-a-trailer"),
        pytest.param(CHUNKED + b"1;", LINE[3:-2], id="extension-of-a-chunk"),
    ],
)
def test_what_has_no_end_is_not_kept_whatever_is_being_served(gate, begun, going_on):
    gate.clear()
    options = replace(OPTIONS, body_timeout_seconds=60.0)  # nothing else ends it
    with serving(options, gate) as server, connected(port_of(server)) as link:
        link.sendall(begun)
        time.sleep(0.2)  # until it is being served
        link.settimeout(3)  # who reads no further keeps no more
        ended = sent_until_ended(link, [going_on * 30_000])
        assert ended


def test_few_requests_wait_behind_one_that_is_served(server, port, gate):
    gate.clear()
    with connected(port) as link:
        link.sendall(WAITING * 9)
        wait_for(lambda: waiting(server), lambda found: found == [8], seconds=10)
    with connected(port) as link:
        link.sendall(WAITING * 2000)
        assert ended_after(link) < 5
    gate.set()
    with connected(port) as link:
        link.sendall((GET % b"/" + b"\r\n") * 9)
        answers = b""
        while answers.count(b'"hello"') < 9:
            answers += link.recv(65536)


def waiting(server):
    """Return how many requests wait on each connection that has any."""
    return [len(one.pipeline) for one in list(server.server_state.connections) if one.pipeline]


def test_a_head_has_so_many_lines(port):
    for lines, answer in ((190, b"HTTP/1.1 200"), (12_000, b"")):
        with connected(port) as link:
            link.sendall(GET % b"/" + b"a:\r\n" * lines + b"\r\n")
            try:
                assert link.recv(12) == answer
            except ConnectionResetError:
                assert not answer


def test_a_trailer_is_no_header(port):
    with connected(port) as link:
        link.sendall(CHUNKED + b"0\r\nx-late: 1\r\n\r\n")
        assert link.recv(1000).endswith(b"\r\n\r\n2")


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
                assert time.monotonic() - began < 25
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
    gate.clear()
    with ExitStack() as stack:
        for number in range(15):
            link = stack.enter_context(connected(port, source="127.0.0.9"))
            link.sendall(SLOW % (b"t-%d" % (number % 5)))
        time.sleep(0.5)  # until all of them are served
        with connected(port, source="127.0.0.9") as link:
            assert link.recv(100).startswith(b"HTTP/1.1 503 ")
        assert httpx.get(f"http://127.0.0.1:{port}/body").status_code == 405  # no thread is free
        gate.set()


def test_who_finds_no_place_hears_of_it_whatever_was_sent(port, gate, monkeypatch):
    gate.clear()
    monkeypatch.setattr(connections, "TURNED_AWAY", 2)
    monkeypatch.setattr(connections, "TURNED_AWAY_SECONDS", 0.6)

    def answer(link):
        link.sendall(b"GET / HTTP/1.1\r\n")
        time.sleep(0.2)  # until the server has answered
        link.sendall(b"host: x\r\n\r\n")
        return link.recv(12)

    with ExitStack() as stack:
        for number in range(15):
            link = stack.enter_context(connected(port, source="127.0.0.10"))
            link.sendall(SLOW % (b"t-%d" % (number % 5)))
        time.sleep(0.5)  # until all of them are served
        for _ in range(2):
            links = [stack.enter_context(connected(port, source="127.0.0.10")) for _ in range(2)]
            assert [answer(link) for link in links] == [b"HTTP/1.1 503"] * 2
            time.sleep(0.6)  # they make room for others, though the clients stay
        gate.set()


def test_requests_of_nobody_known_make_room_for_others(gate):
    gate.clear()
    webhook = b"POST /webhooks/one HTTP/1.1\r\nhost: x\r\ncontent-length: 900\r\n\r\n{"
    options = replace(OPTIONS, body_timeout_seconds=60.0)
    with serving(options, gate) as server, ExitStack() as stack:
        port = port_of(server)
        known = stack.enter_context(connected(port))
        known.sendall(SLOW % b"a")
        time.sleep(0.2)
        links: list[socket.socket] = []
        for number in range(60):
            links.append(stack.enter_context(connected(port, source=f"127.0.0.{2 + number % 5}")))
            links[-1].sendall([webhook, UNREAD, WAITING * 2][number % 3])
            if number % 10 == 9:
                assert httpx.get(f"http://127.0.0.1:{port}/").json() == "hello"
        assert ended_after(links[0]) < 5  # the oldest went first, though it is not idle
        gate.set()
        assert known.recv(1000).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("sent", "addresses"),
    [
        pytest.param(BODY % b"a", range(2, 7), id="bodies-of-a-tenant"),
        pytest.param(BODY % b"a", [2] * 5, id="bodies-of-a-tenant-from-one-address"),
        pytest.param(WAITING, range(2, 7), id="requests-of-nobody-known"),
    ],
)
def test_who_holds_most_pays_and_not_who_is_about_to_ask(gate, sent, addresses):
    gate.clear()
    options = replace(OPTIONS, head_timeout_seconds=60.0, body_timeout_seconds=60.0)
    with serving(options, gate) as server, ExitStack() as stack:
        port = port_of(server)

        def opened(sent, *, source):
            link = stack.enter_context(connected(port, source=source))
            link.sendall(sent)
            return link

        few = [opened(SLOW % b"b", source="127.0.0.8") for _ in range(4)]  # the oldest of all
        many = [opened(sent, source=f"127.0.0.{one}") for one in [*addresses] * 4]
        time.sleep(0.3)  # until it is known whose they are
        good = opened(b"", source="127.0.0.9")
        for number in range(20):
            many.append(opened(sent, source=f"127.0.0.{addresses[number % 5]}"))
            time.sleep(0.02)
        good.sendall(GET % b"/" + b"\r\n")
        assert good.recv(1000).endswith(b'"hello"')
        for _ in range(3):
            link = opened(GET % b"/" + b"\r\n", source="127.0.0.9")
            assert link.recv(1000).endswith(b'"hello"')
        assert ended_after(many[0]) < 5
        gate.set()
        assert [link.recv(12) for link in few] == [b"HTTP/1.1 200"] * 4


def test_nothing_is_begun_for_who_has_left_meanwhile(gate):
    gate.clear()
    done.clear()
    with serving(OPTIONS, gate, logged=True) as server, ExitStack() as stack:
        port = port_of(server)
        links = [stack.enter_context(connected(port)) for _ in range(PER_TENANT + 3)]
        for link in links[:PER_TENANT]:
            link.sendall(GET % b"/queued" + b"\r\n")
        wait_for(lambda: len(done) == PER_TENANT, seconds=10)
        for link in links[PER_TENANT:]:
            link.sendall(GET % b"/queued" + b"\r\n")
        time.sleep(0.3)  # until they wait
        for link in links[PER_TENANT : PER_TENANT + 2]:
            link.close()
        time.sleep(0.3)
        gate.set()
        for link in [*links[:PER_TENANT], links[-1]]:
            assert link.recv(12) == b"HTTP/1.1 200"
    assert len(done) == PER_TENANT + 1


def test_many_tenants_together_keep_nobody_out_for_long(gate, monkeypatch):
    gate.clear()
    monkeypatch.setattr(connections, "BUSY_SECONDS", 1.0)
    options = replace(OPTIONS, body_timeout_seconds=60.0)
    with serving(options, gate) as server, ExitStack() as stack:
        port = port_of(server)
        links = [
            stack.enter_context(connected(port, source=f"127.0.0.{2 + number % 5}"))
            for number in range(20)  # of each tenant no more than its share
        ]
        for number, link in enumerate(links):
            link.sendall(BODY % b"t-%d" % (number % 5))
        time.sleep(0.4)  # until it is known whose they are
        with connected(port) as link:
            assert link.recv(12) == b"HTTP/1.1 503"
        time.sleep(1)
        for _ in range(3):
            assert httpx.get(f"http://127.0.0.1:{port}/").json() == "hello"
        assert ended_after(links[0]) < 5


def test_within_an_address_the_idle_go_before_the_requests_of_a_tenant(gate):
    gate.clear()
    options = replace(OPTIONS, head_timeout_seconds=60.0, connections_per_address=4)
    with serving(options, gate) as server, ExitStack() as stack:
        links = [stack.enter_context(connected(port_of(server))) for _ in range(4)]
        for link in links[:3]:
            link.sendall(SLOW % b"a")
        time.sleep(0.3)
        for one in (links[3], links[0]):  # the oldest of what a tenant has too much of
            links.append(stack.enter_context(connected(port_of(server))))
            links[-1].sendall(SLOW % b"a")
            assert ended_after(one) < 5
            time.sleep(0.3)
        gate.set()
        assert all(link.recv(12) == b"HTTP/1.1 200" for link in [*links[1:3], *links[4:]])


def test_who_trickles_does_not_become_younger_by_it(gate):
    webhook = b"POST /webhooks/one HTTP/1.1\r\nhost: x\r\ncontent-length: 900\r\n\r\n{"
    options = replace(OPTIONS, body_timeout_seconds=60.0, connections=2)
    with serving(options, gate) as server, ExitStack() as stack:
        first, second = (stack.enter_context(connected(port_of(server))) for _ in range(2))
        for link, part in ((first, webhook), (second, webhook), (first, b"x")):
            link.sendall(part)
            time.sleep(0.1)
        assert httpx.get(f"http://127.0.0.1:{port_of(server)}/").json() == "hello"
        assert ended_after(first) < 5
        second.settimeout(0.2)
        with pytest.raises(TimeoutError):
            second.recv(1)


def test_a_network_of_one_customer_is_one_address():
    same = [network_of("2001:db8::1"), network_of("2001:db8::ffff:1"), network_of("2001:db8::1%2")]
    assert len(set(same)) == 1
    assert network_of("2001:db8:0:1::1") not in same
    assert network_of("::ffff:192.0.2.1") != network_of("::ffff:192.0.2.2")
    assert network_of("192.0.2.1") == "192.0.2.1"
    assert network_of("64:ff9b::192.0.2.1") == "192.0.2.1"


def test_a_connection_that_is_used_again_may_rest_between_requests(port):
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as http:
        for _ in range(3):
            assert http.get("/").json() == "hello"
            time.sleep(0.8)  # longer than a head may take
        assert http.get("/").json() == "hello"
