"""What a restored catalog has forgotten of an object, beside the document of it that it knows."""

import pytest

from s3sync_dagster.core.state import DocumentPhase
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster_tests.core.rules import Refusing, refuse_with, refused, sidecar, states
from s3sync_dagster_tests.core.test_rules_disputed import HR, KEY
from s3sync_dagster_tests.core.test_rules_move_append import claims_and_dies
from s3sync_dagster_tests.core.test_rules_owner_words import (
    ALL_OF_HR,
    goes_on,
    of_key,
    says,
    sees,
    world_of_sales,
)
from s3sync_dagster_tests.core.test_rules_restore_ends import asked_about, checks
from s3sync_dagster_tests.core.test_rules_restored import back_up, open_collection, restore

REPLACES = [DeleteMode.MIRROR, DeleteMode.KEEP_DELETED]
SIDECAR = f"{KEY}.meta.json"


def by_request(world):
    world.ask(KEY, custom_id="n", vouched=True)
    world.run_batches()


def by_sidecar(world):
    world.bucket.put(SIDECAR, sidecar(KEY, "n"))
    goes_on(world)


def renamed_since(mode, how=by_request):
    """Return a world whose catalog has forgotten that the document of ``KEY`` got the id n."""
    world = world_of_sales(mode, auto_sync=AutoSync.DIRECT)
    copy = back_up(world)
    how(world)
    assert texts_of(world) == {"n-0": "salaries"}
    restore(world, copy)
    world.bucket.delete(SIDECAR)
    return world


def texts_of(world, key=KEY):
    """Return the texts of an object by record id; its own ids are long."""
    told = world.metadata()
    return {
        name if name.startswith("n-") else "own": text
        for name, text in world.texts().items()
        if told[name]["document_key"] == key
    }


def put_beside(world, text="older", *, record_id="n-0", **metadata):
    """Have a record in the collection that no document of the source has."""
    told = {"s3sync_source": world.source.id, "document_key": KEY, "team": "sales", **metadata}
    record = Record(id=record_id, document=text, embedding_text=text, metadata=told)
    open_collection(world).upsert([record], world.embedder.embed_documents([text]))


def is_over(world):
    return world.catalog.sources.looked_through(world.source.id) is None


def closes_by_request(world):
    says(world, HR)
    world.run_batches()


def closes_by_metadata(world):
    world.configure(**ALL_OF_HR)


def closes_by_sidecar(world):
    world.bucket.put(SIDECAR, sidecar(KEY, "z", metadata=HR))


RENAMED = [*((mode, how) for mode in REPLACES for how in (by_request, by_sidecar))]
RENAMED += [(DeleteMode.APPEND, by_request)]  # which gives no other id to what a sidecar names


@pytest.mark.parametrize(("mode", "how"), RENAMED)
@pytest.mark.parametrize("closes", [closes_by_request, closes_by_metadata, closes_by_sidecar])
def test_what_is_closed_after_a_restore_is_read_under_no_id_of_before(mode, how, closes):
    world = renamed_since(mode, how)
    goes_on(world)
    if mode is not DeleteMode.APPEND:
        world.bucket.put(KEY, "salaries two")
    closes(world)
    for _ in range(3):
        goes_on(world)
        checks(world)
    assert KEY not in sees(world, "sales")
    assert is_over(world)
    if mode is not DeleteMode.APPEND:
        assert list(texts_of(world).values()) == ["salaries two"]


@pytest.mark.parametrize("mode", REPLACES)
def test_what_was_forgotten_goes_with_the_work_that_writes_what_is_known(mode):
    world = renamed_since(mode)
    world.clock.seconds += 7200
    world.listing()
    world.run_batches()
    assert texts_of(world) == {"own": "salaries"}
    assert [one.phase for one in of_key(world)] == [DocumentPhase.CLEAN]
    assert KEY in sees(world, "sales")
    checks(world)
    assert is_over(world)
    assert asked_about(world) == 0


def test_append_mode_reads_back_what_it_had_and_writes_nothing_over_it():
    world = renamed_since(DeleteMode.APPEND)
    world.bucket.put(KEY, "salaries two")
    goes_on(world)
    checks(world)
    assert texts_of(world) == {"n-0": "salaries"}
    assert [(one.document_id, one.owner) for one in of_key(world)] == [("n", "request")]
    assert is_over(world)


# --- what is the only text of its object --------------------------------------------------------


def is_gone(world):
    world.bucket.delete(KEY)


def is_archived(world):
    world.bucket.put(KEY, "salaries", storage_class="GLACIER")


def is_denied(world):
    refused(world)


def has_bad_bytes(world):
    world.bucket.put(KEY, "BAD")


def is_left_out(world):
    world.configure(exclude_globs=("**/pay.md",))


