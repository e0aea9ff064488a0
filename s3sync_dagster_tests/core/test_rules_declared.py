"""A source that code declares stays what it is until it is moved; and what a move leaves behind."""

import pytest
import sqlalchemy as sa

from s3sync_dagster.core.source_identity import LeftBehind, identity_changes, refusal
from s3sync_dagster.engine.moving import clear_left_behind
from s3sync_dagster.model.errors import Conflict, Unavailable
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster_tests.core.rules import hold, states, work_on
from s3sync_dagster_tests.sources import changed


@pytest.fixture
def declared(world):
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
    return world


def register(world, **changes):
    return world.catalog.sources.register(changed(world.source, id="of the code", **changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"bucket_name": "bucket-eu"},
        {"endpoint_url": "http://127.0.0.1:9"},
        {"path_prefix": "a/"},
        {"tenant": "other"},
        {"database_name": "other_db"},
        {"collection_name": "docs2"},
        {"id_prefix": "p-"},
        {"collection_name": "docs2", "metadata": {"team": "red"}},
    ],
)
def test_a_declaration_of_another_source_is_refused_until_it_is_taken_back(
    declared, changes, caplog
):
    declared.bucket.put("a.md", "text")
    declared.sync()
    assert register(declared, **changes) == declared.source
    wanted = declared.catalog.sources.refused(declared.source.id)
    said = refusal(declared.source, wanted)
    assert "s3sync source move docs" in said
    assert said in caplog.text
    caplog.clear()
    assert register(declared, **changes) == declared.source
    assert caplog.text == ""  # said once, not at each tick
    assert declared.catalog.sources.find("docs") == declared.source
    assert register(declared) == declared.source
    assert declared.catalog.sources.refused(declared.source.id) is None


def test_other_settings_and_a_source_that_met_no_object_are_what_code_says(declared):
    assert register(declared, collection_name="docs2").collection_name == "docs2"
    declared.source = declared.catalog.sources.find("docs")
    declared.bucket.put("a.md", "text")
    declared.sync()
    assert register(declared, mode=DeleteMode.APPEND).mode is DeleteMode.APPEND
    assert declared.catalog.sources.refused(declared.source.id) is None


def test_identity_is_told_by_the_names_of_settings(world):
    after = changed(world.source, bucket_name="b2", id_prefix="p-")
    assert identity_changes(world.source, after) == {
        "bucket": ("bucket", "b2"),
        "id_prefix": ("", "p-"),
    }


def begin(world, **changes):
    before, world.source = world.source, changed(world.source, **changes)
    return world.catalog.moves.begin(before, world.source)


def clear(world, *, approved=False):
    (remnant,) = world.catalog.moves.remnants(world.source.id)
    return clear_left_behind(
        world.source,
        remnant,
        moves=world.catalog.moves,
        catalog=world.catalog,
        collections=world.collections,
        approved=approved,
    )


def fill(world, number=3):
    for n in range(number):
        world.bucket.put(f"{n}.md", f"text {n}")
    world.sync()


def test_a_move_waits_for_batches_at_work(world):
    fill(world)
    world.bucket.put("0.md", "new")
    world.listing()
    batch = hold(world, "0.md")
    before = world.source
    assert not begin(world, collection_name="docs2")
    assert world.catalog.sources.find("docs") == before
    world.source = before
    work_on(world, batch)
    assert begin(world, collection_name="docs2")


def test_a_move_to_where_another_source_is_changes_nothing(world):
    fill(world)
    other = world.source.with_changes(id="2", name="other", collection_name="docs2")
    world.catalog.sources.add(other)
    before = world.source
    with pytest.raises(Conflict, match="other"):
        begin(world, collection_name="docs2")
    assert world.catalog.sources.find("docs") == before
    assert world.catalog.documents.count(before.id) == 3


