"""What an owner said of who reads a document holds, whatever becomes of its records meanwhile."""

import pytest
import sqlalchemy as sa

from s3sync_dagster.catalog.rights import rights_of
from s3sync_dagster.core.rights import Reader
from s3sync_dagster.model.errors import RecordRejected, Unavailable
from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster_tests.core.rules import Refusing, event, refuse_with, refused, sidecar, states
from s3sync_dagster_tests.core.test_rules_disputed import BY_PATH, HR, KEY
from s3sync_dagster_tests.core.test_rules_move_append import claims_and_dies
from s3sync_dagster_tests.core.test_rules_moved import finish, move
from s3sync_dagster_tests.core.test_rules_restored import back_up, restore
from s3sync_dagster_tests.core.test_rules_verify import fix
from s3sync_dagster_tests.engine_fixture import make_world

KEEPS = [DeleteMode.APPEND, DeleteMode.KEEP_DELETED]
AWAY = refuse_with(Unavailable("away", reason="chroma_unavailable"))
ALL_OF_HR = {"path_metadata": None, "metadata": {"team": "hr"}}


def world_of_sales(mode=DeleteMode.MIRROR, **fields):
    world = make_world(**{"reader_keys": ("team",), "mode": mode, **BY_PATH, **fields})
    world.bucket.put(KEY, "salaries")
    world.bucket.put("sales/b.md", "b")
    world.sync()
    return world


def says(world, metadata=HR, **wish):
    world.ask(KEY, metadata=metadata, vouched=True, **wish)


def sees(world, group):
    """Return the keys that a group finds records of."""
    rights = rights_of(world.catalog, Reader(frozenset({group})), tenant=world.source.tenant)
    return {one["document_key"] for one in world.metadata().values() if rights.allow_record(one)}


def goes_on(world, turns=3):
    for _ in range(turns):
        world.clock.seconds += 7200
        world.sync(approve_deletes=True)
        world.catalog.documents.enqueue_unclean(world.source.id)
        world.run_batches()


def of_key(world, key=KEY):
    return world.catalog.documents.of_key(world.source.id, key)


# --- what a restored catalog does not know ------------------------------------------------------


def forgotten():
    """Return a world whose catalog has forgotten the document of ``KEY``."""
    world = make_world(reader_keys=("team",), **BY_PATH)
    world.sync()
    copy = back_up(world)
    world.bucket.put(KEY, "salaries")
    world.sync()
    restore(world, copy)
    assert sees(world, "sales") == {KEY}
    return world


def refuses_records(world):
    world.run_batches(collections=Refusing(world, upsert=AWAY))


def cannot_be_read(world):
    refused(world)
    world.run_batches()


@pytest.mark.parametrize("fails", [refuses_records, cannot_be_read, claims_and_dies])
def test_a_word_on_a_forgotten_document_that_cannot_be_written_closes_it(fails):
    world = forgotten()
    says(world)
    fails(world)
    assert [one["team"] for one in world.metadata().values()] == ["sales"]
    assert sees(world, "sales") == set()


# --- what gives way -----------------------------------------------------------------------------


def refuses_this_text(world):
    def rule(records):
        if any("salaries" in one.document for one in records):
            raise RecordRejected("no")

    world.run_batches(collections=Refusing(world, upsert=rule))


def is_not_found(world):
    refused(world, kind="HEAD")
    world.run_batches()


@pytest.mark.parametrize(
    "fails", [refuses_records, claims_and_dies, is_not_found, refuses_this_text]
)
@pytest.mark.parametrize("custom_id", [None, "y"])
@pytest.mark.parametrize("mode", list(DeleteMode))
def test_a_word_closes_what_is_there_until_it_is_written(mode, custom_id, fails):
    world = world_of_sales(mode)
    assert KEY in sees(world, "sales")
    says(world, custom_id=custom_id)
    fails(world)
    assert KEY not in sees(world, "sales")


@pytest.mark.parametrize("custom_id", [None, "y"])
@pytest.mark.parametrize("mode", KEEPS)
def test_a_word_that_was_begun_holds_for_what_a_mode_keeps_and_for_what_comes_back(mode, custom_id):
    world = world_of_sales(mode)
    says(world, custom_id=custom_id)
    claims_and_dies(world)
    world.bucket.delete(KEY)
    goes_on(world)
    assert KEY not in sees(world, "sales")
    world.bucket.put(KEY, "salaries")
    goes_on(world)
    assert KEY not in sees(world, "sales")


