"""A right that a tag took away ends, also where the object's records are not written."""

import json
from dataclasses import replace

import pytest

from s3sync_dagster.catalog.copying import begin_anew
from s3sync_dagster.catalog.recovered import store_recovered
from s3sync_dagster.catalog.rights import rights_of, seen_keys
from s3sync_dagster.core.patience import Patience
from s3sync_dagster.core.rights import WHOLE, Reader
from s3sync_dagster.engine.rebuilding import recover_documents
from s3sync_dagster.engine.rolling_check import DAY_SECONDS, check_some
from s3sync_dagster.explaining import UNTOLD, explain_key
from s3sync_dagster.model.errors import AccessDenied, FixConfiguration, Unavailable
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster_tests.core.rules import Refusing, event, refuse_with, refused, states
from s3sync_dagster_tests.engine_fixture import make_world
from s3sync_dagster_tests.fresh_catalogs import fresh_catalog

HOUR = 3600
EVENTS = {
    "queue_url": "https://sqs.us-east-1.amazonaws.com/1/q",
    "metadata_interval_seconds": 0,
}
LOOKS = {"queue_url": None, "metadata_interval_seconds": HOUR}


def world_of_sales(**fields):
    world = make_world(**{"object_tags": ("team",), "reader_keys": ("team",), **LOOKS, **fields})
    world.bucket.put("a.md", "secret", tags={"team": "sales"})
    world.sync()
    assert seen(world)
    return world


def seen(world):
    """Return whether sales may: the search finds it, and so says the catalog."""
    rights = rights_of(world.catalog, Reader(frozenset({"sales"})), tenant=world.source.tenant)
    found = any(rights.allow_record(record) for record in world.metadata().values())
    opened = "a.md" in seen_keys(world.catalog, rights, world.source, ["a.md"])
    assert opened or not found
    return found


def archived(world):
    current = world.bucket._current["a.md"]
    current.ref = replace(current.ref, storage_class="GLACIER")
    return {}


def newer(world):
    world.bucket.put("a.md", "secret two", tags={"team": "sales"})
    return {}


def damaged(world):
    world.bucket.put("a.md", "BAD", tags={"team": "sales"})
    return {}


def _refused(kind):
    def refuse(asked, _):
        if asked == kind:
            raise AccessDenied("no", reason="access_denied")

    return refuse


def denied(world):
    world.fault = _refused("GET")
    return {}


def unread(world):
    def extractor(*_, **__):
        raise FixConfiguration("tesseract is not there", reason="no_ocr")

    return {"extractor": extractor}


def as_it_is(world):
    return {}


@pytest.mark.parametrize("tags", [{}, {"team": "hr"}])
@pytest.mark.parametrize(
    ("mode", "becomes"),
    [
        (DeleteMode.MIRROR, archived),
        (DeleteMode.MIRROR, denied),
        (DeleteMode.MIRROR, unread),
        (DeleteMode.APPEND, newer),
        (DeleteMode.APPEND, as_it_is),
        (DeleteMode.KEEP_DELETED, damaged),
    ],
)
def test_a_tag_taken_away_closes_what_is_not_written_until_it_says_so_again(mode, becomes, tags):
    world = world_of_sales(mode=mode, **EVENTS)
    event(world, "a.md")
    changes = becomes(world)
    world.run_batches(**changes)
    assert seen(world)  # it still carries what its records say
    world.bucket.tag("a.md", tags)
    event(world, "a.md")
    world.run_batches(**changes)
    assert world.metadata()
    assert not seen(world)
    told = explain_key(world.catalog, world.source, "a.md", rights=WHOLE)
    assert UNTOLD in told.decision
    world.bucket.tag("a.md", {"team": "sales"})
    event(world, "a.md")
    world.run_batches(**changes)
    assert seen(world)
    assert UNTOLD not in explain_key(world.catalog, world.source, "a.md", rights=WHOLE).decision


def test_tags_that_nobody_can_read_close_what_is_there():
    world = world_of_sales(**EVENTS)
    world.fault = _refused("TAGS")
    event(world, "a.md")
    (end,) = world.run_batches()
    assert (end.state, seen(world)) == ("failed", False)
    world.fault = None
    world.clock.seconds += HOUR
    world.sync()
    assert seen(world)


def test_listings_look_at_archived_objects_too():
    world = world_of_sales()
    archived(world)
    world.clock.seconds += 2 * HOUR
    assert world.sync() == {"a.md": "skipped"}
    assert world.sync() == {}  # not before the hour is over
    assert seen(world)
    world.bucket.tag("a.md", {})
    world.clock.seconds += 2 * HOUR
    assert world.sync() == {"a.md": "skipped"}
    assert not seen(world)
    current = world.bucket._current["a.md"]
    current.ref = replace(current.ref, storage_class="STANDARD")
    world.bucket.tag("a.md", {"team": "sales"})
    assert world.sync() == {"a.md": "unchanged"}  # restored: it does not wait for the next look
    assert seen(world)