def test_old_records_serve_until_their_successors_are_whole(world):
    fill(world)
    world.fault = lambda kind, key: _away(key == "1.md")
    begin(world, collection_name="docs2")
    world.sync()
    assert sorted(world.texts().values()) == ["text 0", "text 2"]
    assert sorted(world.texts("docs").values()) == ["text 0", "text 1", "text 2"]
    cleared = clear(world)
    assert (cleared.removed, cleared.waiting) == (2, 1)
    assert list(world.texts("docs").values()) == ["text 1"]
    world.fault = None
    world.clock.seconds += 4000
    world.sync()
    assert clear(world).removed == 1
    assert world.texts("docs") == {}
    assert world.catalog.moves.remnants(world.source.id) == []
    assert [one.name for one in world.catalog.sources.all()] == ["docs"]


def _away(yes):
    if yes:
        raise Unavailable("the bucket does not answer")


def test_what_lost_its_object_on_the_way_meets_the_guard(world):
    fill(world, 120)
    begin(world, collection_name="docs2")
    for n in range(60):
        world.bucket.delete(f"{n}.md")
    world.sync()
    (remnant,) = world.catalog.moves.remnants(world.source.id)
    assert world.catalog.moves.left_behind(world.source, remnant) == LeftBehind(
        followed=60, left=60, waiting=0
    )
    cleared = clear(world)
    assert (cleared.removed, cleared.blocked) == (60, 60)
    assert len(world.texts("docs")) == 60
    assert clear(world, approved=True).removed == 60
    assert world.texts("docs") == {}


def test_a_mode_that_keeps_documents_keeps_those_without_an_object(world):
    world.configure(mode=DeleteMode.KEEP_DELETED)
    fill(world)
    world.bucket.delete("0.md")
    world.sync()
    begin(world, collection_name="docs2")
    world.sync()
    cleared = clear(world, approved=True)
    assert (cleared.removed, cleared.kept) == (2, 1)
    assert list(world.texts("docs").values()) == ["text 0"]


def test_another_bucket_with_the_same_objects_is_written_over_in_place(world):
    fill(world)
    ids = set(world.texts())
    begin(world, bucket_name="bucket-eu")  # replicated: same keys, same etags
    assert world.catalog.moves.remnants(world.source.id) == []
    assert set(world.texts()) == ids  # they serve
    assert world.catalog.views.counts(world.source.id).indexed == 0
    world.sync()
    assert set(world.texts()) == ids
    assert {one["s3sync_bucket"] for one in world.metadata().values()} == {"bucket-eu"}


def test_a_listing_of_the_place_before_ends(world):
    world.configure(path_prefix="b/")
    for n in range(30):
        world.bucket.put(f"b/{n:02}.md", f"b{n}")
        world.bucket.put(f"a/{n:02}.md", f"a{n}")
    world.sync()
    paused = world.listing(page_keys=10, budget_seconds=0)
    assert not paused.done
    begin(world, path_prefix="a/")
    progress = world.listing(page_keys=10)
    assert progress.listing.id != paused.listing.id
    assert progress.listing.state == "blocked"  # all of the objects before are missed
    world.run_batches()
    assert len(world.texts()) == 60
    world.catalog.listings.approve(world.source.id)
    world.run_batches()
    assert sorted(world.texts().values()) == sorted(f"a{n}" for n in range(30))
    assert {state for state, _ in states(world).values()} == {"indexed"}


def test_sequencers_of_the_bucket_before_hold_nothing_back(world):
    fill(world, 1)
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE objects SET sequencer = 'ffff', version_id = 'v1'"))
    begin(world, bucket_name="bucket-eu")
    with world.catalog.database.read() as tx:
        row = tx.execute(sa.text("SELECT sequencer, version_id FROM objects")).one()
    assert tuple(row) == (None, None)


def test_other_record_ids_replace_those_before(world):
    fill(world)
    before = set(world.texts())
    begin(world, id_prefix="p-")
    world.sync()
    assert set(world.texts()) == {f"p-{name}" for name in before}
