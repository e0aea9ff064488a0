"""Records of a source before go where what came after stands in Chroma, and not by the catalog.

Chroma is put back from a copy of its data of before a move: what came after is not there, and what
was is all that is left of an object that is gone, or cannot be read by now.
"""

import pytest
import sqlalchemy as sa

from s3sync_dagster.catalog.deletions import CUT_OFF_SECONDS
from s3sync_dagster.catalog.rights import rights_of
from s3sync_dagster.core.rights import Reader
from s3sync_dagster.core.state import DocumentPhase
from s3sync_dagster.engine.deleting import delete_records
from s3sync_dagster.engine.last_look import delete_what_is_left
from s3sync_dagster.engine.standing import distrust_fallen, opening, sort_out_before
from s3sync_dagster.engine.verifying import verify_collection
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.errors import AccessDenied, Unavailable
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster_tests.core.rules import Refusing, refuse_with
from s3sync_dagster_tests.core.test_rules_chroma_put_back import (
    PLACE,
    copied,
    delete_ended,
    ended_at,
    opened,
    put_back,
    there,
    verify,
)
from s3sync_dagster_tests.core.test_rules_lives import declare, keep_records
from s3sync_dagster_tests.core.test_rules_moved import KEYS, finish, move
from s3sync_dagster_tests.core.test_rules_owner_words import goes_on
from s3sync_dagster_tests.core.test_rules_restored_owners import declared, delete, ends
from s3sync_dagster_tests.engine_fixture import make_world

KEEPS = pytest.mark.parametrize("mode", [DeleteMode.KEEP_DELETED, DeleteMode.APPEND])
MOVES = pytest.mark.parametrize(
    "changes",
    [{"id_prefix": "p-"}, {"bucket_name": "bucket-eu"}, {"collection_name": "docs2"}],
    ids=str,
)


class Killed(BaseException):
    """The process is gone: nothing that it had in mind is done."""


def texts(world):
    names = sorted({"docs", world.source.collection_name})
    return {text for name in names for _, _, text in there(world, name)}


def put_back_all(world, copy):
    """Have Chroma be what it was before the move."""
    name = world.source.collection_name
    opened(world, name).delete([one.id for page in opened(world, name).scan() for one in page])
    put_back(world, copy)


def put_back_and_mend(world, copy):
    """The same, and what the docs tell a person to do then, a few times."""
    put_back_all(world, copy)
    for _ in range(3):
        verify_all(world)


def verify_all(world, *, ended=True):
    found = [
        verify(world, name, ended=ended) for name in sorted({"docs", world.source.collection_name})
    ]
    if ended:
        delete_ended(world)
    goes_on(world, 1)
    return found


@MOVES
@KEEPS
def test_the_only_text_of_an_object_that_is_gone_stays_whoever_says_that_it_is_over(mode, changes):
    world = declared(KEYS, mode=mode)
    copy = copied(world)
    before = move(world, **changes)
    ends(world)
    assert before.id not in world.catalog.sources.ids()
    world.bucket.delete("b.md")
    goes_on(world, 2)
    put_back_and_mend(world, copy)
    assert {one.document for one in copy} <= texts(world)
    if "bucket_name" not in changes:  # whose ids are those of before
        assert "b.md" in verify(world, fix=False).waiting
        assert not set(ended_at(world, None)) & {
            one.id for one in copy if one.document.startswith("b")
        }


@MOVES
@pytest.mark.parametrize("days", [0, 30])
def test_so_does_the_first_text_that_append_mode_keeps_of_what_was_edited_since(days, changes):
    world = declared(KEYS, mode=DeleteMode.APPEND)
    copy = copied(world)
    move(world, **changes)
    ends(world)
    world.clock.seconds += days * 86_400
    world.bucket.put(KEYS[0], "edited")
    goes_on(world, 2)
    put_back_and_mend(world, copy)
    assert {one.document for one in copy} <= texts(world)


@MOVES
def test_in_mode_mirror_too_where_the_object_cannot_be_read_by_now(changes):
    world = declared(KEYS)
    copy = copied(world)
    move(world, **changes)
    ends(world)
    world.bucket.put("a.md", "a.md one\n\na.md two", storage_class="GLACIER")
    goes_on(world, 2)
    put_back_and_mend(world, copy)
    assert {one.document for one in copy} <= texts(world)


@MOVES
def test_what_is_written_again_lets_it_go_and_what_is_gone_takes_it_along(changes):
    world = declared(KEYS)
    copy = copied(world)
    move(world, **changes)
    ends(world)
    world.bucket.put("a.md", "a, edited")
    world.bucket.delete("b.md")
    goes_on(world, 2)
    as_it_was = texts(world)
    put_back_and_mend(world, copy)
    assert texts(world) == as_it_was
    assert ended_at(world, None) == []


