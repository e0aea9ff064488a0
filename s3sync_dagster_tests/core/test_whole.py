"""How the invocation of a whole commit or site ends follows from its listing and the rest."""

import pytest

from s3sync_dagster.catalog.tables import listings
from s3sync_dagster.core.state import ListingRow, ListingState
from s3sync_dagster.core.whole import state_of_whole
from s3sync_dagster.model.errors import Conflict


@pytest.mark.parametrize(
    ("state", "live", "failed", "status", "says"),
    [(None, 0, 0, "pending", None), (None, 5, 5, "pending", None),
     ("running", 0, 0, "processing", None), ("complete", 1, 0, "processing", None),
     ("complete", 0, 0, "complete", None), ("approved", 0, 0, "complete", None),
     ("complete", 0, 2, "failed", "2 files"), ("failed", 0, 0, "failed", "no branch"),
     ("blocked", 3, 0, "failed", "approve-deletes docs")],
)  # fmt: skip
def test_the_end_of_a_whole_invocation(state, live, failed, status, says):
    listing = state and ListingRow(
        id=1, source_id="s", state=ListingState(state), cursor=None, started_at=1.0,
        finished_at=2.0, error="no branch" if state == "failed" else None, gone=7,
    )  # fmt: skip
    found = state_of_whole(listing, live=live, failed=failed, name="docs")
    assert found.status == status
    assert (says or "") in (found.error or "")
    assert (found.error is None) == (says is None)


def ask(world):
    return world.catalog.wholes.insert(world.source, ref={"branch": "main"})


def look(world, name):
    return world.catalog.wholes.find(name, tenant=world.source.tenant)


def test_only_a_listing_that_began_later_answers_and_its_end_stays_what_it_was(world):
    world.bucket.put("a.md", "one")
    world.sync()
    name = ask(world)
    assert look(world, name).status == "pending"
    assert world.catalog.wholes.find(name, tenant="other") is None
    world.bucket.put("b.md", "two")
    world.listing()
    assert look(world, name).status == "processing"
    with pytest.raises(Conflict, match="no longer pending"):
        world.catalog.wholes.cancel(look(world, name))
    world.run_batches()
    done = look(world, name)
    assert done.status == "complete"
    assert done.metadata == {"branch": "main"}
    world.bucket.put("c.md", "BAD")
    world.clock.seconds += 60
    world.sync()
    assert look(world, name) == done
    later = ask(world)
    world.sync()
    assert look(world, later).status == "failed"
    assert "1 files or pages" in look(world, later).error


def test_a_pending_one_can_be_cancelled_and_a_deleted_source_ends_all(world):
    name, other = ask(world), ask(world)
    world.catalog.wholes.cancel(look(world, name))
    assert look(world, name).status == "cancelled"
    world.sync()
    assert look(world, name).status == "cancelled"
    assert look(world, other).status == "complete"
    world.catalog.documents.drop_source(world.source.id)
    assert look(world, other) is None
    with world.catalog.database.read() as tx:
        assert not tx.execute(listings.select()).all()