def test_a_tag_that_was_not_written_before_its_object_was_archived_stays_in_force():
    world = world_of_sales()
    world.bucket.tag("a.md", {"team": "hr"})
    world.clock.seconds += 2 * HOUR
    away = Unavailable("away", reason="chroma_unavailable")
    refusing = Refusing(world, update_metadata=refuse_with(away), upsert=refuse_with(away))
    world.listing()
    world.run_batches(collections=refusing)
    refusing.on = False
    archived(world)
    for _ in range(2):
        world.clock.seconds += 2 * HOUR
        world.sync()
        assert not seen(world)
        check_some(
            world.source, catalog=world.catalog, collections=lambda: world.collections,
            clock=world.clock, records_per_day=1000, log=lambda _: None,
        )  # fmt: skip
    assert not seen(world)


def test_listings_of_append_mode_look_no_oftener_at_a_tag_that_closes():
    world = world_of_sales(mode=DeleteMode.APPEND)
    world.bucket.tag("a.md", {"team": "hr"})
    world.clock.seconds += 2 * HOUR
    assert world.sync() == {"a.md": "unchanged"}
    assert not seen(world)
    assert [world.sync() for _ in range(3)] == [{}, {}, {}]
    world.bucket.tag("a.md", {"team": "sales"})
    world.clock.seconds += 2 * HOUR
    assert world.sync() == {"a.md": "unchanged"}
    assert seen(world)


@pytest.mark.parametrize(
    ("mode", "becomes"), [(DeleteMode.APPEND, newer), (DeleteMode.KEEP_DELETED, damaged)]
)
def test_what_no_listing_looks_at_again_is_closed_at_once(mode, becomes):
    world = world_of_sales(mode=mode)
    becomes(world)
    world.sync()
    assert world.metadata()
    assert not seen(world)
    world.clock.seconds += 2 * HOUR
    assert world.sync() == {}  # bytes that cannot be read are not read for it again
    if mode is DeleteMode.APPEND:
        world.ask("a.md")
        world.run_batches()
        assert seen(world)


def test_what_selection_leaves_out_is_closed_and_opens_when_it_is_back():
    world = world_of_sales(mode=DeleteMode.KEEP_DELETED)
    world.configure(exclude_globs=("a.md",))
    world.sync()
    assert world.metadata()
    assert not seen(world)
    assert UNTOLD in explain_key(world.catalog, world.source, "a.md", rights=WHOLE).decision
    world.configure(exclude_globs=())
    world.sync()
    assert states(world)["a.md"][0] == "indexed"
    assert seen(world)


def test_what_is_kept_of_a_gone_object_stays_as_its_tags_said():
    world = world_of_sales(mode=DeleteMode.KEEP_DELETED)
    world.bucket.delete("a.md")
    world.sync()
    assert world.metadata()
    assert seen(world)


@pytest.mark.parametrize("custom_id", [None, "mine"])
@pytest.mark.parametrize("fields", [{}, {"object_tags": (), "metadata": {"team": "sales"}}])
@pytest.mark.parametrize("asked", [True, False])
def test_a_catalog_read_back_from_records_opens_nothing_that_a_request_had_closed(
    custom_id, fields, asked
):
    world = world_of_sales(**fields)
    metadata = {"team": "hr"} if asked else {}
    world.ask("a.md", metadata=metadata, custom_id=custom_id, vouched=True)
    world.run_batches()
    assert seen(world) is not asked
    world.catalog = fresh_catalog("sqlite://", clock=world.clock)
    world.catalog.sources.add(world.source)
    collection = world.collections.open(
        "docs", tenant=world.source.tenant, database=world.source.database_name, embedder=None
    )
    found = recover_documents(world.source, collection, known_sources={world.source.id})
    place = {"collection_name": "docs", "collection_id": collection.id}
    store_recovered(world.catalog.database, world.source, found.documents, **place)
    for _ in range(2):
        world.sync()
        assert seen(world) is not asked
        world.clock.seconds += 2 * HOUR
    world.bucket.tag("a.md", {"team": "sales"})
    world.ask("a.md", custom_id=custom_id, vouched=True)
    world.run_batches()
    assert seen(world)  # somebody has said whose it is


def by_path(how, **fields):
    """Return a world whose object is for sales, and is not written any more."""
    modes = {"append": DeleteMode.APPEND, "archived": DeleteMode.MIRROR}
    own = {"path_metadata": "(?P<team>[^/]+)/", "reader_keys": ("team",)}
    mode = modes.get(how, DeleteMode.KEEP_DELETED)
    world = make_world(**own, bedrock_sidecars=True, mode=mode, **fields)
    world.bucket.put("sales/a.md", "secret")
    world.sync()
    if how == "archived":
        current = world.bucket._current["sales/a.md"]
        current.ref = replace(current.ref, storage_class="GLACIER")
    if how == "damaged":
        world.bucket.put("sales/a.md", "BAD")
    if how == "left out":
        world.configure(exclude_globs=("**/a.md",))
    world.sync()
    return world