@MOVES
@pytest.mark.parametrize("mode", list(DeleteMode))
def test_nor_does_the_end_of_a_move_take_it_along(mode, changes):
    """All by itself: the catalog believes that what came after stands."""
    world = declared(KEYS, mode=mode)
    copy = copied(world)
    before = move(world, **changes)

    def fault(kind, key):
        if (kind, key) == ("GET", "dir/c.md"):
            raise AccessDenied("no", reason="access_denied")

    world.fault = fault
    for _ in range(2):
        goes_on(world, 1)
        finish(world)
    assert before.id in world.catalog.sources.ids()
    if mode is DeleteMode.MIRROR:
        world.bucket.put("b.md", "b.md one\n\nb.md two", storage_class="GLACIER")
    else:
        world.bucket.delete("b.md")
    goes_on(world, 1)
    finish(world)
    put_back_all(world, copy)
    world.fault = None
    ends(world)
    assert {"b.md one", "b.md two"} <= texts(world)
    assert {"a.md one", "a.md two"} <= texts(world)  # written again, or as they were


@pytest.mark.parametrize("changes", [{"id_prefix": "p-"}, {"collection_name": "docs2"}], ids=str)
@pytest.mark.parametrize("mode", list(DeleteMode))
@pytest.mark.parametrize("put_back_too", [True, False])
def test_nor_does_what_it_had_claimed_when_chroma_stopped_answering(mode, changes, put_back_too):
    """What was asked of Chroma when it was claimed does not hold any more."""
    world = declared(KEYS, mode=mode)
    copy = copied(world)
    before = move(world, **changes)
    goes_on(world, 1)
    if mode is DeleteMode.MIRROR:
        world.bucket.put("b.md", "b.md one\n\nb.md two", storage_class="GLACIER")
    else:
        world.bucket.delete("b.md")
    goes_on(world, 1)
    away = Refusing(world, delete=refuse_with(Unavailable("no", reason="chroma_unavailable")))
    with pytest.raises(Unavailable):
        finish(world, collections=lambda: away)
    away.on = False
    if put_back_too:
        put_back_all(world, copy)
    assert "go now" in finish(world)  # the right of who claimed it has not passed yet
    ends(world)
    assert {one.document for one in copy} <= texts(world)
    if not put_back_too:
        assert before.id not in world.catalog.sources.ids()


def somebody_writes(world, **keys):
    """Write metadata into a record of a.md that is the source's by now."""
    name = world.source.collection_name
    some = [
        one.id
        for one in copied(world, name)
        if (one.metadata["document_key"], one.metadata["s3sync_source"])
        == ("a.md", world.source.id)
    ]
    opened(world, name).update_metadata(some[:1], [keys])


@MOVES
@pytest.mark.parametrize("mode", list(DeleteMode))
@pytest.mark.parametrize("keys", [{"note": "mine"}, {"note": "mine", "s3sync_etag": "other"}])
def test_who_adds_metadata_to_what_came_after_keeps_no_move_from_its_end(keys, mode, changes):
    """Added keys take no text away; what else was changed is written again, without them."""
    world = declared(KEYS, mode=mode)
    before = move(world, **changes)
    goes_on(world, 1)
    somebody_writes(world, **keys)
    for _ in range(3):
        finish(world)
        goes_on(world, 1)
    assert finish(world) is None
    assert before.id not in world.catalog.sources.ids()
    world.bucket.put("a.md", "new words")
    goes_on(world, 1)
    assert ("a.md one" in texts(world)) is (mode is DeleteMode.APPEND)


@pytest.mark.parametrize("changes", [{"id_prefix": "p-"}, {"collection_name": "docs2"}], ids=str)
def test_nor_does_its_last_look_where_chroma_is_put_back_after_its_last_document_left(changes):
    world = declared(KEYS)
    copy = copied(world)
    before = move(world, **changes)
    goes_on(world, 2)
    while left := world.catalog.moves.claim_leaving(world.source, before):
        ids = [one.id for one in left]
        delete_records(left, catalog=world.catalog, collections=world.collections)
        world.catalog.moves.forget_left(before.id, ids, gone=ids)
    put_back_all(world, copy)
    world.bucket.put("b.md", "b.md one\n\nb.md two", storage_class="GLACIER")

    def look():
        return delete_what_is_left(before, catalog=world.catalog, collections=world.collections)

    assert look() == 0
    assert texts(world) == {one.document for one in copy}
    goes_on(world, 2)
    assert look() == 4
    assert texts(world) == {one.document for one in copy}
    assert {text for _, one, text in there(world) if one == before.id} == {"b.md one", "b.md two"}