MIRROR, KEEPS = DeleteMode.MIRROR, DeleteMode.KEEP_DELETED
STAYS = [(MIRROR, is_archived), (MIRROR, is_denied)]
STAYS += [(KEEPS, how) for how in (is_gone, is_archived, is_denied, has_bad_bytes, is_left_out)]


@pytest.mark.parametrize(("mode", "how"), STAYS)
def test_what_was_forgotten_outlives_what_nothing_can_write(mode, how):
    world = renamed_since(mode)
    how(world)
    for _ in range(3):
        goes_on(world, turns=1)
        assert texts_of(world) == {"n-0": "salaries"}
        assert KEY not in sees(world, "sales")
        checks(world)
    assert is_over(world)
    world.fault = None
    world.configure(exclude_globs=())
    world.bucket.put(KEY, "salaries two")
    goes_on(world)
    assert texts_of(world) == {"own": "salaries two"}
    assert KEY in sees(world, "sales")


@pytest.mark.parametrize(("mode", "how"), [one for one in STAYS if one[1] is not is_denied])
def test_what_nothing_can_write_is_not_asked_for_again_and_again(mode, how):
    world = renamed_since(mode)
    how(world)
    goes_on(world)
    checks(world)
    assert len(of_key(world)) == 2
    assert world.catalog.documents.enqueue_unclean(world.source.id) == 0


@pytest.mark.parametrize("how", [is_gone, has_bad_bytes, is_left_out])
def test_in_mode_mirror_what_was_forgotten_goes_with_the_evidence_against_its_object(how):
    world = renamed_since(MIRROR)
    how(world)
    goes_on(world)
    assert texts_of(world) == {}
    assert of_key(world) == []


@pytest.mark.parametrize("mode", REPLACES)
def test_what_was_forgotten_stays_closed_while_nothing_can_be_written(mode):
    world = renamed_since(mode)
    away = Refusing(world, upsert=refuse_with(Unavailable("away", reason="chroma_unavailable")))
    world.clock.seconds += 7200
    world.listing()
    world.run_batches(collections=away)
    assert texts_of(world) == {"n-0": "salaries"}
    assert KEY not in sees(world, "sales")


def test_a_later_text_outlives_the_earlier_one_of_an_object_that_is_gone():
    world = world_of_sales(KEEPS)
    copy = back_up(world)
    world.bucket.put(KEY, "salaries two")
    world.ask(KEY, custom_id="n", vouched=True)
    stays = Refusing(world, delete=refuse_with(Unavailable("no", reason="chroma_unavailable")))
    world.run_batches(collections=stays)
    stays.on = False
    assert texts_of(world) == {"own": "salaries", "n-0": "salaries two"}
    world.bucket.delete(KEY)
    restore(world, copy)
    goes_on(world)
    checks(world)
    assert texts_of(world)["n-0"] == "salaries two"


def cannot_be_deleted(mode, text="salaries two"):
    """Return a world where what was forgotten cannot go, and what holds it there."""
    world = renamed_since(mode)
    world.bucket.put(KEY, text)
    world.clock.seconds += 7200
    world.listing()
    away = refuse_with(Unavailable("away", reason="chroma_unavailable"))
    holding = Refusing(world, delete=away)
    world.run_batches(collections=holding)
    assert texts_of(world) == {"own": text, "n-0": "salaries"}
    return world, holding


def test_what_is_known_stands_again_not_what_was_forgotten():
    world, holding = cannot_be_deleted(KEEPS)
    world.ask(KEY, custom_id="m", vouched=True)
    claims_and_dies(world)
    world.bucket.delete(KEY)
    holding.on = False
    goes_on(world)
    assert texts_of(world)["own"] == "salaries two"
    [stands] = [one for one in of_key(world) if one.phase is not DocumentPhase.REMOVING]
    assert stands.custom_id is None


def test_an_owner_s_word_outlives_its_records_beside_what_was_forgotten():
    world, holding = cannot_be_deleted(MIRROR)
    says(world, HR)
    world.run_batches()
    has_bad_bytes(world)
    for turn in range(3):
        goes_on(world, turns=1)
        assert KEY not in sees(world, "sales")
        holding.on = turn == 0
    assert texts_of(world) == {}
    world.bucket.put(KEY, "salaries three")
    goes_on(world)
    assert (KEY in sees(world, "sales"), KEY in sees(world, "hr")) == (False, True)


# --- a restore that never ended -----------------------------------------------------------------


@pytest.mark.parametrize("mode", REPLACES)
def test_a_text_beside_a_whole_document_goes_by_the_next_check(mode):
    world = world_of_sales(mode)
    restore(world, back_up(world))
    goes_on(world)
    put_beside(world, s3sync_etag="0", s3sync_chunk_count=1)
    assert KEY in sees(world, "sales")
    checks(world)
    assert KEY not in sees(world, "sales")
    assert world.catalog.documents.enqueue_unclean(world.source.id) == 1
    world.run_batches()
    checks(world)
    assert texts_of(world) == {"own": "salaries"}
    assert KEY in sees(world, "sales")
    assert is_over(world)


