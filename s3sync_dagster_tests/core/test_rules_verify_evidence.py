"""What is no evidence for ``verify --fix``: what was settled of something else, or not at all."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from s3sync_dagster.catalog.tables import documents as documents_table
from s3sync_dagster.core.state import DocumentPhase
from s3sync_dagster.model.errors import (
    AccessDenied,
    InvalidSetting,
    NotFound,
    Unavailable,
    UnreadableFile,
)
from s3sync_dagster.model.source import AutoSync, ChunkingConfig, DeleteMode
from s3sync_dagster.ports.memory_s3 import MemoryObjectStore
from s3sync_dagster_tests.core.rules import sidecar, states
from s3sync_dagster_tests.core.test_rules_restored import back_up, open_collection, restore
from s3sync_dagster_tests.core.test_rules_verify import fix, forgotten, refuse_reads
from s3sync_dagster_tests.engine_fixture import make_world, text_extractor

BEGUN = ("source_id", "tenant", "database_name", "collection_name", "metadata_keys", "digests")


def restored_before(world, change):
    """Restore a catalog from before a change of the bucket that was synced."""
    world.bucket.put("old.md", "old")
    world.sync()
    copy = back_up(world)
    change()
    world.sync()
    restore(world, copy)


@pytest.mark.parametrize("mode", list(DeleteMode))
def test_a_text_stays_beside_a_document_that_is_not_whole(mode):
    world = make_world(mode=mode)

    def named():
        world.bucket.put("new.md", "one\n\ntwo")
        world.bucket.put("new.meta.json", sidecar("new.md"))

    restored_before(world, named)
    refuse_reads(world, "new.meta.json", Unavailable("slow down", reason="throttled"))
    world.sync()
    assert sorted(world.texts().values()) == ["old", "one", "one", "two", "two"]
    (lost, *_) = [
        name for name, text in world.texts().items() if text == "two" and not name.startswith("x-")
    ]
    open_collection(world).delete([lost])
    found = fix(world)
    assert (found.stray, found.missing) == ([], ["new.md"])
    assert {"x-0", "x-1"} <= world.texts().keys()
    world.run_batches()
    assert fix(world).stray == ["x-0", "x-1"]
    assert sorted(world.texts().values()) == ["old", "one", "two"]


@pytest.mark.parametrize("mode", list(DeleteMode))
def test_a_text_stays_beside_a_document_that_is_being_written(mode):
    world = make_world(mode=mode)

    def named():
        world.bucket.put("new.md", "one\n\ntwo")
        world.bucket.put("new.meta.json", sidecar("new.md"))

    restored_before(world, named)
    refuse_reads(world, "new.meta.json", Unavailable("slow down", reason="throttled"))
    world.sync()
    (document,) = world.catalog.documents.of_key(world.source.id, "new.md")
    assert document.phase is DocumentPhase.CLEAN
    world.catalog.documents.distrust([document])
    assert fix(world).stray == []
    assert {"x-0", "x-1"} <= world.texts().keys()


class Unsure(MemoryObjectStore):
    """A place whose listings name what they have seen, as the first crawls of a home do."""

    tells = False
    hidden = ()

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.ordered = False

    def tells_missing(self):
        return self.tells

    def may_have(self, key):
        return True

    def learn(self, parts):
        pass

    def list_unordered(self, prefix, *, token):
        page = super().list_unordered(prefix, token=token)
        objects = tuple(one for one in page.objects if one.key not in self.hidden)
        return replace(page, objects=objects)


def test_what_a_listing_did_not_name_stays_where_it_does_not_tell_what_is_missing(world):
    forgotten(world, "new.md")
    world.store = Unsure(world.bucket, fault=world._fault)
    world.store.hidden = ("new.md",)
    world.sync()
    found = fix(world)
    assert (found.held_back, found.stray) == (["new.md"], [])
    assert sorted(world.texts().values()) == ["new", "old"]
    world.store.tells = True
    world.sync()
    assert fix(world).held_back == ["new.md"]  # the place has it at its address
    world.bucket.delete("new.md")
    assert len(fix(world).stray) == 1


@pytest.mark.parametrize(
    ("answer", "goes"),
    [
        (NotFound("not there", reason="object_gone"), True),
        (InvalidSetting("of another site", reason="outside_site"), True),
        (NotFound("no such bucket", reason="bucket_not_found"), False),
        (AccessDenied("not yours"), False),
        (Unavailable("slow down", reason="throttled"), False),
    ],
    ids=lambda one: getattr(one, "reason", None),
)
def test_a_text_goes_where_its_address_has_nothing_and_stays_where_none_tells(world, answer, goes):
    forgotten(world, "new.md")
    world.store = Unsure(world.bucket, fault=world._fault)
    world.store.tells, world.store.hidden = True, ("new.md",)
    world.sync()

    def refuse(kind, key):
        if (kind, key) == ("HEAD", "new.md"):
            raise answer

    world.fault = refuse
    found = fix(world)
    assert (len(found.stray), found.held_back) == ((1, []) if goes else (0, ["new.md"]))


def test_where_nothing_was_listed_ever_nothing_is_known_not_to_be_there(world):
    forgotten(world, "new.md")
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("DELETE FROM listings"))
        tx.execute(sa.text("UPDATE sources SET list_due_at = 0"))
    assert fix(world).held_back == ["new.md"]


@pytest.mark.parametrize("edited", [False, True])
def test_a_sidecar_that_cannot_be_read_is_not_one_that_is_not_there(edited):
    world = make_world(auto_sync=AutoSync.METADATA)

    def named():
        world.bucket.put("new.md", "new")
        world.bucket.put("new.meta.json", sidecar("new.md"))

    restored_before(world, named)
    if edited:
        world.bucket.put("new.md", "newer")
    refuse_reads(world, "new.meta.json", Unavailable("slow down", reason="throttled"))
    for _ in range(2):
        world.sync()
        assert states(world)["new.md"] == ("skipped", "no_sidecar")
        found = fix(world)
        assert (found.stray, found.held_back) == ([], ["new.md"])
        world.clock.seconds += 4000
    assert list(world.texts()) == ["x-0"]
    world.fault = None
    world.clock.seconds += 4000
    world.sync()
    assert fix(world).sound
    assert list(world.texts()) == ["x-0"]


def test_a_text_that_was_asked_for_stays_where_nothing_else_has_it():
    world = make_world(auto_sync=AutoSync.METADATA)

    def asked():
        world.bucket.put("new.md", "new")
        world.listing()
        world.ask("new.md")

    restored_before(world, asked)
    world.sync()
    assert states(world)["new.md"] == ("skipped", "no_sidecar")
    assert fix(world).held_back == ["new.md"]
    assert list(world.texts().values()) == ["new"]


@pytest.mark.parametrize("changed", [False, True])
def test_what_was_asked_for_in_another_collection_stays_as_long_as_its_object_has_its_text(changed):
    world = make_world()
    world.bucket.put("a.md", "one")
    world.sync()
    copy = back_up(world)
    world.ask("a.md", target_collection_name="asked")
    world.sync()
    restore(world, copy)
    if changed:
        world.bucket.put("a.md", "two")
    world.sync()
    found = fix(world, "asked")
    assert (len(found.stray), found.held_back) == ((1, []) if changed else (0, ["a.md"]))


def test_records_in_the_collection_of_now_stay_though_the_one_before_is_whole(world):
    world.bucket.put("a.md", "one")
    world.sync()
    copy = back_up(world)
    world.configure(collection_name="later")
    world.ask("a.md")
    world.run_batches()
    assert list(world.texts("later").values()) == ["one"]
    restore(world, copy)
    world.sync()
    world.configure(collection_name="later")
    found = fix(world)
    assert (found.stray, found.held_back) == ([], ["a.md"])
    assert list(world.texts().values()) == ["one"]


@pytest.mark.parametrize("why", ["selection", "limit"])
def test_what_was_left_out_under_settings_of_before_stays(world, why):
    then = {"exclude_globs": ("new.*",)} if why == "selection" else {"document_limit": 1}
    now = {"exclude_globs": ()} if why == "selection" else {"document_limit": 9}
    world.bucket.put("a.md", "a")
    forgotten(world, "new.md")
    world.configure(**then)
    world.sync()
    assert states(world)["new.md"][0] == "skipped"
    world.configure(**now)
    found = fix(world)
    assert (found.stray, found.held_back) == ([], ["new.md"])
    world.configure(**then)
    assert len(fix(world).stray) == 1


def test_bytes_that_failed_under_settings_of_before_are_no_evidence(world):
    forgotten(world, "new.md")
    world.bucket.put("new.md", "BAD")
    world.sync()
    before = world.source
    world.configure(chunking=ChunkingConfig(context=True))
    assert fix(world).held_back == ["new.md"]
    world.configure(chunking=before.chunking)
    assert len(fix(world).stray) == 1


def test_bytes_that_fail_now_leave_the_records_that_were_made_of_them(world):
    forgotten(world, "new.md")

    def failing(content, *, name, **options):
        if name == "new.md":
            raise UnreadableFile("too deep", reason="damaged")
        return text_extractor(content, name=name, **options)

    world.listing()
    world.run_batches(extractor=failing)
    assert states(world)["new.md"] == ("failed", "damaged")
    assert fix(world).held_back == ["new.md"]
    assert sorted(world.texts().values()) == ["new", "old"]


def test_what_was_gone_before_and_is_back_stays_where_a_listing_does_not_tell_it(world):
    for key in ("new.md", "old.md"):
        world.bucket.put(key, key)
    world.sync()
    world.bucket.delete("new.md")
    world.sync()
    copy = back_up(world)
    world.bucket.put("new.md", "back")
    world.sync()
    restore(world, copy)
    world.store = Unsure(world.bucket, fault=world._fault)
    world.store.hidden = ("new.md",)
    world.sync()
    assert fix(world).held_back == ["new.md"]
    world.store.tells = True
    world.sync()
    assert fix(world).held_back == ["new.md"]  # the place has it at its address
    world.bucket.delete("new.md")
    assert len(fix(world).stray) == 1


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("mode", [DeleteMode.APPEND, DeleteMode.KEEP_DELETED])
def test_a_text_is_read_back_beside_a_document_that_was_begun_and_has_no_record(mode, held):
    world = make_world(mode=mode)
    world.bucket.put("old.md", "old")
    world.sync()
    copy = back_up(world)
    world.bucket.put("new.md", "new")
    world.sync()
    world.bucket.delete("new.md")
    restore(world, copy)
    world.sync()
    with world.catalog.database.write() as tx:
        begun = documents_table.insert().from_select(
            [*BEGUN, "object_key", "document_id", "metadata", "owner", "phase", "batch_token"],
            sa.select(
                *(documents_table.c[name] for name in BEGUN),
                sa.literal("new.md"),
                sa.literal("begun"),
                documents_table.c.metadata,
                sa.literal("source"),
                sa.literal("writing"),
                sa.literal("b" if held else None),
            ).where(documents_table.c.object_key == "old.md"),
        )
        tx.execute(begun)
    found = fix(world)
    assert (found.recovered, found.beside) == (["new.md"], [])
    (one,) = world.catalog.documents.of_key(world.source.id, "new.md")
    assert (one.document_id == "begun") is held
    assert sorted(world.texts().values()) == ["new", "old"]


def test_both_catalogs_tell_what_may_be_there(catalog_url):
    world = make_world(url=catalog_url, auto_sync=AutoSync.METADATA, mode=DeleteMode.APPEND)
    world.bucket.put("a.md", "a")
    world.bucket.put("a.meta.json", sidecar("a.md"))
    documents, keys = world.catalog.documents, ["a.md", "b.md"]
    assert documents.objects_there(world.source.id, keys) == dict.fromkeys(keys)
    world.listing()
    assert not documents.sidecars_known(world.source)
    assert documents.objects_there(world.source.id, keys) == {"a.md": None}
    world.run_batches()
    assert documents.sidecars_known(world.source)
    assert documents.objects_there(world.source.id, keys)["a.md"].outcome == "indexed"
    assert documents.objects_there(world.source.id, keys).keys() == {"a.md"}
    world.ask("a.md")
    assert documents.objects_there(world.source.id, keys) == {"a.md": None}
    world.run_batches()
    documents.forget([one.id for one in documents.of_key(world.source.id, "a.md")])
    assert fix(world).recovered == ["a.md"]
    world.catalog.close()


def test_a_listing_of_before_an_edit_does_not_tell_what_is_missing_by_now(world):
    world.configure(path_prefix="docs/")
    world.bucket.put("docs/old.md", "old")
    world.sync()
    copy = back_up(world)
    world.configure(path_prefix="")
    world.bucket.put("new.md", "new")
    world.sync()
    restore(world, copy)
    world.sync()
    world.configure(path_prefix="")
    assert fix(world).held_back == ["new.md"]
    world.sync()
    assert fix(world).sound
    assert sorted(world.texts().values()) == ["new", "old"]
