"""A place that outlasts a tick keeps neither the tick nor whoever else is listed."""

import logging
import threading
import time
from contextlib import nullcontext

import pytest

from s3sync_dagster.core.state import ListingState
from s3sync_dagster.defs import sensors, turns_beside
from s3sync_dagster.defs.building import build_definitions
from s3sync_dagster.defs.turns_beside import TurnsBeside
from s3sync_dagster.engine import listing_turns
from s3sync_dagster.engine.listing_turns import GoesOnBeside, Waits
from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.model.source import Source
from s3sync_dagster.places import git_repository
from s3sync_dagster.places.git import GIT_PROTOCOLS, GitPlace
from s3sync_dagster.ports.aws_guard import TRUSTED_TENANTS
from s3sync_dagster_tests.places.git_server import Origin, git_server
from s3sync_dagster_tests.places.hanging_git import hanging_git

TICK = 1.5
"""Budget and patience of a tick here."""
ANSWER = 8.0
"""Of a tick on a machine that has other work; a fetch that is waited for takes longer."""


@pytest.fixture
def world(defs_world, monkeypatch):
    monkeypatch.setenv(GIT_PROTOCOLS, "http https")
    monkeypatch.setenv(TRUSTED_TENANTS, "*")
    monkeypatch.setattr(sensors, "BUDGET_SECONDS", TICK / 3)
    monkeypatch.setattr(turns_beside, "PATIENCE_SECONDS", TICK * 2 / 3)
    turns = TurnsBeside(per_tenant=2)
    monkeypatch.setattr(turns_beside, "TURNS", turns)
    yield defs_world
    until(lambda: not turns._at_work)


def until(met, seconds=60.0):
    ends = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < ends
        time.sleep(0.05)


def add(world, name: str, url: str, tenant: str) -> Source:
    source = world.source.with_changes(
        id=f"id-{name}", name=name, tenant=tenant, collection_name=f"texts-{name}",
        place=GitPlace(repository=url),
    )  # fmt: skip
    world.catalog.sources.add(source)
    return source


def timed_tick(world, sensor: str, cursor: str | None = None):
    began = time.monotonic()
    told = world.tick(sensor, cursor)
    assert time.monotonic() - began < ANSWER
    return told


def test_a_fetch_that_never_ends_keeps_no_tick_and_nobody_elses_source(world, monkeypatch):
    monkeypatch.setattr(git_repository, "FETCH_SECONDS", 30.0)
    world.aws.put_all(world.bucket, {f"{n}.md": "# Text" for n in range(3)})
    with hanging_git() as server:
        evil = [add(world, f"a{n}", f"{server.url}/{n}.git", "evil") for n in range(4)]
        world._defs.append(build_definitions(catalog_sources=[*evil, world.source]))
        first = timed_tick(world, "catalog_auto_sync")
        assert "a0: it takes longer than a tick" in first.skip_message
        second = timed_tick(world, "catalog_auto_sync", first.cursor)
        assert "3 new" in second.skip_message, "the other tenant is next, though the tick was slow"
        assert len(timed_tick(world, "dispatch").run_requests) == 1
        third = timed_tick(world, "catalog_auto_sync", second.cursor)
        world.catalog.sources.ask_for_listing(world.source.id)
        fourth = timed_tick(world, "catalog_auto_sync", third.cursor)
        assert "3 objects: 0 new" in fourth.skip_message
        assert "outlasts a tick" in fourth.skip_message
        assert server.fetches == ["/0.git/git-upload-pack", "/1.git/git-upload-pack"]
        server.over.set()
        until(lambda: not turns_beside.TURNS._at_work)
    listings = world.catalog.listings
    assert [listings.latest(one.id) and listings.latest(one.id).state for one in evil] == [
        ListingState.FAILED, ListingState.FAILED, None, None,
    ]  # fmt: skip
    owners = [one.name for one in (world.settings.home / "owners").iterdir() if one.name[0] != "."]
    assert len(owners) <= 1, "what a turn beside kept open is closed after it"


