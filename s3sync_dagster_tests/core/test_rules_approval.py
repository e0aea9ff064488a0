"""An approval ends what was shown when a listing was blocked, and nothing else."""

import pytest

from s3sync_dagster.core.state import DepartureCursor, ListingState
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster_tests.core.rules import event
from s3sync_dagster_tests.core.test_rules_listing import fill


def blocked(world):
    """Miss sixty of a hundred objects; return what is shown of it."""
    fill(world, 100)
    world.sync()
    for n in range(60):
        world.bucket.delete(f"k{n:03}.md")
    assert world.listing().listing.state is ListingState.BLOCKED
    return shown(world)


def shown(world):
    keys, cursor = [], DepartureCursor()
    while cursor is not None:
        some, cursor = world.catalog.listings.departing_keys(
            world.source.id, kind=cursor.kind, after=cursor.after, limit=7
        )
        keys += some
    return sorted(keys)


@pytest.mark.parametrize("found", ["asked", "told"])
def test_what_was_found_gone_later_does_not_go_with_an_approval(world, found):
    before = blocked(world)
    assert before == [f"k{n:03}.md" for n in range(60)]
    world.configure(mode=DeleteMode.KEEP_DELETED)
    world.bucket.delete("k099.md")
    if found == "asked":
        world.ask("k099.md")
    else:
        event(world, "k099.md", remove=True)
    world.run_batches()
    world.configure(mode=DeleteMode.MIRROR)
    assert shown(world) == before
    assert not world.catalog.listings.holds(world.source.id, "k099.md")
    world.catalog.listings.approve(world.source.id)
    world.run_batches()
    assert world.keys_indexed() == {f"k{n:03}.md" for n in range(60, 100)}
    assert world.sync() == {"k099.md": "removed"}  # one of forty is for no person to say


def test_what_came_back_since_stays_with_an_approval(world):
    blocked(world)
    event(world, "k001.md", told=world.bucket.put("k001.md", "back"))
    world.run_batches()
    assert "k001.md" not in shown(world)
    world.catalog.listings.approve(world.source.id)
    world.run_batches()
    assert world.keys_indexed() == {"k001.md", *(f"k{n:03}.md" for n in range(60, 100))}
