"""Turns at a host: polite in sum, and fair to every tenant."""

import threading
import time
from collections import Counter

import pytest

from s3sync_dagster.places import web_pace
from s3sync_dagster.places.web_pace import HostPace, NoTurn
from s3sync_dagster_tests.conftest_catalog import HandClock
from s3sync_dagster_tests.places.web_server import Visitor, web_site

HOST = "docs.example.org"


@pytest.fixture
def pace(tmp_path):
    made: list[HostPace] = []

    def of(who):
        made.append(HostPace(tmp_path / "hosts.db", who=who))
        return made[-1]

    yield of
    for one in made:
        one.close()


def test_what_one_tenant_wishes_keeps_no_other_waiting(pace):
    slow, other = pace("slow"), pace("other")
    slow.wait(HOST, 30.0)
    slow.pause(HOST, 30.0)
    began = time.monotonic()
    other.wait(HOST, 0.0)
    assert time.monotonic() - began < 15


def test_what_the_host_wishes_holds_for_all_together(pace):
    began = time.monotonic()
    for who in ("one", "other", "one"):
        pace(who).wait(HOST, 0.0, crawl_delay=0.2)
    assert time.monotonic() - began >= 0.4


def test_many_crawls_of_one_tenant_get_no_more_turns_than_one_of_another(pace):
    turns: Counter[str] = Counter()
    over = threading.Event()

    def crawl(who):
        mine = pace(who)
        while not over.is_set():
            mine.wait(HOST, 0.0, crawl_delay=0.05)
            turns[who] += 1
            if turns["small"] == 8:
                over.set()

    crawls = [threading.Thread(target=crawl, args=(who,)) for who in ["large"] * 4 + ["small"]]
    for one in crawls:
        one.start()
    for one in crawls:
        one.join()
    assert turns["large"] <= 20  # and 32 where turns go to whoever asks


def test_a_clock_that_is_put_back_keeps_nobody_waiting(tmp_path):
    clock = HandClock()
    pace = HostPace(tmp_path / "hosts.db", who="tenant", clock=clock)
    pace.wait(HOST, 1.0)
    clock.skew = -3600.0
    for _ in range(2):
        pace.wait(HOST, 1.0)
    assert clock.seconds - HandClock().seconds < 3
    pace.close()


def test_a_turn_that_does_not_come_loses_no_page(tmp_path, pace, monkeypatch):
    monkeypatch.setattr(web_pace, "PATIENCE_SECONDS", 0.05)
    with web_site() as site:
        site.page("/", "/a")
        site.page("/a")
        visitor = Visitor(site, tmp_path)
        store, host = visitor.store, site.url.removeprefix("http://")
        token = store.list_unordered("", token=None).token
        pace("tenant").pause(host, 30.0)
        with pytest.raises(NoTurn):
            store.head(f"{site.url}/")
        monkeypatch.setattr("s3sync_dagster.places.web_store.STEP_SECONDS", 0.0)
        for _ in range(5):
            token = store.list_unordered("", token=token).token
        assert site.pages_asked() == []
        pace("tenant").pause(host, 0.0)
        found = []
        while token is not None:
            page = store.list_unordered("", token=token)
            found += [ref.key for ref in page.objects if ref.size > 0]
            token = page.token
        assert found == [f"{site.url}/", f"{site.url}/a"]
        store.close()