@pytest.mark.parametrize("custom_id", [None, "y"])
@pytest.mark.parametrize("mode", KEEPS)
def test_a_word_on_what_a_mode_keeps_of_a_gone_object_closes_it_until_it_is_taken_back(
    mode, custom_id
):
    world = world_of_sales(mode)
    world.bucket.delete(KEY)
    goes_on(world)
    assert KEY in sees(world, "sales")
    says(world, custom_id=custom_id)
    goes_on(world)
    assert KEY not in sees(world, "sales")
    says(world, {})
    goes_on(world)
    assert KEY in sees(world, "sales")


def test_a_word_on_what_the_guard_keeps_closes_it():
    world = world_of_sales()
    for n in range(60):
        world.bucket.put(f"sales/{n}.md", "text")
    world.sync()
    for n in range(60):
        world.bucket.delete(f"sales/{n}.md")
    world.bucket.delete(KEY)
    world.clock.seconds += 7200
    world.sync()
    says(world)
    world.run_batches()
    assert KEY in {one["document_key"] for one in world.metadata().values()}
    assert KEY not in sees(world, "sales")


@pytest.mark.parametrize("mode", KEEPS)
@pytest.mark.parametrize("keys", [("team",), ()], ids=["restricted before", "restricted then"])
def test_settings_that_close_hold_for_what_stands_again(mode, keys):
    world = world_of_sales(mode, reader_keys=keys)
    says(world, None, custom_id="x")
    claims_and_dies(world)
    world.configure(reader_keys=("team",), **ALL_OF_HR)
    assert KEY not in sees(world, "sales")
    world.bucket.delete(KEY)
    goes_on(world)
    assert "sales" in [
        one["team"] for one in world.metadata().values() if one["document_key"] == KEY
    ]
    assert KEY not in sees(world, "sales")


def test_settings_that_close_hold_for_what_cannot_be_deleted():
    world = world_of_sales()
    world.bucket.delete(KEY)
    world.listing()
    world.run_batches(collections=Refusing(world, delete=AWAY))
    world.configure(**ALL_OF_HR)
    assert KEY in {one["document_key"] for one in world.metadata().values()}
    assert KEY not in sees(world, "sales")


@pytest.mark.parametrize("mode", list(DeleteMode))
def test_a_sidecar_closes_what_is_to_give_way(mode):
    world = world_of_sales(mode)
    says(world, None, custom_id="x")
    claims_and_dies(world)
    world.bucket.put("sales/pay.meta.json", sidecar(KEY, "x", metadata=HR))
    world.listing()
    world.run_batches(collections=Refusing(world, upsert=AWAY))
    assert KEY not in sees(world, "sales")


@pytest.mark.parametrize("mode", list(DeleteMode))
def test_a_tag_closes_what_a_batch_began_to_write_for_it(mode):
    world = make_world(
        reader_keys=("team",),
        mode=mode,
        object_tags=("team",),
        queue_url=None,
        metadata_interval_seconds=3600,
    )
    world.bucket.put(KEY, "salaries", tags={"team": "sales"})
    world.sync()
    assert sees(world, "sales") == {KEY}
    world.bucket.put(KEY, "salaries", tags={"team": "hr"})
    world.ask(KEY, force=True)
    claims_and_dies(world)
    assert sees(world, "sales") == set()


# --- what goes with its records -----------------------------------------------------------------


def has_bad_bytes(world):
    world.bucket.put(KEY, "BAD")


def is_empty(world):
    world.bucket.put(KEY, "")


def is_too_large(world):
    world.configure(max_size_bytes=3)


def is_left_out(world):
    world.configure(exclude_globs=("**/pay.md",))


def is_gone(world):
    world.bucket.delete(KEY)


def is_gone_by_event(world):
    world.bucket.delete(KEY)
    event(world, KEY, remove=True)
    world.run_batches()


HOW = [has_bad_bytes, is_empty, is_too_large, is_left_out, is_gone, is_gone_by_event]


def is_there_again(world):
    world.configure(exclude_globs=(), max_size_bytes=1000)
    world.bucket.put(KEY, "salaries two")
    goes_on(world)


@pytest.mark.parametrize("mode", list(DeleteMode))
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("custom_id", [None, "mine"])
def test_a_word_holds_when_its_object_can_be_indexed_again(mode, how, custom_id):
    world = world_of_sales(mode)
    says(world, custom_id=custom_id)
    world.run_batches()
    how(world)
    goes_on(world)
    is_there_again(world)
    assert (sees(world, "sales"), sees(world, "hr")) == ({"sales/b.md"}, {KEY})
    assert len(of_key(world)) == 1


