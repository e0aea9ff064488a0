"""What one tenant asks keeps no other waiting, and costs no more than its bounds say."""

import pkgutil
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib import import_module
from inspect import iscoroutinefunction, signature

import pytest
from sqlalchemy import event

from s3sync_dagster import api as rooms
from s3sync_dagster.api import add_file, console, invocations, manage, threads
from s3sync_dagster.api.health_checks import Health
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster.model.place import UploadPlace
from s3sync_dagster.model.source import AutoSync, EmbeddingConfig, Source
from s3sync_dagster_tests.waiting import wait_for

READS = ("/s3sync/v1/sources", "/metrics", "/api/v1/sources")


def add_sources(api, first, last, *, tenant):
    """Make upload sources, each of a collection of its own."""
    made = [
        Source(
            id=api.parts.clock.uuid(),
            name=f"{tenant}_{each}",
            place=UploadPlace(),
            tenant=tenant,
            collection_name=f"c-{each}",
            auto_sync=AutoSync.NONE,
            list_interval_seconds=0,
            embedding=EmbeddingConfig(kind="hash"),
        )
        for each in range(first, last)
    ]
    return [api.parts.catalog.sources.add(one, most=1000) for one in made]


@contextmanager
def statements(api):
    """Give the statements that are executed meanwhile."""
    seen: list[str] = []

    def keep(_connection, _cursor, statement, *_others):
        if statement != "BEGIN":
            seen.append(statement)

    engine = api.parts.catalog.database.engine
    event.listen(engine, "before_cursor_execute", keep)
    yield seen
    event.remove(engine, "before_cursor_execute", keep)


def test_a_tenant_whose_requests_take_long_keeps_nobody_else_waiting(fresh_api, monkeypatch):
    busy, other = (fresh_api.token(tenant=name) for name in ("busy", "other"))
    go_on, rows = threading.Event(), fresh_api.parts.catalog.sources.rows
    working: Counter[str | None] = Counter()

    def slow(*, tenant=None, **named):
        working[tenant] += 1
        if tenant == "busy":
            go_on.wait(120)
        working[tenant] -= 1
        return rows(tenant=tenant, **named)

    monkeypatch.setattr(threads, "WAITING_PER_TENANT", 52)
    monkeypatch.setattr(fresh_api.parts.catalog.sources, "rows", slow)

    def ask(path):
        with fresh_api.client(busy) as http:
            http.timeout = 120
            return http.get(path).status_code

    with ThreadPoolExecutor(60) as pool, fresh_api.client(other) as http:
        try:
            asked = [pool.submit(ask, READS[number % 3]) for number in range(60)]
            wait_for(lambda: waiting_of(fresh_api, "busy"), lambda found: found == 60)
            assert working["busy"] == threads.PER_TENANT
            for path in ("/s3sync/v1/sources", "/api/v1/sources", "/metrics", "/health", "/login"):
                assert http.get(path).status_code == 200, path
            assert http.post("/login", data={"token": "x"}).status_code == 403  # and was heard
            assert ask("/api/v1/sources") == 429
        finally:
            go_on.set()
        assert {one.result() for one in asked} == {200}
    assert waiting_of(fresh_api, "busy") == 0


def test_uploads_of_a_tenant_that_wait_for_chroma_keep_nobody_else_waiting(fresh_api, monkeypatch):
    busy, other = (fresh_api.token(tenant=name) for name in ("busy", "other"))
    go_on, asked = threading.Event(), Counter[str]()

    def hangs(_here, tenant, _database):
        asked[tenant] += 1
        go_on.wait(120)

    monkeypatch.setattr(add_file, "require_database", hangs)

    def upload(_number):
        with fresh_api.client(busy) as http:
            http.timeout = 120
            place = {"database_name": "default_database", "collection_name": "ccc"}
            return http.post(
                "/api/v1/add-file",
                data=place,
                files={"file": ("a.md", b"abc")},
                headers={"x-upload-content-length": "3"},
            ).status_code

    with ThreadPoolExecutor(60) as pool, fresh_api.client(other) as http:
        try:
            uploading = [pool.submit(upload, number) for number in range(60)]
            wait_for(lambda: waiting_of(fresh_api, "busy"), lambda found: found == 60)
            assert asked["busy"] == threads.PER_TENANT
            for path in ("/api/v1/sources", "/login", "/docs", "/static/console.css"):
                assert http.get(path).status_code == 200, path
        finally:
            go_on.set()
        assert {one.result() for one in uploading} <= {201, 429}


def waiting_of(api, tenant):
    found = api.context.threads._tenants.get(tenant)
    return 0 if found is None else found.requests