@pytest.mark.parametrize("named", [True, False])
def test_who_asks_another_server_distrusts_nothing_and_deletes_nothing(named):
    """A collection of that name is there, or none: not the one that was written to."""
    world = declared(KEYS)
    copy = copied(world)
    before = move(world, collection_name="docs2")
    ends(world)
    other = make_world()
    other.bucket.put("a.md", "a")
    other.sync()
    put_back(other, copy)
    if named:
        assert opened(other, "docs2").id != opened(world, "docs2").id
    documents, known = world.catalog.documents, world.catalog.documents.of_source(world.source.id)
    found = sort_out_before(
        [one for page in opened(other).scan() for one in page],
        (*PLACE.values(), "docs"),
        documents,
        opening(other.collections),
    )
    assert (found.over, found.waiting) == ({}, {*KEYS})
    assert {one.metadata["s3sync_source"] for one in copied(other)} == {before.id}
    assert distrust_fallen(found.fallen, documents) == 0
    assert documents.of_source(world.source.id) == known


@MOVES
@pytest.mark.parametrize("mode", list(DeleteMode))
def test_nobody_keeps_what_was_of_a_source_before_one_that_was_deleted(mode, changes):
    world = declared(KEYS, mode=mode)
    copy = copied(world)
    move(world, **changes)
    ends(world)
    delete(world)
    put_back_all(world, copy)
    assert sorted(ended_at(world, None)) == sorted(one.id for one in copy)
    delete_ended(world)
    assert texts(world) == set()


@MOVES
@KEEPS
@pytest.mark.parametrize("deleted_since", [True, False])
def test_of_what_ended_before_catalogs_noted_how_nobody_knows(deleted_since, mode, changes):
    """A move that ended under an earlier version, whose life names nobody that came after."""
    world = declared(KEYS, mode=mode)
    copy = copied(world)
    move(world, **changes)
    ends(world)
    with world.catalog.database.write() as tx:
        columns = "moved_to = NULL, deleted = NULL, name = NULL, chroma = NULL"
        tx.execute(sa.text(f"UPDATE lives SET {columns}"))
    if deleted_since:
        delete(world)
    else:
        world.bucket.delete("b.md")
        goes_on(world, 2)
    put_back_all(world, copy)
    for _ in range(3):
        delete_ended(world)
    assert {one.document for one in copy} <= texts(world)


@MOVES
def test_but_where_a_person_has_kept_what_came_after_it_stays(changes):
    world = declared(KEYS)
    copy = copied(world)
    move(world, **changes)
    ends(world)
    keep_records(world)
    put_back_all(world, copy)
    delete_ended(world)
    assert texts(world) == {one.document for one in copy}


@MOVES
def test_after_two_moves_what_came_last_is_asked_for(changes):
    world = declared(KEYS, mode=DeleteMode.KEEP_DELETED)
    copy = copied(world)
    first = move(world, path_prefix="", collection_name="docs3")
    ends(world)
    second = move(world, **{"collection_name": "docs4", **changes})
    ends(world)
    assert not {first.id, second.id} & world.catalog.sources.ids()
    assert world.catalog.documents.heirs([first.id, second.id]) == {
        first.id: world.source,
        second.id: world.source,
    }
    put_back(world, copy)
    delete_ended(world)
    assert there(world) == []
    name = world.source.collection_name
    opened(world, name).delete([one.id for page in opened(world, name).scan() for one in page])
    put_back(world, copy)
    delete_ended(world)
    assert {one.document for one in copy} <= texts(world)


@pytest.mark.parametrize("chroma", ["http://chroma:8000", "http://localhost:8000", None])
def test_what_a_person_has_kept_stays_under_whichever_address_its_server_is_met(chroma):
    world = declared(KEYS)
    as_it_was = there(world)
    with world.catalog.database.write() as tx:
        said = '{"at": 1.0, "by": "x", "chroma": "http://chroma:8000"}'
        tx.execute(sa.text("UPDATE sources SET declared = :said"), {"said": said})
    keep_records(world)
    for key in KEYS:
        world.bucket.delete(key)
    declare(world, bucket_name="bucket-2")
    world.bucket.put("new.md", "new")
    world.sync()
    verify_collection(
        world.source,
        collection=opened(world),
        documents=world.catalog.documents,
        fix=True,
        known_sources=world.catalog.sources.ids(),
        delete_ended=True,
        chroma=chroma,
        collections=world.collections,
    )
    assert set(as_it_was) <= set(there(world))


def cut_off(world):
    """Have somebody note a deletion in the collection, and die."""
    (known,) = world.catalog.collections.of_source(world.source.id)
    assert world.catalog.documents.begin_deletion(known) is not None
    world.clock.seconds += 5