def sidecar(world, team):
    said = json.dumps({"metadataAttributes": {"team": team}})
    world.bucket.put("sales/a.md.metadata.json", said)
    world.sync()


def readers(world, key="sales/a.md"):
    """Return which of two groups find it."""
    found = []
    for group in ("sales", "hr"):
        rights = rights_of(world.catalog, Reader(frozenset({group})), tenant=world.source.tenant)
        seen = any(rights.allow_record(record) for record in world.metadata().values())
        assert not seen or seen_keys(world.catalog, rights, world.source, [key])
        found += [group] if seen else []
    return found


@pytest.mark.parametrize("how", ["append", "archived", "damaged", "left out"])
def test_a_sidecar_closes_what_is_not_written_until_it_says_so_again(how):
    world = by_path(how)
    assert readers(world) == ["sales"]
    for _ in range(2):
        sidecar(world, "hr")
        for _ in range(2):
            assert readers(world) == []
            assert (
                UNTOLD
                in explain_key(world.catalog, world.source, "sales/a.md", rights=WHOLE).decision
            )
            world.sync()
        sidecar(world, "sales")
        assert readers(world) == ["sales"]


@pytest.mark.parametrize("attempts", [1, 2])
def test_what_an_owner_asked_is_written_when_chroma_is_back_after_the_last_attempt(attempts):
    world = make_world(path_metadata="(?P<team>[^/]+)/", reader_keys=("team",))
    world.bucket.put("sales/a.md", "secret")
    world.sync()
    world.ask("sales/a.md", metadata={"team": "hr"}, vouched=True)
    away = refuse_with(Unavailable("away", reason="chroma_unavailable"))
    refusing = Refusing(world, update_metadata=away, upsert=away)
    ended = []
    for _ in range(attempts):
        ended += world.run_batches(
            collections=refusing, patience=Patience(tries=1, attempts=attempts)
        )
        world.clock.seconds += HOUR
        assert readers(world) == []
    assert ended[-1].state == "failed"
    refusing.on = False
    world.clock.seconds += DAY_SECONDS
    world.sync()
    assert readers(world) == ["hr"]


@pytest.mark.parametrize("how", ["archived", "damaged", "left out"])
def test_a_member_who_asks_in_vain_closes_nothing(how):
    world = by_path(how)
    world.ask("sales/a.md", metadata={"team": "hr"}, vouched=False)
    for _ in range(2):
        world.run_batches()
        assert readers(world) == ["sales"]
        world.sync()


@pytest.mark.parametrize("how", ["archived", "damaged", "left out"])
def test_an_owner_who_asks_in_vain_has_closed_it_until_the_records_say_so(how):
    world = by_path(how)
    world.ask("sales/a.md", metadata={"team": "hr"}, vouched=True)
    world.run_batches()
    for _ in range(3):
        assert readers(world) == []
        world.sync()
        world.clock.seconds += HOUR
    world.configure(exclude_globs=())
    world.bucket.put("sales/a.md", "secret, newer")
    world.sync()
    assert readers(world) == ["hr"]


@pytest.mark.parametrize("told", [EVENTS, LOOKS])
@pytest.mark.parametrize("tells", ["before", "after", "nobody"])
def test_a_catalog_that_was_restored_opens_no_archived_object_before_its_tags_were_seen(
    told, tells
):
    world = world_of_sales(**told)
    archived(world)
    world.sync()
    event(world, "a.md")
    world.run_batches()
    if tells == "nobody":  # its event was of the catalog that was lost
        world.bucket.tag("a.md", {})
    begin_anew(world.catalog.database)
    world.configure(metadata={"x": "y"})  # another fingerprint
    if tells != "nobody":
        world.bucket.tag("a.md", {})
    if tells == "before":
        event(world, "a.md")
    for _ in range(2):
        world.clock.seconds += DAY_SECONDS
        look_round(world)
        assert not seen(world)
        world.sync()
        assert not seen(world)
        if tells == "after":
            event(world, "a.md")


def look_round(world):
    """Let the check that goes round look at as much as it does in a day."""
    check_some(
        world.source,
        catalog=world.catalog,
        collections=lambda: world.collections,
        clock=world.clock,
        records_per_day=5000,
        log=print,
    )


def test_what_was_archived_just_before_a_restore_opens_once_it_was_looked_at():
    world = world_of_sales()
    archived(world)  # no listing of before the backup has seen it so
    begin_anew(world.catalog.database)
    for _ in range(3):
        world.sync()
        world.clock.seconds += DAY_SECONDS
        look_round(world)
    assert seen(world)


