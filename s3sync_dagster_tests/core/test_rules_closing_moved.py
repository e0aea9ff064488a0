"""What closes an object's texts closes those of the source before a moved one, while they stay.

The successor of an archived object is never written, and that of any other not while a service is
away: a member would go on reading what is for others by now.
"""

import pytest

from s3sync_dagster.catalog.rights import rights_of
from s3sync_dagster.core.rights import Reader
from s3sync_dagster.engine.readable import Readable
from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster_tests.core.rules import Refusing, refuse_with, sidecar
from s3sync_dagster_tests.core.test_rules_moved import finish, move
from s3sync_dagster_tests.core.test_rules_owner_words import goes_on
from s3sync_dagster_tests.core.test_rules_restored_owners import declared

KEY, SIDECAR = "k0.md", "z/k0.md.meta.json"
MOVES = [{"id_prefix": "p-"}, {"collection_name": "docs2"}, {"bucket_name": "bucket-eu"}]
PLACE = {"tenant": "default_tenant", "database": "default_database"}


def for_team(name):
    return sidecar(KEY, "id-0", metadata={"team": [name]})


def seen(world, group):
    """Return the texts of the key that members of a group find, whichever source has them."""
    rights = rights_of(world.catalog, Reader(frozenset({group})), tenant=world.source.tenant)
    found = set()
    for name in world.collections.list_collections(**PLACE):
        port = world.collections.open(name, **PLACE, embedder=None, create=False)
        ids = [record.id for page in Readable(port, rights).scan() for record in page]
        found |= {one.document for one in port.get(ids, documents=True).values()}
    return {text for text in found if text.startswith("k0")}


@pytest.fixture
def world():
    made = declared(
        [f"k{number}.md" for number in range(10)],
        reader_keys=("team",),
        metadata={"team": ["all"]},
    )
    made.bucket.put(SIDECAR, for_team("all"))
    goes_on(made, 3)
    assert seen(made, "all")
    return made


def works(world, turns=3, **changes):
    for _ in range(turns):
        world.clock.seconds += 7200
        world.listing()
        world.run_batches(**changes)
        finish(world)


@pytest.mark.parametrize("change", MOVES)
@pytest.mark.parametrize("says", ["a sidecar", "an owner"])
def test_what_stays_of_an_archived_object_is_closed_by_what_is_said_after_the_move(
    world, change, says
):
    world.bucket.put(KEY, "k0.md one\n\nk0.md two", storage_class="GLACIER")
    goes_on(world, 2)
    move(world, **change)
    works(world)
    assert seen(world, "all")  # nobody has said anything yet
    if says == "a sidecar":
        world.bucket.put(SIDECAR, for_team("hr"))
    else:
        world.ask(KEY, metadata={"team": ["hr"]}, vouched=True)
    works(world)
    assert not seen(world, "all")


@pytest.mark.parametrize("change", MOVES[:2])
def test_so_is_what_waits_for_a_service_in_the_midst_of_a_move(world, change):
    move(world, **change)
    away = refuse_with(Unavailable("away", reason="chroma_unavailable"))
    refusing = Refusing(world, upsert=away, update_metadata=away)
    works(world, collections=refusing)
    assert seen(world, "all")
    world.bucket.put(SIDECAR, for_team("hr"))
    works(world, collections=refusing)
    assert not seen(world, "all")
    refusing.on = False
    goes_on(world)
    works(world)
    assert seen(world, "hr")
    assert not seen(world, "all")


def test_so_is_what_a_mode_keeps_of_an_object_that_is_gone(world):
    world.configure(mode=DeleteMode.KEEP_DELETED)
    goes_on(world, 1)
    world.bucket.delete(KEY)
    goes_on(world, 2)
    move(world, collection_name="docs2")
    works(world)
    assert seen(world, "all")
    world.ask(KEY, metadata={"team": ["hr"]}, vouched=True)
    works(world)
    assert not seen(world, "all")
