"""A source that code declares stays what it is, whatever is declared under its name."""

import pytest
import sqlalchemy as sa

from s3sync_dagster.core import declaration
from s3sync_dagster.core.source_identity import identity_changes, refusal
from s3sync_dagster.core.state import DocumentPhase
from s3sync_dagster.model.errors import Conflict
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster_tests.core.rules import hold, work_on
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


@pytest.mark.parametrize("begun", [False, True])
def test_a_source_that_was_asked_for_an_object_is_no_other_one_while_that_is_written(
    declared, begun
):
    declared.bucket.put("a.md", "text")
    declared.ask("a.md", custom_id="r1")
    batch = hold(declared, "a.md") if begun else None
    assert register(declared, id_prefix="p-") == declared.source
    assert declared.catalog.sources.refused(declared.source.id) is not None
    if batch is not None:
        work_on(declared, batch)
        (document,) = declared.catalog.documents.of_source(declared.source.id)
        assert (document.document_id, document.phase) == ("r1", DocumentPhase.CLEAN)


def test_identity_is_told_by_the_names_of_settings(world):
    after = changed(world.source, bucket_name="b2", id_prefix="p-")
    assert identity_changes(world.source, after) == {
        "bucket": ("bucket", "b2"),
        "id_prefix": ("", "p-"),
    }


def test_two_code_locations_that_declare_a_source_differently_come_to_rest(declared):
    rows, clock = declared.catalog.sources, declared.clock
    one, other = {"by": "one"}, {"by": "other"}

    def declare(mode, location, **more):
        said = changed(declared.source, id="of the code", mode=mode)
        return rows.register(said, **location, **more).mode

    assert declare(DeleteMode.APPEND, one) is DeleteMode.APPEND
    for _ in range(4):
        clock.sleep(30)
        assert declare(DeleteMode.MIRROR, other) is DeleteMode.APPEND
        assert declare(DeleteMode.APPEND, one) is DeleteMode.APPEND
    told = rows.contradiction(declared.source)
    assert "declared by the code location 'other', too" in told
    assert "those of 'one' count" in told
    clock.sleep(declaration.HOLDS_SECONDS + 1)
    assert rows.contradiction(declared.source) is None
    assert declare(DeleteMode.MIRROR, other) is DeleteMode.MIRROR, "the first one is gone"


def test_a_rolling_deploy_of_one_location_is_no_contradiction(declared):
    rows = declared.catalog.sources
    old = changed(declared.source, id="of the code", mode=DeleteMode.APPEND)
    new = changed(declared.source, id="of the code", mode=DeleteMode.MIRROR)
    for code in (old, new, old, new):
        assert rows.register(code, by="location").mode is code.mode
    assert rows.register(new, by="another").mode is DeleteMode.MIRROR
    assert rows.contradiction(declared.source) is None, "they say the same"


def test_a_declaration_that_says_nothing_new_is_written_down_now_and_then(declared):
    rows, clock, source = declared.catalog.sources, declared.clock, declared.source
    rows.register(source, by="one", chroma="http://there:1")
    first = rows.declaration(source.id)
    assert (first.by, first.chroma) == ("one", "http://there:1")
    clock.sleep(declaration.REFRESH_SECONDS / 2)
    rows.register(source, by="one", chroma="http://there:1")
    assert rows.declaration(source.id) == first
    clock.sleep(declaration.REFRESH_SECONDS)
    rows.register(source, by="one", chroma="http://there:1")
    assert rows.declaration(source.id).at > first.at
    rows.register(source, by="one")
    assert rows.declaration(source.id).chroma is None, "another Chroma is written down at once"


def test_a_chroma_is_told_by_host_and_port_and_by_no_secret():
    told = declaration.chroma_address
    assert told("http://me:secret@127.0.0.1:8000/x?y=z") == "http://localhost:8000"
    assert told("https://Chroma.Example.org") == "https://chroma.example.org:443"
    assert told("http://[::1]:1") == told("http://localhost:1")
    assert told("http://[fe80::1]:8000") == "http://[fe80::1]:8000"


def test_who_may_read_is_said_too_late_of_records_that_outlive_their_source(world):
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
    world.catalog.sources.mark_deleting(world.source.id, keep_records=True)
    said = world.source.with_changes(reader_keys=("team",))
    with pytest.raises(Conflict) as caught:
        world.catalog.sources.update(said)
    assert caught.value.reason == "readers_would_be_lost"
    assert world.catalog.sources.register(said).reader_keys == ()
    assert world.catalog.sources.find(world.source.id).reader_keys == ()
