"""One policy of trying again, and the times on which the safety of leases rests."""

import inspect
import random

import pytest

from s3sync_dagster.core.patience import (
    BUSY_RETRY_SECONDS,
    CONFIGURATION_RETRY_SECONDS,
    LEASE_SECONDS,
    RENEW_SECONDS,
    TRANSIENT_RETRY_SECONDS,
    WRITE_SECONDS,
    Patience,
    busy,
    try_again,
)
from s3sync_dagster.core.reservation import Take
from s3sync_dagster.engine.batch.lease import Lease
from s3sync_dagster.model.errors import (
    AccessDenied,
    LeaseLost,
    Throttled,
    Unavailable,
    UnreadableFile,
)
from s3sync_dagster.ports.chroma import open_collections
from s3sync_dagster.ports.chroma_http import ChromaHttp

NOW = 1000.0


def again(error, *, attempts=1, **patience):
    return try_again(
        error, attempts=attempts, patience=Patience(**patience), now=NOW, chance=random.Random(7)
    )


def test_what_the_bytes_cause_is_not_tried_again():
    found = again(UnreadableFile("damaged"))
    assert (found.by_itself, found.cause, found.at) == (False, "input", None)


def test_what_a_person_has_to_change_is_left_to_listings():
    found = again(AccessDenied("no"))
    assert (found.by_itself, found.cause) == (False, "configuration")
    assert found.at == NOW + CONFIGURATION_RETRY_SECONDS


@pytest.mark.parametrize(
    ("attempts", "least", "most"), [(1, 24, 36), (2, 48, 72), (3, 96, 144), (4, 192, 288)]
)
def test_what_passes_is_tried_again_by_itself_later_each_time(attempts, least, most):
    found = again(Unavailable("away"), attempts=attempts)
    assert (found.by_itself, found.cause) == (True, "transient")
    assert least <= found.at - NOW <= most


def test_after_all_attempts_a_listing_tries_again():
    found = again(Unavailable("away"), attempts=5)
    assert (found.by_itself, found.cause) == (False, "transient")
    assert found.at == NOW + TRANSIENT_RETRY_SECONDS
    assert again(Unavailable("away"), attempts=4).by_itself


def test_a_back_off_ends_at_an_hour():
    assert Patience(attempts=99).backoff(50, random.Random(1)) <= 3600 * 1.2


def test_the_pause_that_the_other_side_asks_for_is_kept():
    assert again(Throttled("slow down", retry_after_seconds=500)).at == NOW + 500


def test_a_one_shot_sync_hands_nothing_on_but_what_is_only_busy():
    assert not again(Unavailable("away"), final=True).by_itself
    found = again(busy("in a moment"), final=True)
    assert found.by_itself
    assert found.at >= NOW + BUSY_RETRY_SECONDS


def test_what_is_busy_waits_until_it_passes_but_for_a_one_shot_sync():
    found = again(busy("in a moment"), attempts=5000)  # a year of hours
    assert found.by_itself
    assert found.at <= NOW + TRANSIENT_RETRY_SECONDS * 1.2
    assert not again(busy("in a moment"), attempts=5, final=True).by_itself


def test_the_timeout_of_a_write_is_the_one_on_which_leases_rest():
    for function in (open_collections, ChromaHttp.__init__):
        assert inspect.signature(function).parameters["timeout_seconds"].default == WRITE_SECONDS
    assert LEASE_SECONDS > WRITE_SECONDS + 2 * RENEW_SECONDS


class TestLease:
    @pytest.fixture
    def lease(self, world):
        world.ask("a.txt")
        batch = world.catalog.batches.reserve(world.source.id, take=Take(), owner="w", run_id="r")
        return Lease(batch.token, catalog=world.catalog, clock=world.clock)

    def test_the_worker_believes_what_the_catalog_granted_and_no_more(self, world, lease):
        class Stingy:
            batches = world.catalog.batches

        granted = []

        class Batches:
            def renew(self, token):
                granted.append(token)
                return 30.0

        Stingy.batches = Batches()
        stingy = Lease(lease.token, catalog=Stingy, clock=world.clock)
        stingy.renew()
        stingy.require(seconds=30)
        with pytest.raises(LeaseLost):
            stingy.require(seconds=31)
        assert granted

    def test_it_ends_by_itself_where_the_catalog_does_not_answer(self, world, lease):
        class Away:
            class batches:  # noqa: N801  (stands for a property)
                @staticmethod
                def renew(_token):
                    raise Unavailable("no answer")

        away = Lease(lease.token, catalog=Away, clock=world.clock)
        away.require()
        world.clock.seconds += LEASE_SECONDS - WRITE_SECONDS + 1
        with pytest.raises(LeaseLost):
            away.require()

    def test_a_batch_that_was_taken_over_is_lost_at_the_next_renewal(self, world, lease):
        world.catalog.batches.release(lease.token, died=True)
        world.clock.seconds += LEASE_SECONDS - WRITE_SECONDS - RENEW_SECONDS + 1
        with pytest.raises(LeaseLost):
            lease.require()

    def test_it_goes_on_as_long_as_it_is_renewed(self, world, lease):
        for _ in range(10):
            world.clock.seconds += LEASE_SECONDS / 2
            lease.renew()
        lease.require()
