"""Values of which nobody knows who gave them neither open a document nor stop closing it."""

import json
from uuid import UUID

import pytest
import sqlalchemy as sa

from s3sync_dagster.catalog.copying import begin_anew
from s3sync_dagster.catalog.recovered import hand_on_requests
from s3sync_dagster.catalog.rights import rights_of, seen_keys
from s3sync_dagster.catalog.tables import documents
from s3sync_dagster.core.rights import WHOLE, Reader
from s3sync_dagster.core.vouching import NOBODY, NOTHING
from s3sync_dagster.engine.rebuilding import recover_documents
from s3sync_dagster.explaining import explain_key
from s3sync_dagster.model.errors import Conflict
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster_tests.core.test_rules_moved import finish, move
from s3sync_dagster_tests.engine_fixture import make_world

KEY = "sales/pay.md"
BY_PATH = {"path_metadata": "(?P<team>[^/]+)/"}
HR = {"team": "hr"}


def ask(world, metadata, *, owner, keys=(KEY,)):
    world.catalog.invocations.request(
        world.source, keys, trigger=Trigger.API, metadata=metadata, vouched=owner
    )
    world.run_batches()


def as_before_it_was_kept_who_asked(world):
    """Do what the upgrade does."""
    with world.catalog.database.write() as tx:
        tx.execute(documents.update().values(withheld=NOTHING))


def seen(world, group, keys=(KEY,)):
    """Return how many records a group finds; by the catalog it is the same."""
    rights = rights_of(world.catalog, Reader(frozenset({group})), tenant=world.source.tenant)
    found = [one for one in world.metadata().values() if rights.allow_record(one)]
    told = seen_keys(world.catalog, rights, world.source, keys)
    assert {one["document_key"] for one in found} == told
    return len(found)


@pytest.mark.parametrize(
    ("own", "mode"),
    [
        (BY_PATH, DeleteMode.MIRROR),
        ({"metadata": {"team": "*"}}, DeleteMode.MIRROR),
        (BY_PATH, DeleteMode.APPEND),
    ],
)
def test_what_an_owner_closed_stays_closed_where_nobody_knows_that_it_was_an_owner(own, mode):
    world = make_world(reader_keys=("team",), mode=mode, **own)
    world.bucket.put(KEY, "salaries")
    world.sync()
    ask(world, HR, owner=True)
    assert (seen(world, "sales"), seen(world, "hr")) == (0, 1)
    as_before_it_was_kept_who_asked(world)
    for _ in range(2):
        assert (seen(world, "sales"), seen(world, "hr")) == (0, 0)
        world.sync()
    told = " ".join(explain_key(world.catalog, world.source, KEY, rights=WHOLE).decision)
    assert "metadata that no owner is known to have given say else under team" in told
    ask(world, HR, owner=True)
    assert (seen(world, "sales"), seen(world, "hr")) == (0, 1)
    told = " ".join(explain_key(world.catalog, world.source, KEY, rights=WHOLE).decision)
    assert "Only owners" not in told


def test_append_mode_asks_once_for_what_it_will_not_write():
    world = make_world(mode=DeleteMode.APPEND, **BY_PATH)
    world.bucket.put(KEY, "salaries")
    world.sync()
    ask(world, HR, owner=False)
    world.clock.seconds += 300
    world.configure(reader_keys=("team",))
    ended = []
    for _ in range(3):
        world.clock.seconds += 300
        ended.append(world.sync())
        assert (seen(world, "sales"), seen(world, "hr")) == (0, 0)
    assert ended == [{KEY: "unchanged"}, {}, {}]


def test_a_member_who_repeats_what_an_owner_said_opens_nothing():
    world = make_world(**BY_PATH)
    world.bucket.put(KEY, "salaries")
    world.sync()
    ask(world, HR, owner=True)
    ask(world, {**HR, "lang": "de"}, owner=False)
    world.configure(reader_keys=("team",))
    for _ in range(2):
        assert (seen(world, "sales"), seen(world, "hr")) == (0, 0)
        world.sync()
    [record] = world.metadata().values()
    assert (record["team"], record["lang"]) == (NOBODY, "de")


def test_what_is_disputed_is_so_in_a_catalog_that_was_made_of_the_records_too():
    world = make_world(reader_keys=("team",), metadata={"team": "*"})
    world.bucket.put(KEY, "salaries")
    world.sync()
    ask(world, HR, owner=True)
    for said in (HR, {"team": NOBODY}):  # an owner's, and what is left of one that is disputed
        [record] = world.metadata().values()
        assert record["team"] == said["team"]
        collection = world.collections.open(
            "docs", tenant="default_tenant", database="default_database", embedder=None
        )
        [one] = recover_documents(world.source, collection, known_sources=()).documents
        assert dict(one.metadata) == said
        as_before_it_was_kept_who_asked(world)
        world.sync()


@pytest.mark.parametrize("mode", [DeleteMode.MIRROR, DeleteMode.APPEND])
def test_metadata_that_name_no_readers_keep_nobody_out(mode):
    world = make_world(reader_keys=("team",), mode=mode, **BY_PATH)
    keys = [f"sales/{number}.md" for number in range(3)]
    for key in keys:
        world.bucket.put(key, "plan")
    ask(world, {"lang": "team"}, owner=False, keys=keys)
    as_before_it_was_kept_who_asked(world)
    assert seen(world, "sales", keys) == 3
    ask(world, {"lang": '"team": '}, owner=False, keys=keys)
    assert seen(world, "sales", keys) == 3
    as_before_it_was_kept_who_asked(world)
    assert set(world.sync().values()) <= {"unchanged"}
    assert seen(world, "sales", keys) == 3