@KEEPS
@pytest.mark.parametrize("then", ["edit", "delete"])
def test_who_died_at_a_deletion_closes_nothing_that_stands_as_it_was_written(then, mode):
    """Its mode keeps a text that no work could write again, and its readers with it."""
    world = make_world(mode=mode, reader_keys=("team",), metadata={"team": ["hr"]})
    world.bucket.put("a.md", "a")
    world.sync()
    cut_off(world)
    world.bucket.put("b.md", "first")
    world.sync()
    if then == "edit":
        world.bucket.put("b.md", "second")
    else:
        world.bucket.delete("b.md")
    world.clock.seconds += CUT_OFF_SECONDS
    goes_on(world, 5)
    rights = rights_of(world.catalog, Reader(frozenset({"hr"})), tenant="default_tenant")
    assert len([one for one in copied(world) if rights.allow_record(one.metadata)]) == 2
    (known,) = world.catalog.collections.of_source(world.source.id)
    assert known.deleting_since is None
    assert verify(world, fix=False).sound


@pytest.mark.parametrize("lost", ["all", "one"])
def test_what_went_with_him_is_written_again(lost):
    world = make_world()
    world.bucket.put("a.md", "a")
    world.sync()
    cut_off(world)
    world.bucket.put("b.md", "one\n\n" + "two " * 2000)
    world.sync()
    as_it_was = there(world)
    theirs = [one.id for one in copied(world) if one.metadata["document_key"] == "b.md"]
    assert len(theirs) > 1
    opened(world).delete(theirs if lost == "all" else theirs[-1:])
    world.clock.seconds += CUT_OFF_SECONDS
    goes_on(world, 2)
    assert there(world) == as_it_was


@pytest.mark.parametrize("killed", [True, False])
def test_a_document_that_grows_while_strays_are_looked_for_has_what_it_got(killed):
    """What is deleted is noted first, then looked at, then it goes."""
    world = make_world()
    world.bucket.put("a.md", "one")
    world.sync()
    port = opened(world)
    (first,) = copied(world)
    name = first.id.rpartition("-")[0]
    stray = Record(
        id=f"{name}-1",
        document="stray",
        embedding_text="stray",
        metadata={**first.metadata, "s3sync_chunk": 1},
    )
    left = Record(
        id="left-0",
        document="left",
        embedding_text="left",
        metadata={**first.metadata, "document_key": "left.md"},
    )
    port.upsert([stray, left], world.embedder.embed_documents(["stray", "left"]))
    gets = []

    class Slow:
        def __getattr__(self, name):
            return getattr(port, name)

        def get(self, ids, **options):
            found = port.get(ids, **options)
            if stray.id in ids:
                gets.append(ids)
                if len(gets) == 2:
                    world.bucket.put("a.md", "one\n\n" + "two " * 2000)
                    world.sync()
                    world.clock.seconds += 2
            return found

        def delete(self, ids):
            port.delete(ids)
            if killed:
                raise Killed

    def look():
        verify_collection(
            world.source, collection=Slow(), documents=world.catalog.documents, fix=True
        )

    if killed:
        with pytest.raises(Killed):
            look()
    else:
        look()
    (document,) = world.catalog.documents.of_key(world.source.id, "a.md")
    assert (document.phase, document.count > 1) == (DocumentPhase.CLEAN, True)
    assert len(there(world)) == document.count  # "left" is gone, and nothing of the document


class Accepting:
    """Collections of which one accepts a deletion, once, and does not do it."""

    def __init__(self, world):
        self._world, self.swallowed = world, 0

    def __getattr__(self, name):
        return getattr(self._world.collections, name)

    def open(self, name, **options):
        port = self._world.collections.open(name, **options)
        if not self.swallowed:
            plain = port.delete

            def delete(ids):
                self.swallowed += 1
                return None if self.swallowed == 1 else plain(ids)

            port.delete = delete
        return port


@KEEPS
@pytest.mark.parametrize("changes", [{"id_prefix": "p-"}, {"collection_name": "docs2"}], ids=str)
def test_what_a_person_lets_go_goes_though_nothing_follows_it(changes, mode):
    """`source move --now`: also where Chroma accepts a deletion and does not do it."""
    world = declared(KEYS, mode=mode)
    before = move(world, **changes)
    world.bucket.delete("b.md")
    goes_on(world, 1)
    ends(world)
    assert before.id in world.catalog.sources.ids()  # its mode keeps what is gone
    forgetful = Accepting(world)
    for _ in range(3):
        finish(world, collections=lambda: forgetful, now=True)
    assert forgetful.swallowed > 1
    assert before.id not in world.catalog.sources.ids()
    assert not {"b.md one", "b.md two"} & texts(world)
