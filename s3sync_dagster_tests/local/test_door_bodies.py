"""A body at a door comes in time, and not after its token was revoked: Chroma and Dagster."""

import json
import logging
import socket
import time
import uuid
from contextlib import closing, contextmanager

import httpx
import pytest

from s3sync_dagster.api.routing import SLOW_SECONDS
from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.local import door_body
from s3sync_dagster.local.chroma_door import Forwarding
from s3sync_dagster_tests.local.doors import dagsters_own, home_of_doors, made, standing
from s3sync_dagster_tests.waiting import wait_for

COLLECTIONS = "/api/v2/tenants/default_tenant/databases/default_database/collections"


@pytest.fixture
def settings(tmp_path):
    return home_of_doors(tmp_path / "home")


@pytest.fixture
def catalog(settings):
    with closing(open_catalog(settings.database_url)) as opened:
        yield opened


class Chroma:
    """A change at Chroma's door, and whether it was made."""

    def __init__(self, url):
        self.name = f"late-{uuid.uuid4().hex[:12]}"
        self.path, self.body = COLLECTIONS, json.dumps({"name": self.name}).encode()
        self._url = url

    def was_done(self, _http, _headers):
        rows = httpx.get(self._url + COLLECTIONS, params={"limit": 1000}).json()
        return self.name in {row["name"] for row in rows}


class Dagster:
    """A change at Dagster's door, and whether it was made."""

    path, body = "/graphql", json.dumps({"query": "mutation{setNuxSeen}"}).encode()

    def was_done(self, http, headers):
        asked = http.post("/graphql", json={"query": "{shouldShowNux}"}, headers=headers)
        return not asked.json()["data"]["shouldShowNux"]


@pytest.fixture(params=["chroma", "dagster"])
def door(request, settings, chroma_server, tmp_path, monkeypatch):
    """Return a door before the real server, and a change there."""
    if request.param == "chroma":
        with standing(settings, "chroma", app=Forwarding(chroma_server)) as http:
            yield http, Chroma(chroma_server)
        return
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setattr("dagster._core.nux.nux_seen_filepath", lambda: str(tmp_path / "nux.yaml"))
    with dagsters_own(tmp_path / "dagster") as app, standing(settings, app=app) as http:
        yield http, Dagster()


@contextmanager
def begun(http, change, token, *, sent, chunked=False):
    """Send a head and so many bytes of its body."""
    how = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(change.body)}"
    head = (
        f"POST {change.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"x-chroma-token: {token}\r\n{how}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", http.base_url.port), timeout=60) as line:
        piece = change.body[:sent]
        line.sendall(head.encode() + (b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece))
        yield line


def told(catalog):
    return [
        (one.who, one.outcome)
        for _, one in catalog.audit.rows(limit=100)
        if one.action.startswith("POST")
    ]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_outlives_its_token_does_nothing(door, catalog, chunked):
    http, change = door
    token, other = made(catalog.tokens), made(catalog.tokens)
    first = catalog.tokens.rows()[0]
    # All of it may be there already, but for the mark of its end.
    sent = len(change.body) if chunked else 5
    with begun(http, change, token, sent=sent, chunked=chunked) as line:
        time.sleep(SLOW_SECONDS + 0.2)  # with which it was let in by then
        catalog.tokens.revoke(first.id)
        line.sendall(b"0\r\n\r\n" if chunked else change.body[5:])
        assert line.recv(65536).startswith(b"HTTP/1.1 401 ")
    assert not change.was_done(http, {"x-chroma-token": other})
    rows = wait_for(lambda: told(catalog))
    assert rows == [("token 1", "401")]
    later = http.post(change.path, content=change.body, headers={
        "x-chroma-token": other, "content-type": "application/json"
    })  # fmt: skip
    assert later.status_code == 200
    assert change.was_done(http, {"x-chroma-token": other})


def test_a_body_that_came_slowly_with_a_token_that_stands_is_taken(door, catalog):
    http, change = door
    token = made(catalog.tokens)
    with begun(http, change, token, sent=5) as line:
        time.sleep(SLOW_SECONDS + 0.2)
        line.sendall(change.body[5:])
        assert line.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert change.was_done(http, {"x-chroma-token": token})


@pytest.mark.parametrize("trickles", [False, True])
def test_a_body_that_does_not_come_is_not_waited_for(door, catalog, monkeypatch, trickles):
    monkeypatch.setattr(door_body, "BODY_SECONDS", 0.5)
    http, change = door
    token = made(catalog.tokens)
    with begun(http, change, token, sent=5) as line:
        for at in range(5, 9) if trickles else ():
            time.sleep(0.2)
            line.sendall(change.body[at : at + 1])
        assert line.recv(65536).startswith(b"HTTP/1.1 408 ")
    assert not change.was_done(http, {"x-chroma-token": token})
    assert wait_for(lambda: told(catalog)) == [("token 1", "408")]


def test_a_body_that_is_broken_off_is_no_failure_of_the_server(door, catalog, caplog):
    caplog.set_level(logging.WARNING)
    http, change = door
    token = made(catalog.tokens)
    with begun(http, change, token, sent=5):
        time.sleep(0.2)
    assert wait_for(lambda: told(catalog)) == [("token 1", "400")]
    assert not change.was_done(http, {"x-chroma-token": token})
    assert [row for row in caplog.records if row.name.startswith("uvicorn")] == []
    assert "Traceback" not in caplog.text