def test_a_restored_catalog_tells_members_nothing_of_what_it_has_not_compared():
    world = make_world(reader_keys=("team",), **BY_PATH)
    world.bucket.put(KEY, "salaries")
    world.sync()
    ask(world, HR, owner=True)
    with world.catalog.database.write() as tx:
        tx.execute(documents.update().values(metadata={}))  # it is of before the request
    begin_anew(world.catalog.database)
    assert seen(world, "sales") == seen(world, "hr") == 0


@pytest.mark.parametrize("metadata", [{"lang": "de"}, {"team": "sales"}])
def test_a_request_of_a_member_that_is_served_late_opens_nothing_that_a_sidecar_closes(metadata):
    world = make_world(bedrock_sidecars=True, **BY_PATH)
    world.bucket.put(KEY, "salaries")
    world.catalog.invocations.request(
        world.source, [KEY], trigger=Trigger.API, metadata=metadata, vouched=False
    )
    world.configure(reader_keys=("team",))
    world.bucket.put(f"{KEY}.metadata.json", json.dumps({"metadataAttributes": HR}))
    for _ in range(2):
        world.sync()
        assert (seen(world, "sales"), seen(world, "hr")) == (0, 1)


def seen_in(world, group):
    """Return whether a group finds it in the collection of the source."""
    rights = rights_of(world.catalog, Reader(frozenset({group})), tenant=world.source.tenant)
    found = world.metadata(world.source.collection_name).values()
    return any(rights.allow_record(one) for one in found)


@pytest.mark.parametrize("owner", [True, False])
@pytest.mark.parametrize("custom_id", [None, "mine"])
@pytest.mark.parametrize(
    "changes",
    [{"id_prefix": "p-"}, {"collection_name": "docs2"}, {"bucket_name": "bucket-eu"}, None],
)
def test_what_was_said_of_readers_holds_where_a_source_goes_and_in_its_new_collection(
    changes, custom_id, owner
):
    world = make_world(reader_keys=("team",), **BY_PATH)
    world.bucket.put(KEY, "salaries")
    world.sync()
    world.ask(KEY, metadata=HR, vouched=owner, custom_id=custom_id)
    world.run_batches()
    if changes is None:  # `reindex --into`
        other = world.source.with_changes(id=str(UUID(int=9)), name="d2", collection_name="docs2")
        with world.catalog.database.write() as tx:
            hand_on_requests(world.catalog.database, tx, world.source, other)
        world.source = world.catalog.sources.add(other)
    else:
        with world.catalog.database.write() as tx:
            tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
        move(world, **changes)
    for _ in range(3):
        assert not seen_in(world, "sales")
        world.clock.seconds += 4000
        world.sync()
        finish(world)
    assert (seen_in(world, "sales"), seen_in(world, "hr")) == (False, owner)
    [row] = world.catalog.documents.of_key(world.source.id, KEY)
    assert (row.custom_id, row.phase) == (custom_id, "clean")


@pytest.mark.parametrize("synced", [True, False])
def test_of_what_was_said_of_readers_before_two_moves_the_newest_holds(synced):
    world = make_world(reader_keys=("team",), **BY_PATH)
    world.bucket.put(KEY, "salaries")
    world.sync()
    ask(world, HR, owner=True)
    for collection in ("docs2", "docs3"):
        with world.catalog.database.write() as tx:
            tx.execute(sa.text("UPDATE sources SET origin = 'python' WHERE moved_to IS NULL"))
        move(world, collection_name=collection)
        if synced or collection == "docs3":
            world.sync()
        if collection == "docs2":
            ask(world, {}, owner=True)  # whom the path names may read it again
    for _ in range(2):
        assert (seen_in(world, "sales"), seen_in(world, "hr")) == (True, False)
        world.clock.seconds += 4000
        world.sync()
        finish(world)


@pytest.mark.parametrize("metadata", [None, {"lang": "de"}])
@pytest.mark.parametrize("before", ["together", "moved"])
def test_a_member_who_asks_before_an_owners_word_is_written_takes_none_of_it_away(before, metadata):
    keys = () if before == "together" else ("team",)
    world = make_world(reader_keys=keys, **BY_PATH)
    world.bucket.put(KEY, "salaries")
    world.sync()
    world.ask(KEY, metadata=HR, vouched=True)
    if before == "moved":
        world.run_batches()
        with world.catalog.database.write() as tx:
            tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
        move(world, collection_name="docs2")
    world.ask(KEY, metadata=metadata, vouched=False)
    if before == "together":
        world.configure(reader_keys=("team",))
    for _ in range(2):
        world.run_batches()
        assert not seen_in(world, "sales")
        assert seen_in(world, "hr") is (metadata is None)
        world.sync()


def test_a_move_by_a_person_s_word_waits_for_what_was_said_of_the_first_document():
    world = make_world(reader_keys=("team",), **BY_PATH)
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
    world.bucket.put(KEY, "salaries")
    ask(world, HR, owner=True)
    assert [one.id for one in world.catalog.documents.of_source(world.source.id)] == [1]
    move(world, bucket_name="bucket-eu")
    with pytest.raises(Conflict) as caught:
        finish(world, now=True)
    assert caught.value.reason == "readers_would_be_lost"
    assert world.texts()