@pytest.mark.parametrize("told", [EVENTS, LOOKS])
@pytest.mark.parametrize("how", [archived, newer, damaged])
@pytest.mark.parametrize("said", [{}, {"lang": "de"}])
def test_keys_that_are_set_later_open_nothing_of_which_the_tag_was_taken_away_before(
    told, how, said
):
    mode = {newer: DeleteMode.APPEND, damaged: DeleteMode.KEEP_DELETED}.get(how, DeleteMode.MIRROR)
    world = make_world(object_tags=("team",), mode=mode, **told)
    world.bucket.put("a.md", "secret", tags={"team": "sales"})
    world.sync()
    if said:
        world.ask("a.md", metadata=said)  # a member
        world.run_batches()
    how(world)
    world.bucket.tag("a.md", {})
    event(world, "a.md")
    world.sync()
    world.configure(reader_keys=("team",))
    for _ in range(2):
        assert not seen(world)
        event(world, "a.md")
        world.sync()
        world.clock.seconds += 2 * HOUR


@pytest.mark.parametrize("told", [EVENTS, LOOKS])
def test_keys_that_are_set_later_open_what_carries_what_its_records_say_at_the_next_listing(told):
    world = make_world(object_tags=("team",), **told)
    world.bucket.put("a.md", "secret", tags={"team": "sales"})
    world.sync()
    world.configure(reader_keys=("team",))
    assert not seen(world)
    assert world.sync() == {"a.md": "unchanged"}
    assert seen(world)
    assert world.sync() == {}


@pytest.mark.parametrize("how", ["append", "archived", "damaged", "left out"])
@pytest.mark.parametrize("change", ["metadata", "path"])
def test_settings_that_say_else_close_what_is_not_written(how, change):
    fields = {"metadata": {"team": "hr"}, "path_metadata": "(?P<other>[^/]+)/"}
    world = by_path(how)
    if change == "metadata":
        world.configure(path_metadata=None, metadata={"team": "sales"})
        world.ask("sales/a.md", force=True)
        world.run_batches()
        before = {"metadata": {"team": "sales"}}
        fields = {"metadata": {"team": "hr"}}
    else:
        before = {"metadata": {}, "path_metadata": "(?P<team>[^/]+)/"}
        assert readers(world) == ["sales"]
    world.configure(**fields)
    for _ in range(2):
        assert readers(world) == []
        world.sync()
    world.configure(**before)
    assert readers(world) == []
    world.sync()
    if change == "path" and how != "damaged":
        assert readers(world) == ["sales"]


def test_settings_of_now_count_for_what_a_batch_writes_that_began_before():
    world = make_world(path_metadata="(?P<team>[^/]+)/", reader_keys=("team",))
    world.bucket.put("sales/a.md", "secret")
    before = world.source
    world.configure(path_metadata="(?P<other>[^/]+)/", metadata={"team": "hr"})
    now, world.source = world.source, before
    world.sync()
    assert readers(world) == []
    world.source = now
    world.sync()
    assert readers(world) == ["hr"]


BOARD = json.dumps(
    {"version": "chroma-v1", "id": "x", "path": "a.md", "metadata": {"team": "board"}}
)


def test_a_retry_brings_no_word_back_that_was_closed_since():
    world = make_world(reader_keys=("team",))
    world.bucket.put("a.md", "anything")
    fault = refused(world)
    world.ask("a.md", metadata={"team": "sales"}, vouched=True)
    world.run_batches()
    world.bucket.put("a.md.meta.json", BOARD)
    fault.clear()
    world.clock.seconds += 2 * HOUR
    world.sync()
    assert not seen(world)
    world.bucket.put("a.md", "secret")
    fault.append(True)
    world.clock.seconds += 2 * HOUR
    assert world.sync()["a.md"] == "failed"
    fault.clear()
    assert world.catalog.invocations.retry_failed(world.source) == 1
    world.run_batches()
    assert set(world.texts().values()) == {"secret"}
    assert not seen(world)


def test_who_may_not_say_who_reads_retries_without_what_an_owner_said():
    world = make_world(reader_keys=("team",))
    world.bucket.put("a.md", "secret")
    fault = refused(world)
    world.ask("a.md", metadata={"team": "sales"}, vouched=True)
    world.run_batches()
    world.bucket.put("a.md.meta.json", BOARD)
    world.clock.seconds += 2 * HOUR
    assert world.sync()["a.md"] == "failed"
    fault.clear()
    assert world.catalog.invocations.retry_failed(world.source, requests=False) == 2  # the sidecar
    world.run_batches()
    assert set(world.texts().values()) == {"secret"}
    assert not seen(world)