def test_append_mode_keeps_a_text_beside_a_whole_document_for_nobody_with_groups():
    world = world_of_sales(DeleteMode.APPEND)
    restore(world, back_up(world))
    goes_on(world)
    put_beside(world, s3sync_etag="0", s3sync_chunk_count=1)
    for _ in range(2):
        checks(world)
    assert texts_of(world) == {"own": "salaries", "n-0": "older"}
    assert world.metadata()["n-0"]["team"] == ""
    assert KEY in sees(world, "sales")
    assert is_over(world)


def test_a_source_that_is_paused_keeps_what_was_forgotten_closed():
    world = world_of_sales()
    restore(world, back_up(world))
    goes_on(world)
    put_beside(world)
    world.catalog.sources.set_paused(world.source.id, paused=True)
    checks(world)
    assert KEY not in sees(world, "sales")


# --- what is not a source's own -----------------------------------------------------------------


def test_what_others_wrote_beside_a_document_stays_as_it_is():
    world = world_of_sales()
    copy = back_up(world)
    put_beside(world, record_id="theirs-0", s3sync_source="another")
    put_beside(world, record_id="nobody-0", s3sync_source=None)
    before = {name: world.metadata()[name] for name in ("theirs-0", "nobody-0")}
    restore(world, copy)
    for _ in range(3):
        goes_on(world)
        checks(world)
    assert {name: world.metadata()[name] for name in before} == before


@pytest.mark.parametrize("mode", REPLACES)
def test_an_id_that_another_object_has_got_is_its_own(mode):
    world = renamed_since(mode)
    world.bucket.put("sales/b.md.meta.json", sidecar("sales/b.md", "n"))
    for _ in range(3):
        goes_on(world)
        checks(world)
    assert texts_of(world) == {"own": "salaries"}
    assert texts_of(world, "sales/b.md") == {"n-0": "b"}
    assert sees(world, "sales") == {KEY, "sales/b.md"}
    assert is_over(world)


@pytest.mark.parametrize("mode", REPLACES)
def test_no_other_object_gets_the_id_of_an_only_text(mode):
    world = renamed_since(mode)
    is_archived(world)
    goes_on(world)
    world.bucket.put("sales/b.md.meta.json", sidecar("sales/b.md", "n"))
    goes_on(world)
    assert texts_of(world) == {"n-0": "salaries"}
    assert states(world)["sales/b.md"] == ("failed", "record_ids_taken")
    world.bucket.put(KEY, "salaries two")
    goes_on(world, turns=4)
    assert texts_of(world) == {"own": "salaries two"}
    assert texts_of(world, "sales/b.md") == {"n-0": "b"}


@pytest.mark.parametrize("mode", list(DeleteMode))
def test_who_asks_for_the_forgotten_id_again_has_it(mode):
    world = renamed_since(mode)
    world.ask(KEY, custom_id="n", vouched=True)
    goes_on(world)
    checks(world)
    assert texts_of(world) == {"n-0": "salaries"}
    assert [one.phase for one in of_key(world)] == [DocumentPhase.CLEAN]
    assert KEY in sees(world, "sales")


@pytest.mark.parametrize("mode", REPLACES)
def test_a_copy_that_is_older_still_takes_nothing_but_what_is_followed(mode):
    world = renamed_since(mode)
    is_archived(world)
    goes_on(world)
    copy = back_up(world)
    world.bucket.put(KEY, "salaries two")
    world.ask(KEY, custom_id="n", vouched=True)
    goes_on(world)
    assert texts_of(world) == {"n-0": "salaries two"}
    restore(world, copy)
    refused(world)
    goes_on(world)
    assert texts_of(world) == {"n-0": "salaries two"}
    assert KEY not in sees(world, "sales")
    world.fault = None
    goes_on(world)
    checks(world)
    assert list(texts_of(world).values()) == ["salaries two"]


@pytest.mark.parametrize("mode", REPLACES)
def test_what_was_forgotten_outlives_what_its_sidecar_asks_for_elsewhere_in_vain(mode):
    world = world_of_sales(mode, auto_sync=AutoSync.METADATA)
    world.bucket.put(SIDECAR, sidecar(KEY, "a"))
    world.bucket.put(
        "sales/b.md.meta.json", sidecar("sales/b.md", "x", target_collection_name="other")
    )
    goes_on(world)
    copy = back_up(world)
    world.bucket.put(SIDECAR, sidecar(KEY, "n"))
    goes_on(world)
    restore(world, copy)
    world.bucket.put(SIDECAR, sidecar(KEY, "x", target_collection_name="other"))
    for _ in range(3):
        world.clock.seconds += 7200
        world.listing()
        world.approve()
        world.run_batches()
        checks(world)
        assert "salaries" in texts_of(world).values()
    assert states(world)[KEY] == ("failed", "record_ids_taken")