def test_who_asks_how_the_server_is_takes_no_thread_while_a_part_hangs(fresh_api):
    go_on, asked = threading.Event(), Counter[str]()

    def hangs():
        asked["hangs"] += 1
        go_on.wait(120)

    fresh_api.context.health._checks["dagster"] = hangs

    def ask(_number):
        with fresh_api.client() as http:
            return http.get("/health").json()["parts"]["dagster"]

    with ThreadPoolExecutor(60) as pool, fresh_api.client() as http:
        try:
            asking = [pool.submit(ask, number) for number in range(60)]
            wait_for(lambda: asked["hangs"])
            assert http.get("/static/console.css").status_code == 200  # from the shared threads
            assert not any(one.done() for one in asking)
            assert {one.result() for one in asking} == {"timeout"}
            assert asked["hangs"] <= 2
        finally:
            go_on.set()


@pytest.mark.long
def test_a_part_that_hangs_does_not_make_others_look_so():
    go_on, asked = threading.Event(), Counter[str]()

    def check(name):
        asked[name] += 1
        if name == "hangs":
            go_on.wait(120)

    with ExitStack() as stack:
        stack.callback(go_on.set)
        health = Health({"hangs": partial(check, "hangs"), "well": partial(check, "well")})
        stack.callback(health.close)
        rounds = [health._ask() for _ in range(5)]
        assert rounds == [{"hangs": "timeout", "well": "ok"}] * 5
        assert asked == {"hangs": 1, "well": 5}
        go_on.set()
        assert health._ask() == {"hangs": "ok", "well": "ok"}


def test_every_route_that_blocks_waits_for_its_tenant():
    names = [
        f"{package.__name__}.{one.name}"
        for package in (rooms, console)
        for one in pkgutil.iter_modules(package.__path__)
        if one.name != "__main__"
    ]
    routers = [getattr(import_module(one), "router", None) for one in names]
    asking = [
        route
        for router in routers
        if router is not None
        for route in router.routes
        if {"caller", "visitor"} & signature(route.endpoint).parameters.keys()
    ]
    shared = {one.name for one in asking if not iscoroutinefunction(one.endpoint)}
    assert len(asking) > 60
    assert shared == {"connector"}  # of Coco: it answers what it always does


def test_the_newest_of_many_keys_costs_the_same_for_many_collections(fresh_api):
    catalog = fresh_api.parts.catalog
    token = catalog.tokens.create(tenant="acme", role="member", groups=["sales"])[1]
    source, _ = add_sources(fresh_api, 0, 2, tenant="acme")
    url = f"/api/v1/sources/{source.id}/invocations/latest-by-keys"
    counted = []
    with fresh_api.client(token) as http:

        def newest(keys):
            with statements(fresh_api) as seen:
                answer = http.post(url, json={"object_keys": keys})
            counted.append(len(seen))
            return answer

        for _ in range(2):  # the first asks whether there are tokens, too
            assert newest(["k", "l"]).json() == {}
        *_, last = add_sources(fresh_api, 2, 40, tenant="acme")
        for one in (source, last):
            catalog.invocations.request(one, ["k"], trigger=Trigger.API)
        answer = newest(["k", "l"])
        assert answer.status_code == 200, answer.text
        asked = catalog.invocations.latest_by_keys(last.id, ["k"])
        assert {key: one["id"] for key, one in answer.json().items()} == {"k": asked["k"].id}
        assert counted[1] == counted[2]
        keys = [f"k{number}" for number in range(invocations.MAX_LOOKED_UP // 40 + 1)]
        assert newest(keys[:-1]).status_code == 200
        refused = newest(keys)
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_setting")
        assert "5000 keys" in refused.json()["message"]


def test_a_question_reads_no_source_of_another_tenant(fresh_api, monkeypatch):
    token, rows = fresh_api.token(), fresh_api.parts.catalog.sources.rows
    asked: list[str | None] = []

    def noted(*, tenant=None, **named):
        asked.append(tenant)
        return rows(tenant=tenant, **named)

    monkeypatch.setattr(fresh_api.parts.catalog.sources, "rows", noted)
    body = {"query": "anything", "collection_name": "nowhere"}
    with fresh_api.client(token) as http:
        assert http.post("/s3sync/v1/search", json=body).status_code == 404
    assert set(asked) == {"default_tenant"}


def test_sources_are_shown_a_page_at_a_time(fresh_api):
    with fresh_api.client(fresh_api.token(tenant="acme")) as http:
        add_sources(fresh_api, 0, manage.SOURCES_A_PAGE, tenant="acme")
        with statements(fresh_api) as seen:
            answer = http.get("/s3sync/v1/sources")
        assert len(answer.json()) == manage.SOURCES_A_PAGE
        assert "link" not in answer.headers
        assert len(seen) < 4 * manage.SOURCES_A_PAGE  # of its counts and its listing
        add_sources(fresh_api, manage.SOURCES_A_PAGE, manage.SOURCES_A_PAGE + 2, tenant="acme")
        first = http.get("/s3sync/v1/sources")
        rest = http.get(first.links["next"]["url"])
        assert len(first.json()) == manage.SOURCES_A_PAGE
        assert [one["name"] for one in rest.json()] == ["acme_100", "acme_101"]
        assert "link" not in rest.headers
        assert http.get(f"/s3sync/v1/sources?limit={manage.SOURCES_A_PAGE + 1}").status_code == 400
