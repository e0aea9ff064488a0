"""The door of Dagster's webserver, held against the real one: what a page elsewhere may not do."""

import asyncio
import json

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from s3sync_dagster.api.errors import TooMany
from s3sync_dagster.local import door

MUTATION = "mutation{reloadWorkspace{__typename}}"
QUESTION = {"query": "{version}"}


@pytest.fixture
def dagster(tiny_stack):
    return httpx.URL(tiny_stack.addresses.dagster)


def send(dagster, method, path, **arguments):
    return httpx.request(method, dagster.join(path), timeout=30, **arguments)


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "rebound.example.com"},
        {"host": "127.0.0.1.example.com"},
        {"host": "a{b}.example.com"},
        {"host": "localhost:99999"},
        {"host": ""},
        {"origin": "http://evil.example"},
        {"origin": "http://localhost:1"},
        {"origin": "null"},
        {"origin": "http://["},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"},
        {"x-forwarded-for": "10.0.0.1"},
        {"x-real-ip": "10.0.0.1"},
        {"x-forwarded-host": "evil.example"},
    ],
)
def test_pages_of_others_neither_read_nor_ask(dagster, headers):
    for path in ("/", "/server_info"):
        assert send(dagster, "GET", path, headers=headers).status_code == 403
    assert send(dagster, "POST", "/graphql", json=QUESTION, headers=headers).status_code == 403


def test_nothing_is_done_by_a_link(dagster):
    for headers in ({}, {"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}):
        for path in ("/graphql", "/graphql/", "/%67raphql", "/graphql%0a", "/graphql%0A/"):
            answer = send(dagster, "GET", path, params={"query": MUTATION}, headers=headers)
            assert answer.status_code == 403, path


@pytest.mark.parametrize("character", ["%0a", "%0d", "%00", "%7f", "%09"])
def test_no_path_has_what_a_route_and_this_door_read_in_two_ways(dagster, character):
    for path in (f"/graphql{character}", f"/{character}graphql", f"/runs/{character}x"):
        assert send(dagster, "GET", path).status_code == 403, path
        assert send(dagster, "POST", path, json=QUESTION).status_code == 403, path
    with pytest.raises(InvalidStatus):
        connect(f"ws://127.0.0.1:{dagster.port}/graphql{character}").close()


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "text/plain; boundary=application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/graphql",
        None,
    ],
)
def test_what_pages_may_send_anywhere_is_not_taken(dagster, kind):
    headers = {} if kind is None else {"content-type": kind}
    body = json.dumps({"query": MUTATION}).encode()
    assert send(dagster, "POST", "/graphql", content=body, headers=headers).status_code == 403
    reported = send(dagster, "POST", "/report_asset_materialization/s3/one", headers=headers)
    assert reported.status_code == 403


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.example"}, {"Host": "evil.example"}, {"Sec-Fetch-Site": "cross-site"}],
)
def test_no_page_of_others_opens_a_websocket(dagster, headers):
    address = f"ws://127.0.0.1:{dagster.port}/graphql"
    with pytest.raises(InvalidStatus) as caught:
        connect(address, additional_headers=headers, subprotocols=["graphql-ws"]).close()
    assert caught.value.response.status_code == 403


@pytest.mark.parametrize("guesses", [0, 20])
def test_a_websocket_ends_with_the_token_that_opened_it(monkeypatch, guesses):
    monkeypatch.setattr(door, "ASKED_AGAIN_SECONDS", 0.01)
    sent = []

    class Keeper:
        def admits(self, asks):
            if sent and guesses:  # that others send from its address
                raise TooMany("slowly", retry_after_seconds=1.0)
            return not sent  # until something was told

    async def told(scope, receive, send):
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "a run's log"})
        await asyncio.Event().wait()

    async def send(message):
        sent.append(message["type"])

    headers = [(b"host", b"localhost")]
    scope = {"type": "websocket", "path": "/graphql", "headers": headers, "query_string": b""}
    guarded = door.Door(told, keeper=Keeper())
    asyncio.run(asyncio.wait_for(guarded(scope, None, send), 60))
    assert sent == ["websocket.accept", "websocket.send", "websocket.close"]


def test_the_own_pages_and_programs_of_this_machine_are_served(dagster):
    own = {"origin": f"http://localhost:{dagster.port}", "host": f"localhost:{dagster.port}"}
    for headers in ({}, own, own | {"sec-fetch-site": "same-origin"}):
        answer = send(dagster, "POST", "/graphql", json=QUESTION, headers=headers)
        assert answer.json()["data"]["version"]
        page = send(dagster, "GET", "/", headers=headers)
        assert page.status_code == 200
    followed = {
        "sec-fetch-site": "cross-site",
        "sec-fetch-mode": "navigate",
        "sec-fetch-dest": "document",
    }
    assert send(dagster, "GET", "/runs", headers=followed).status_code == 200
    address = f"ws://127.0.0.1:{dagster.port}/graphql"
    with connect(address, origin=f"http://127.0.0.1:{dagster.port}", subprotocols=["graphql-ws"]):
        pass
