"""What an owner asked for and could not have yet is kept until it can be written."""

import pytest

from s3sync_dagster.core.patience import Patience
from s3sync_dagster.core.state import ListingState
from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster_tests.core.test_rules_closing import HOUR, by_path, readers
from s3sync_dagster_tests.engine_fixture import make_world

KEY = "sales/a.md"
HR, SALES = {"team": "hr"}, {"team": "sales"}


class Away:
    """Collections of a Chroma that is not there."""

    def open(self, *_, **__):
        raise Unavailable("away", reason="chroma_unavailable")


def ask(world, metadata, **wish):
    world.ask(KEY, metadata=metadata, vouched=True, **wish)
    return world.run_batches()


def can_be_read(world):
    world.configure(exclude_globs=())
    world.bucket.put(KEY, "secret, newer")
    world.sync()


@pytest.mark.parametrize("how", ["archived", "damaged", "left out"])
@pytest.mark.parametrize("again", [SALES, {}])
def test_an_owner_who_takes_back_what_was_asked_in_vain_opens_what_says_so(how, again):
    world = by_path(how)
    ask(world, HR)
    assert readers(world) == []
    ask(world, again)
    for _ in range(2):
        assert readers(world) == ["sales"]
        world.clock.seconds += HOUR
        world.sync()
    can_be_read(world)
    assert readers(world) == ["sales"]


@pytest.mark.parametrize("how", ["archived", "damaged", "left out"])
@pytest.mark.parametrize("custom_id", [None, "mine"])
@pytest.mark.parametrize("member", [False, True])
def test_the_last_that_an_owner_asked_in_vain_is_written_when_it_can_be(how, custom_id, member):
    world = by_path(how)
    ask(world, {"team": "nobody"})
    ask(world, {**HR, "lang": "de"}, custom_id=custom_id)
    if member:
        world.ask(KEY, metadata={**SALES, "lang": "de"}, custom_id=custom_id, vouched=False)
        world.run_batches()
    assert readers(world) == []
    can_be_read(world)
    assert readers(world) == ["hr"]
    [record] = world.metadata().values()
    assert (record["lang"], record.get("custom_id")) == ("de", custom_id)
    world.bucket.put(KEY, "secret, newest")
    world.sync()
    assert readers(world) == ["hr"]


@pytest.mark.parametrize("known", [True, False])
def test_what_an_owner_asked_is_written_when_it_failed_before_its_claim(known):
    world = make_world(path_metadata="(?P<team>[^/]+)/", reader_keys=("team",))
    world.bucket.put(KEY, "secret")
    if known:
        world.sync()
    world.ask(KEY, metadata=HR, vouched=True)
    [end] = world.run_batches(collections=Away(), patience=Patience(tries=1, attempts=1))
    assert end.state == "failed"
    assert readers(world) == []
    world.clock.seconds += 24 * HOUR
    world.sync()
    assert readers(world) == ["hr"]


def test_what_an_owner_asked_of_an_archived_object_that_was_never_read_holds():
    world = make_world(path_metadata="(?P<team>[^/]+)/", reader_keys=("team",))
    world.bucket.put(KEY, "secret", storage_class="GLACIER")
    world.sync()
    ask(world, HR)
    world.sync()
    can_be_read(world)
    assert readers(world) == ["hr"]


def archived(*keys):
    world = make_world(path_metadata="(?P<team>[^/]+)/", reader_keys=("team",))
    for key in keys:
        world.bucket.put(key, "secret", storage_class="GLACIER")
    world.sync()
    return world


@pytest.mark.parametrize("words", [(HR, SALES, HR), (SALES, HR, SALES)])
def test_the_last_of_several_words_on_what_was_never_read_holds(words):
    world = archived(KEY)
    for metadata in words:
        ask(world, metadata)
    can_be_read(world)
    assert readers(world) == [words[-1]["team"]]


def test_the_custom_id_that_was_asked_last_of_what_was_never_read_holds():
    world = archived(KEY)
    ask(world, HR)
    ask(world, HR, custom_id="mine")
    can_be_read(world)
    [record] = world.metadata().values()
    assert record["custom_id"] == "mine"


@pytest.mark.parametrize("evidence", ["listing", "heads"])
def test_what_has_no_records_does_not_make_room_for_removals(evidence):
    kept = [f"sales/k{n:02}.md" for n in range(60)]
    waiting = [f"sales/z{n:03}.md" for n in range(300)]
    world = archived(*waiting)
    for key in kept:
        world.bucket.put(key, "text")
    world.sync()
    for key in waiting:
        world.ask(key, metadata=HR, vouched=True)
    world.run_batches()
    assert world.catalog.documents.count(world.source.id) == 60
    for key in kept:
        world.bucket.delete(key)
        if evidence == "heads":
            world.ask(key)
    if evidence == "listing":
        world.clock.seconds += HOUR
        assert world.listing().listing.state is ListingState.BLOCKED
    world.run_batches()
    assert len(world.metadata()) == 60
