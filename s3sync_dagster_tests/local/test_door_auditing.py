"""What passes a door is written down, whatever comes of it: Dagster itself, catalog and door."""

import logging
import sqlite3
import time
from contextlib import closing

import pytest
from starlette.responses import PlainTextResponse

from s3sync_dagster.api import auditing
from s3sync_dagster.api.passes import pass_headers
from s3sync_dagster.catalog import open_catalog
from s3sync_dagster_tests.local.doors import dagsters_own, hello, home_of_doors, made, standing
from s3sync_dagster_tests.waiting import wait_for


@pytest.fixture
def settings(tmp_path):
    return home_of_doors(tmp_path)


@pytest.fixture
def catalog(settings):
    with closing(open_catalog(settings.database_url)) as opened:
        yield opened


@pytest.fixture
def dagster(tmp_path):
    with dagsters_own(tmp_path / "webserver") as app:
        yield app


async def refusing(scope, receive, send):
    if scope["type"] == "http":
        await PlainTextResponse("no", status_code=409)(scope, receive, send)
    else:
        await hello(scope, receive, send)


def told(catalog, **which):
    rows = reversed(catalog.audit.rows(limit=1000, **which))
    return [(one.subject, one.outcome) for _, one in rows]


def test_a_mutation_that_failed_after_its_first_change_is_written_down_with_its_names(
    settings, catalog, dagster
):
    owner = {"x-chroma-token": made(catalog.tokens)}
    failing = "mutation{setNuxSeen terminateRuns(runIds:[]){__typename} }"
    with standing(settings, app=dagster) as http:
        for _ in range(number := auditing.REFUSALS + 5):
            assert http.post("/graphql/", json={}, headers=owner).status_code == 405
        done = http.post("/graphql", json={"query": "mutation{setNuxSeen}"}, headers=owner)
        assert done.json() == {"data": {"setNuxSeen": True}}
        assert http.post("/graphql", json={"query": failing}, headers=owner).status_code == 500
        refused = http.post("/graphql", json={"query": "mutation{endRun}"}, headers=owner)
        assert refused.status_code == 400
        asked = http.post("/graphql", json={"query": "query mutation{version}"}, headers=owner)
        assert asked.status_code == 200
    changes = [
        ("setNuxSeen", "200"), ("setNuxSeen terminateRuns", "500"), ("unknown", "400")
    ]  # fmt: skip
    # A row is put behind its answer, and may be overtaken by that of the next request.
    assert sorted(told(catalog)) == sorted(changes + [("unread", "405")] * number)


def test_what_the_server_behind_refuses_is_written_down_each_time(settings, catalog):
    owner = {"x-chroma-token": made(catalog.tokens)}
    number = auditing.REFUSALS + 5
    with standing(settings, "chroma", app=refusing) as http:
        for _ in range(number):
            http.post("/api/v2/collections/a/delete", json={}, headers=owner)
    assert told(catalog) == [("", "409")] * number


def test_refusals_at_a_door_that_only_counted_are_told_though_nothing_follows(
    settings, catalog, monkeypatch
):
    monkeypatch.setattr(auditing, "REFUSALS", 2)
    monkeypatch.setattr(auditing, "REFUSAL_SECONDS", 0.5)
    member = {"x-chroma-token": made(catalog.tokens, role="member")}
    with standing(settings) as http:
        for _ in range(5):
            http.post("/graphql", json={"query": "mutation{setNuxSeen}"}, headers=member)
        found = wait_for(lambda: told(catalog), lambda rows: len(rows) >= 3, seconds=10)
        assert [name for name, _ in found] == [""] * len(found)
        assert "more before" in found[-1][1]


def test_while_the_catalog_does_not_answer_changes_pass_and_are_written_down_later(
    settings, catalog, monkeypatch, caplog
):
    owner = {"x-chroma-token": made(catalog.tokens)}
    monkeypatch.setattr("s3sync_dagster.catalog.sqlite_engines.BUSY_TIMEOUT_MS", 200)
    with (
        standing(settings, "chroma") as http,
        closing(sqlite3.connect(settings.home / "catalog.db", isolation_level=None)) as other,
    ):
        http.post("/first", headers=owner, json={})
        wait_for(lambda: told(catalog))
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        for number in range(30):
            answer = http.post(f"/{number}", headers=owner, json={})
            assert answer.text == "hello"
        http.post("/guess", headers={"x-chroma-token": "guessed"}, json={})
        assert time.monotonic() - began < 10
        wait_for(lambda: "the audit log waits" in caplog.text, seconds=20)
        other.execute("ROLLBACK")
    assert len(told(catalog)) == 32
    assert "lost" not in caplog.text


def test_no_failure_of_the_catalog_ends_the_writing(settings, catalog, monkeypatch, caplog):
    caplog.set_level(logging.WARNING)
    entries, fails = [], iter([ZeroDivisionError("a secret"), OSError()])

    def add(_, part):
        if (failure := next(fails, None)) is not None:
            raise failure
        entries.extend(part)

    monkeypatch.setattr(type(catalog.audit), "add", add)
    made(catalog.tokens)
    owner = {"x-chroma-token": made(catalog.tokens)}
    with standing(settings) as http:
        for number in range(3):
            assert http.post(f"/{number}", headers=owner, json={}).text == "hello"
            time.sleep(0.5)
        http.post("/ours", headers=pass_headers(settings), json={})
    assert [one.action for one in entries] == ["POST /0", "POST /1", "POST /2"]
    assert "the audit log waits: ZeroDivisionError" in caplog.text
    assert "a secret" not in caplog.text
