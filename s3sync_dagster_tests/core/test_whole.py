"""How the invocation of a whole commit or site ends follows from its listing and the rest."""

import pytest
import sqlalchemy as sa

from s3sync_dagster.catalog.quotas import ObjectQuota
from s3sync_dagster.catalog.tables import listings, sources, wholes
from s3sync_dagster.catalog.wholes import KEPT
from s3sync_dagster.core.state import ListingRow, ListingState
from s3sync_dagster.core.whole import state_of_whole
from s3sync_dagster.model.errors import Conflict
from s3sync_dagster.ports.memory_s3 import MemoryObjectStore
from s3sync_dagster_tests.core.test_rules_moved import finish, move


@pytest.mark.parametrize(
    ("state", "live", "failed", "status", "says"),
    [(None, 0, 0, "pending", None), (None, 5, 5, "pending", None),
     ("running", 0, 0, "processing", None), ("complete", 1, 0, "processing", None),
     ("complete", 0, 0, "complete", None), ("approved", 0, 0, "complete", None),
     ("complete", 0, 2, "failed", "2 files"), ("failed", 0, 0, "failed", "no branch"),
     ("blocked", 3, 0, "failed", "approve-deletes docs 1")],
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


def test_a_listing_that_a_person_replaces_is_answered_for_by_the_one_that_begins_anew(world):
    for name in "abc":
        world.bucket.put(f"{name}.md", f"text {name}")
    name = ask(world)
    assert not world.listing(page_keys=2, budget_seconds=0).done
    assert look(world, name).status == "processing"
    world.sync(fresh=True)
    assert look(world, name).status == "complete"


def test_what_was_asked_of_a_source_that_is_moved_is_asked_of_the_new_one(world):
    world.bucket.put("a.md", "text")
    with world.catalog.database.write() as tx:
        tx.execute(sources.update().values(origin="python"))
    world.sync()
    name = ask(world)
    move(world, bucket_name="bucket-eu")
    world.sync()
    assert look(world, name).status == "complete"
    assert finish(world) is None
    assert look(world, name).status == "complete"


def test_how_it_ended_is_stored_at_the_end_and_not_when_somebody_looks(world):
    world.bucket.put("a.md", "one")
    first, same = ask(world), ask(world)
    assert first == same  # nothing has begun with it
    with world.catalog.database.write() as tx:
        tx.execute(wholes.insert().values(**{**_row(tx, first), "id": "twin"}))
    world.listing()
    other = ask(world)
    assert other != first
    world.run_batches()
    assert look(world, "twin").status == "complete"
    world.bucket.put("b.md", "BAD")
    world.sync()
    assert (look(world, first).status, look(world, other).status) == ("complete", "failed")
    ended = ask(world)
    world.bucket.put("b.md", "good")
    world.clock.seconds += 4000
    world.bucket.put("c.md", "BAD")
    world.sync()
    world.bucket.delete("c.md")
    world.sync()
    assert look(world, ended).status == "failed"


def _row(tx, name):
    return tx.execute(wholes.select().where(wholes.c.id == name)).one()._asdict()


def test_they_are_bounded_and_a_look_at_all_asks_as_often_as_at_one(world):
    world.sync()
    name = ask(world)
    with world.catalog.database.write() as tx:
        row = _row(tx, name)
        many = [
            {**row, "id": f"w{place}", "created_at": row["created_at"] - 1} for place in range(KEPT)
        ]
        tx.execute(wholes.insert(), many)
    world.catalog.wholes.insert(world.source, ref={"branch": "other"})
    of_tenant = {"source_ids": None, "database_name": None, "source_type": None}

    def shown():
        return world.catalog.wholes.rows(tenant=world.source.tenant, **of_tenant)

    asked = []
    listen = (
        world.catalog.database.engine,
        "before_cursor_execute",
        lambda *one: asked.append(one),
    )
    sa.event.listen(*listen)
    try:
        assert len(shown()) == KEPT
    finally:
        sa.event.remove(*listen)
    assert len(asked) < 10
    world.sync()
    assert {one.status for one in shown()} == {"complete"}


def test_what_a_tenant_has_no_room_for_is_no_whole(world):
    world.catalog.database.quota = ObjectQuota(most=1)
    world.bucket.put("a.md", "one")
    world.bucket.put("b.md", "two")
    name = ask(world)
    world.sync()
    assert look(world, name).status == "failed"
    assert "1 new files or pages were left out" in look(world, name).error


class Copied(MemoryObjectStore):
    """A copy that has always the same commit."""

    def renew(self):
        pass

    def pin(self):
        return "c0ffee"

    def list_pinned(self, token, prefix, *, start_after, limit=1000):
        return self.list_page(prefix, start_after=start_after, limit=limit)


def test_a_commit_that_was_not_the_one_listed_is_not_complete(world, tmp_path):
    world.bucket.put("a.md", "one")
    listed, passed = (
        world.catalog.wholes.insert(world.source, ref={"sha": sha}) for sha in ("c0ffee", "0ld")
    )
    world.store = Copied(world.bucket)
    world.sync(snapshots=tmp_path)
    assert look(world, listed).status == "complete"
    assert look(world, passed).status == "failed"
    assert "the commit c0ffee was listed" in look(world, passed).error


def test_a_pending_one_can_be_cancelled_and_a_deleted_source_ends_all(world):
    name = ask(world)
    other = world.catalog.wholes.insert(world.source, ref={"branch": "other"})
    world.catalog.wholes.cancel(look(world, name))
    assert look(world, name).status == "cancelled"
    world.sync()
    assert look(world, name).status == "cancelled"
    assert look(world, other).status == "complete"
    world.catalog.documents.drop_source(world.source.id)
    assert look(world, other) is None
    with world.catalog.database.read() as tx:
        assert not tx.execute(listings.select()).all()