@pytest.mark.parametrize("how", HOW)
def test_a_word_holds_where_chroma_did_not_let_the_records_go(how):
    world = world_of_sales()
    says(world)
    world.run_batches()
    how(world)
    world.clock.seconds += 7200
    world.listing()
    world.run_batches(collections=Refusing(world, delete=AWAY))
    is_there_again(world)
    assert (sees(world, "sales"), sees(world, "hr")) == ({"sales/b.md"}, {KEY})


@pytest.mark.parametrize("how", HOW)
def test_a_word_that_was_begun_holds_without_any_record(how):
    world = world_of_sales()
    says(world, custom_id="x")
    claims_and_dies(world)
    how(world)
    goes_on(world)
    is_there_again(world)
    assert KEY not in sees(world, "sales")


@pytest.mark.parametrize("how", HOW)
def test_the_last_word_holds_of_those_that_were_said_while_nothing_was_there(how):
    world = world_of_sales()
    says(world)
    world.run_batches()
    how(world)
    goes_on(world)
    says(world, {"team": "board"})
    world.run_batches()
    goes_on(world)
    is_there_again(world)
    assert (sees(world, "hr"), sees(world, "board")) == (set(), {KEY})


@pytest.mark.parametrize("how", [has_bad_bytes, is_empty, is_gone])
def test_the_last_word_holds_whose_document_had_given_way_to_another(how):
    world = world_of_sales()
    says(world, {"team": "board"}, custom_id="x")
    world.run_batches()
    says(world, {"team": "sales"}, custom_id="y")
    claims_and_dies(world)
    says(world, HR, custom_id="x")
    claims_and_dies(world)
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("DELETE FROM invocations"))
    how(world)
    goes_on(world)
    is_there_again(world)
    assert (sees(world, "sales"), sees(world, "hr")) == ({"sales/b.md"}, {KEY})


@pytest.mark.parametrize("how", HOW)
def test_a_word_is_taken_back_while_nothing_is_there(how):
    world = world_of_sales()
    says(world)
    world.run_batches()
    how(world)
    goes_on(world)
    says(world, {})
    world.run_batches()
    goes_on(world)
    is_there_again(world)
    assert (sees(world, "sales"), sees(world, "hr")) == ({KEY, "sales/b.md"}, set())


@pytest.mark.parametrize("how", HOW)
def test_what_was_read_back_stays_closed_when_its_object_can_be_indexed_again(how):
    world = world_of_sales()
    with world.catalog.database.write() as tx:
        tx.execute(
            sa.text(
                "UPDATE documents SET phase = 'writing', fingerprint = NULL, "
                "withheld = 'untold:recovered', metadata = '{\"team\": \"hr\"}' "
                "WHERE object_key = :key"
            ),
            {"key": KEY},
        )
    how(world)
    goes_on(world)
    is_there_again(world)
    assert KEY not in sees(world, "sales")


@pytest.mark.parametrize("how", HOW)
def test_a_sidecar_takes_the_place_of_a_word_without_records(how):
    world = world_of_sales()
    says(world)
    world.run_batches()
    how(world)
    goes_on(world)
    world.bucket.put("sales/pay.meta.json", sidecar(KEY, "x", metadata={"team": "board"}))
    is_there_again(world)
    assert sees(world, "board") == {KEY}
    assert [one.owner for one in of_key(world)] == ["sidecar:sales/pay.meta.json"]


@pytest.mark.parametrize("auto_sync", list(AutoSync))
@pytest.mark.parametrize("how", [has_bad_bytes, is_empty])
@pytest.mark.parametrize("target", [None, "copies"])
def test_a_request_holds_without_readers_too(how, target, auto_sync):
    world = make_world(auto_sync=auto_sync)
    world.bucket.put(KEY, "text")
    world.sync()
    wish = {"custom_id": "mine", "metadata": {"lang": "de"}, "target_collection_name": target}
    world.ask(KEY, **wish)
    world.run_batches()
    how(world)
    goes_on(world)
    assert world.metadata(target or "docs") == {}
    world.bucket.put(KEY, "newer")
    goes_on(world)
    told = [one for one in world.metadata(target or "docs").values() if one.get("custom_id")]
    assert [(one["custom_id"], one["lang"]) for one in told] == [("mine", "de")]