def test_a_fetch_that_takes_longer_than_ticks_is_indexed(world, tmp_path):
    origin = Origin(tmp_path / "served" / "docs")
    origin.write("a.md", "# Title\n\nwords\n")
    origin.commit()
    with git_server(tmp_path / "served") as server:
        server.slow_seconds = 2 * TICK
        world.source = add(world, "slow", f"{server.url}/docs", world.source.tenant)
        first = timed_tick(world, "catalog_auto_sync")
        assert "slow: it takes longer than a tick" in first.skip_message
        world._defs.clear()  # loaded again: the new sensor knows of no slow ones
        assert "outlasts a tick" in timed_tick(world, "catalog_auto_sync").skip_message
        until(lambda: not turns_beside.TURNS._at_work)
        assert server.uploads() == 2, "one question and one fetch"
        assert world.catalog.listings.latest(world.source.id).state is ListingState.COMPLETE
        (request,) = timed_tick(world, "dispatch").run_requests
        job = world.defs.resolve_job_def(request.job_name)
        assert job.execute_in_process(
            run_config=request.run_config, tags=dict(request.tags), instance=world.instance
        ).success
    assert world.indexed_keys() == {"a.md"}


def test_a_declared_source_keeps_no_tick_either(world):
    with hanging_git() as server:
        from s3sync_dagster import GitSource

        declared = GitSource(
            repository=f"{server.url}/0.git", name="declared", collection_name="texts",
        )  # fmt: skip
        world._defs.append(build_definitions([declared]))
        told = timed_tick(world, "declared_auto_sync")
        assert "it takes longer than a tick" in told.skip_message
        assert "still at what" in timed_tick(world, "declared_auto_sync").skip_message
        assert len(server.fetches) == 1


def test_the_tick_after_one_that_was_lost_does_not_begin_with_the_same_tenant(world, monkeypatch):
    class Lost(BaseException):
        """Dagster has given the tick up."""

    turns = []

    def check(one, **_):
        turns.append(one.name)
        if len(turns) == 1:
            raise Lost

    monkeypatch.setattr(listing_turns, "check_collections", check)
    team = [add(world, name, f"http://127.0.0.1:9/{name}.git", "a-team") for name in "ab"]
    world._defs.append(build_definitions(catalog_sources=[*team, world.source]))
    with pytest.raises(Lost):
        world.tick("catalog_auto_sync")
    timed_tick(world, "catalog_auto_sync")
    assert turns[:2] == ["a", world.source.name]


def source(name: str, tenant: str) -> Source:
    return Source(
        id=name, name=name, tenant=tenant, collection_name="texts",
        place=GitPlace(repository="team/docs"),
    )  # fmt: skip


def take(turns, name, tenant, turn, seconds=0.0):
    return turns.take(source(name, tenant), turn, seconds=seconds, kept=nullcontext())


def test_a_source_has_one_turn_at_once_and_a_tenant_few_but_each_one():
    turns, over = TurnsBeside(per_tenant=2, most=3), threading.Event()
    for name, tenant in (("a", "x"), ("b", "x"), ("c", "y")):
        with pytest.raises(GoesOnBeside):
            take(turns, name, tenant, over.wait)
    for name, tenant, why in (
        ("a", "x", "still at"), ("d", "x", "of its tenant"), ("e", "y", "of its tenant"),
    ):  # fmt: skip
        with pytest.raises(Waits, match=why):
            take(turns, name, tenant, over.wait)
        assert why in (turns.hindrance(source(name, tenant)) or "")
    assert take(turns, "f", "z", lambda: 7, seconds=60) == 7, "a tenant that has none has room"
    over.set()
    until(lambda: not turns._at_work)
    assert take(turns, "a", "x", lambda: 8, seconds=60) == 8


def test_what_a_turn_raises_is_raised_where_it_is_waited_for_and_else_logged(caplog):
    turns, over = TurnsBeside(), threading.Event()

    def fails():
        over.wait()
        raise Unavailable("the server is away")

    with pytest.raises(GoesOnBeside):
        take(turns, "a", "x", fails)
    with caplog.at_level(logging.WARNING):
        over.set()
        until(lambda: "a could not be listed: the server is away" in caplog.text)
    with pytest.raises(Unavailable, match="away"):
        take(turns, "a", "x", fails, seconds=60)
