"""Places that answer slowly, and readers who do: they keep waiting whoever asked them, no more."""

import asyncio
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest
from anyio import CapacityLimiter

from s3sync_dagster.api import downloads
from s3sync_dagster.api.downloads import Download
from s3sync_dagster.api.errors import TooMany
from s3sync_dagster.api.objects import _download
from s3sync_dagster.api.outside import PER_TENANT, Outside, waits_outside
from s3sync_dagster.api.slots import Slots
from s3sync_dagster.engine.store_ports import ObjectBody
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster_tests.endless_http import endless_server, without_end
from s3sync_dagster_tests.scripted_http import scripted_server
from s3sync_dagster_tests.waiting import wait_for

LARGE = b"0123456789abcdef" * (12 * 64 * 1024)
"""12 MiB: more than is kept in memory, and than the buffers of a connection hold."""


def make(api, http, bucket):
    made = http.post("/api/v1/sources", json=api.s3(bucket))
    assert made.status_code == 201, made.text
    return made.json()["source_id"]


def test_a_bucket_whose_answer_does_not_end_is_told_in_a_sentence(api, http):
    with endless_server() as server:
        server.pieces = lambda _: without_end(b"<ListBucketResult>", b"<Contents></Contents>")
        body = api.s3("endless", endpoint_url=server.url)
        refused = http.post("/api/v1/sources", json=body)
    assert refused.status_code >= 400
    assert "is longer than any answer of this service" in refused.json()["message"]
    assert server.sent < 64 * 1024 * 1024


def test_places_that_do_not_answer_keep_nobody_else_waiting(api):
    go_on = threading.Event()

    def silent(_body):
        go_on.wait(120)
        return 403, "", {}

    def ask(number):
        body = api.s3(f"silent-{number}", endpoint_url=slow.url, list_interval_seconds=60)
        with api.client() as own:
            own.timeout = 120
            return own.post("/api/v1/sources", json=body)

    with scripted_server() as slow, ThreadPoolExecutor(PER_TENANT) as threads, api.client() as http:
        slow.decide = silent
        source_id = make(api, http, api.aws.make_bucket())
        try:
            waiting = [threads.submit(ask, number) for number in range(PER_TENANT)]
            wait_for(lambda: len(slow.asked), lambda asked: asked >= PER_TENANT)
            refused = ask("more")
            assert (refused.status_code, refused.json()["error"]) == (429, "too_many_requests")
            assert int(refused.headers["retry-after"]) >= 1
            tried = http.post(f"/s3sync/v1/sources/{source_id}/dry-run")
            assert tried.status_code == 429
            assert http.get("/api/v1/sources").status_code == 200
            assert api.context.outside.threads.borrowed_tokens == PER_TENANT - 1
            assert api.context.outside.firsts.borrowed_tokens == 1
        finally:
            go_on.set()
        # Refused by the place itself.
        assert {one.result().status_code for one in waiting} == {403}
        assert http.post(f"/s3sync/v1/sources/{source_id}/dry-run").status_code == 200


def test_who_asks_nothing_outside_yet_waits_for_nobody():
    """However many tenants have places that never answer."""
    room = Outside(threads=CapacityLimiter(1))
    go_on, asked = threading.Event(), []

    @waits_outside
    def route(here, caller, silent):
        asked.append(caller.tenant)
        if silent:
            go_on.wait(60)
        return caller.tenant

    def ask(tenant, *, silent):
        return route(
            here=SimpleNamespace(outside=room), caller=SimpleNamespace(tenant=tenant), silent=silent
        )

    async def all_ask():
        held = [asyncio.ensure_future(ask(f"evil-{n % 3}", silent=True)) for n in range(9)]
        try:
            while len(asked) < 4:  # the first of each, and one more
                await asyncio.sleep(0.01)
            assert await asyncio.wait_for(ask("victim", silent=False), 30) == "victim"
            assert len(asked) == 5
        finally:
            go_on.set()
        await asyncio.gather(*held)

    asyncio.run(all_ask())


def spooled():
    """Return how many files of downloads have no name any more and are still open."""
    found = 0
    for one in Path("/proc/self/fd").iterdir():
        try:
            target = str(one.readlink())
        except OSError:
            continue
        found += "/body-" in target and target.endswith("(deleted)")
    return found


def test_readers_who_dawdle_fill_neither_disk_nor_the_way_of_others(api, http):
    bucket = api.aws.make_bucket()
    api.aws.put(bucket, "large.bin", LARGE)
    source_id = make(api, http, bucket)
    url = f"/s3sync/v1/sources/{source_id}/content?key=large.bin"
    host, port = api.url.removeprefix("http://").split(":")
    lines = []
    try:
        for number in range(downloads.PER_TENANT):
            line = socket.socket()
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            line.settimeout(120)
            line.connect((host, int(port)))
            line.sendall(f"GET {url} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
            lines.append(line)
            wait_for(spooled, lambda files, most=number: files > most)
        refused = http.get(url)
        assert (refused.status_code, refused.json()["error"]) == (429, "too_many_requests")
        assert spooled() == downloads.PER_TENANT
    finally:
        for line in lines:
            line.close()
    wait_for(spooled, lambda files: files == 0)
    answer = wait_for(lambda: http.get(url), lambda got: got.status_code == 200)
    assert answer.content == LARGE


def test_downloads_of_all_tenants_have_an_end():
    places = Slots(2, what="downloads", reason="too_many_requests", in_all=3)
    with ExitStack() as held:
        for tenant in ("a", "a", "b"):
            held.enter_context(places.taken(tenant))
        with pytest.raises(TooMany, match="3 downloads"), places.taken("c"):
            pass
    with places.taken("c"):
        pass


def test_a_download_that_cannot_begin_holds_no_place(tmp_path):
    places = Slots(1, what="downloads", reason="too_many_requests")
    ref = ObjectRef(key="a.md", etag="e", size=1)
    body = ObjectBody(ref=ref, content=tmp_path / "missing")
    held = ExitStack()
    held.enter_context(places.taken("a"))
    with held, pytest.raises(FileNotFoundError) as caught:
        _download("a.md", body, held)
    assert caught.traceback  # it holds what was on the way
    with places.taken("a"):
        pass


def test_a_reader_who_is_too_slow_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "LOOKED_AT_SECONDS", 0.05)
    file = tmp_path / "body"
    file.write_bytes(LARGE)
    places = Slots(1, what="downloads", reason="too_many_requests")
    held = ExitStack()
    held.enter_context(places.taken("a"))
    sent = Download(file, held=held, headers={}, media_type=None)
    assert not file.exists()
    taken = []

    async def read(message):
        taken.append(message)
        if len(taken) > 3:
            await asyncio.Event().wait()  # and never goes on

    async def nothing():
        return await asyncio.Event().wait()

    began = time.monotonic()
    asyncio.run(sent({"type": "http", "asgi": {"spec_version": "2.3"}}, nothing, read))
    assert time.monotonic() - began < 60
    assert taken[-1]["more_body"]
    with places.taken("a"):  # the place is free again
        pass