@pytest.mark.parametrize("metadata", [{"lang": "de"}, {}])
def test_a_request_that_names_no_reader_ends_with_its_object(metadata):
    world = world_of_sales()
    says(world, metadata, custom_id="mine")
    world.run_batches()
    is_gone(world)
    goes_on(world)
    assert of_key(world) == []
    is_there_again(world)
    assert [one.custom_id for one in of_key(world)] == [None]


def test_a_copy_ends_with_its_object_whatever_was_said_of_it():
    world = world_of_sales()
    says(world, target_collection_name="copies")
    world.run_batches()
    is_gone(world)
    goes_on(world)
    assert of_key(world) == []


def test_the_id_of_a_word_on_a_gone_object_is_free():
    world = world_of_sales()
    says(world, custom_id="mine")
    world.run_batches()
    world.bucket.put("sales/b.meta.json", sidecar("sales/b.md", "mine"))
    goes_on(world)
    assert states(world)["sales/b.md"] == ("failed", "record_ids_taken")
    is_gone(world)
    goes_on(world)
    assert states(world)["sales/b.md"][0] == "indexed"
    is_there_again(world)
    assert sees(world, "hr") == {KEY}


@pytest.mark.parametrize("how", HOW)
def test_a_word_without_records_counts_for_nothing_and_makes_no_work(how):
    world = world_of_sales()
    says(world)
    world.run_batches()
    how(world)
    goes_on(world)
    [word] = of_key(world)
    assert (word.high_water, word.digests, dict(word.metadata)) == (0, b"", HR)
    counts = world.catalog.views.counts(world.source.id)
    assert (counts.documents, counts.chunks, counts.leaving) == (1, 1, {})
    assert world.catalog.documents.count(world.source.id) == 1
    world.clock.seconds += 7200
    listed = world.listing().listing
    assert listed.gone == 0
    assert world.catalog.invocations.live_count(world.source.id) == 0
    assert world.catalog.documents.enqueue_unclean(world.source.id) == 0
    found = fix(world)
    assert (found.documents, found.in_work, found.stray) == (1, 0, [])


@pytest.mark.parametrize("how", HOW)
def test_any_number_of_words_without_records_leaves_the_others_open(how):
    world = world_of_sales()
    says(world)
    world.run_batches()
    how(world)
    goes_on(world)
    for _ in range(2):
        world.ask(KEY, force=True)
        world.run_batches()
        [word] = of_key(world)
        assert (word.high_water, word.withheld) == (0, None)


def test_words_go_with_their_source():
    world = world_of_sales()
    says(world)
    world.run_batches()
    is_gone(world)
    goes_on(world)
    world.catalog.documents.drop_source(world.source.id)
    assert of_key(world) == []


# --- a source that is moved ---------------------------------------------------------------------


def is_denied(world):
    refused(world)


@pytest.mark.parametrize("now", [True, False])
@pytest.mark.parametrize("how", [*HOW, is_denied])
@pytest.mark.parametrize(
    "changes", [{"collection_name": "docs2"}, {"id_prefix": "p-"}, {"bucket_name": "bucket-eu"}]
)
def test_a_word_holds_when_its_source_has_moved_meanwhile(changes, how, now):
    world = world_of_sales()
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
    says(world, custom_id="mine")
    world.run_batches()
    how(world)
    goes_on(world)
    move(world, **changes)
    goes_on(world)
    finish(world, now=now)
    if now or how in (is_gone, is_gone_by_event):
        finish(world)  # records of which a word was handed on under their very id are met last
        assert world.catalog.moves.left_by(world.source.id) == []
    world.fault = None
    is_there_again(world)
    assert (sees(world, "sales"), sees(world, "hr")) == ({"sales/b.md"}, {KEY})


def test_words_make_no_room_for_what_leaves_with_a_move():
    world = make_world(reader_keys=("team",), **BY_PATH)
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
    for n in range(60):
        world.bucket.put(f"sales/{n}.md", "text")
        world.bucket.put(f"sales/x{n}.md", "text")
        world.ask(f"sales/x{n}.md", metadata=HR, vouched=True)
    world.sync()
    for n in range(60):
        world.bucket.delete(f"sales/x{n}.md")
    goes_on(world)
    assert world.catalog.documents.count(world.source.id) == 60
    assert len(world.catalog.documents.of_source(world.source.id)) == 120
    move(world, collection_name="docs2")
    for n in range(60):
        world.bucket.delete(f"sales/{n}.md")
    goes_on(world)
    finish(world)
    assert len(world.metadata("docs")) == 60
