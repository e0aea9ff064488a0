"""Two hosts whose clocks are a day apart on one Postgres: both go by the server's."""

import time

import pytest

from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.catalog.database import FOLLOW_SECONDS
from s3sync_dagster.engine.clock import Clock
from s3sync_dagster.engine.dispatching import reap
from s3sync_dagster.engine.listing_turns import ListingParts, list_in_turn
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster.ports.memory_chroma import MemoryCollections
from s3sync_dagster.ports.memory_s3 import MemoryBucket, MemoryObjectStore
from s3sync_dagster_tests.catalog.scenes import source
from s3sync_dagster_tests.conftest_catalog import fresh_postgres_database

DAY = 86_400


class WrongClock(Clock):
    """A host's clock that is wrong by some seconds; what it measures is right."""

    def __init__(self, wrong_by):
        super().__init__()
        self.wrong_by = wrong_by
        self.later = 0.0

    def wall(self):
        return super().wall() + self.wrong_by

    def monotonic(self):
        return super().monotonic() + self.later


class Alive:
    def me(self):
        return "driver"

    def is_dead(self, _owner):
        return None


@pytest.fixture(scope="module")
def hosts(postgres_url):
    """Catalogs of a host with the right time, and of one that is a day ahead."""
    url = fresh_postgres_database(postgres_url)
    opened = [open_catalog(url, clock=WrongClock(wrong)) for wrong in (0, DAY, -DAY)]
    opened[0].sources.add(source())
    yield opened
    for one in opened:
        one.close()


def test_the_servers_clock_is_followed_from_the_first_question_on(hosts):
    for host in hosts:
        assert abs(host.database.now() - time.time()) < 10
        assert abs(host.database.clock.now().timestamp() - time.time()) < 10


def test_the_first_question_may_be_for_the_time(postgres_url, hosts):
    fresh = open_catalog(
        hosts[0].database.url.render_as_string(hide_password=False),
        clock=WrongClock(DAY),
        migrate=False,
    )
    assert abs(fresh.database.now() - time.time()) < 10
    fresh.close()


def test_a_clock_that_drifts_is_put_right_within_half_a_minute(hosts):
    clock = hosts[1].database.clock
    clock.follow(time.time() + 500)
    assert hosts[1].database.now() > time.time() + 400
    clock.later += FOLLOW_SECONDS + 1
    hosts[1].sources.rows()
    assert abs(hosts[1].database.now() - time.time()) < 10


def test_a_lease_holds_for_all_of_them_and_work_that_is_due_is_due_for_all(hosts):
    here, ahead, behind = hosts
    src = source()
    here.invocations.request_automatic(src.id, ["a"], trigger=Trigger.EVENT)
    for host in hosts:
        assert host.batches.pending_sources() == [src.id]
    batch = ahead.batches.reserve(src.id, take=Take(), owner="ahead", run_id="r")
    for host in hosts:
        found = reap(
            host,
            clock=host.database.clock,
            is_dead=lambda _: None,
            run_state=lambda *_: "unknown",
        )
        assert found == []
    listing = behind.listings.begin(src.id, owner="behind")
    assert here.listings.begin(src.id, owner="here") is None
    assert ahead.listings.begin(src.id, owner="ahead") is None
    behind.listings.fail(listing, owner="behind", error="ended")
    ahead.batches.finish(batch.token)


def test_a_source_is_listed_once_an_interval_whoever_looks(hosts):
    src = source()
    lines = []
    for host in (hosts[1], hosts[0], hosts[2], hosts[1]):
        parts = ListingParts(
            catalog=host,
            clock=host.database.clock,
            owners=Alive(),
            store_for=lambda _: MemoryObjectStore(MemoryBucket()),
            collections=MemoryCollections,
        )
        lines.append(list_in_turn(parts, [src.name], after=None, log=print)[0])
    assert lines[0].startswith("docs: listed")
    assert lines[1:] == ["1 sources, none due"] * 3
