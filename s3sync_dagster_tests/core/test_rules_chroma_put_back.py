"""Chroma is put back from a copy of its data of before the end of a source, or of a move.

What it has again bears an id that no source has any more: ``verify --fix --ended`` deletes what no
document has, and only where that source had it. Another installation may have such a source by now,
so that nothing of it is touched without a person's word.
"""

import pytest

from s3sync_dagster.core.patience import BUSY
from s3sync_dagster.engine.ended import (
    delete_of_ended,
    left_of_ended,
    places_of_ended,
    standing_of,
)
from s3sync_dagster.engine.standing import distrust_fallen, opening
from s3sync_dagster.engine.verifying import verify_collection
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster_tests.core.rules import states
from s3sync_dagster_tests.core.test_rules_moved import KEYS, finish, move
from s3sync_dagster_tests.core.test_rules_owner_words import goes_on
from s3sync_dagster_tests.core.test_rules_restored import back_up, restore
from s3sync_dagster_tests.core.test_rules_restored_owners import SECOND, declared, delete, ends
from s3sync_dagster_tests.engine_fixture import make_world
from s3sync_dagster_tests.sources import changed, s3_source

DAY = 86_400.0
PLACE = {"tenant": "default_tenant", "database": "default_database"}


def opened(world, name="docs"):
    return world.collections.open(name, **PLACE, embedder=world.embedder)


def copied(world, name="docs"):
    port = opened(world, name)
    found = port.get([one.id for page in port.scan() for one in page], documents=True)
    return [
        Record(
            id=one.id,
            document=one.document,
            embedding_text=one.document,
            metadata=dict(one.metadata),
        )
        for one in found.values()
    ]


def put_back(world, copy, name="docs"):
    """Have a collection be what it was; its id stays."""
    port = opened(world, name)
    port.delete([one.id for page in port.scan() for one in page])
    port.upsert(copy, world.embedder.embed_documents([one.document for one in copy]))


def verify(world, name="docs", *, fix=True, ended=True):
    return verify_collection(
        world.source,
        collection=opened(world, name),
        documents=world.catalog.documents,
        fix=fix,
        known_sources=world.catalog.sources.ids(),
        delete_ended=fix and ended,
        collections=world.collections,
    )


def there(world, name="docs"):
    return sorted(
        (one.id, one.metadata["s3sync_source"], one.document) for one in copied(world, name)
    )


def ended_at(world, name):
    """Return the ids of records that are left of sources that are no more, as the command does."""
    ended = world.catalog.documents.ended()
    return [
        record
        for place, port in places_of_ended(ended, collections=world.collections, name=name)
        for records in left_of_ended(
            standing_of(port, place, ended, world.catalog.documents),
            port,
            place,
            ended,
            world.catalog.documents,
            opening(world.collections),
        ).over.values()
        for record in records
    ]


def delete_ended(world):
    """Delete what is left of such sources in all collections, as the command does."""
    documents = world.catalog.documents
    ended = documents.ended()
    for place, port in places_of_ended(ended, collections=world.collections):
        ids = standing_of(port, place, ended, documents)
        opened = opening(world.collections)
        left = left_of_ended(ids, port, place, ended, documents, opened)
        distrust_fallen(left.fallen, documents)
        delete_of_ended(left.over, port, place, ended, documents, opened)


def changed_since(world):
    """Edit and delete objects after the copy."""
    world.bucket.put("a.md", "a, edited")
    world.bucket.delete("b.md")
    world.bucket.put("e.md", "e")
    goes_on(world, 2)
    world.approve()
    goes_on(world, 1)


@pytest.mark.parametrize("days", [1, 30, 399])
@pytest.mark.parametrize("changes", [{"bucket_name": "bucket-eu"}, {"id_prefix": "p-"}], ids=str)
def test_after_a_move_all_is_as_it_was(changes, days):
    world = declared(KEYS)
    copy = copied(world)
    before = move(world, **changes)
    ends(world)
    assert world.catalog.moves.left_by(world.source.id) == []
    changed_since(world)
    world.clock.seconds += days * DAY
    other = s3_source(id=SECOND, name="other", bucket_name="bucket-2", collection_name="other")
    world.catalog.sources.add(other)
    delete(world, other)  # what is old is forgotten at the end of another one
    as_it_was = there(world)
    put_back(world, copy)
    found = verify(world, fix=False)
    assert (found.sound, found.unknown_sources) == (False, {})
    assert set(found.of_ended) <= {before.id}
    assert "a.md" in found.waiting
    assert {before.id} == {one.metadata["s3sync_source"] for one in copied(world)}
    verify(world)  # what came after is not there either: it is written first
    goes_on(world, 2)
    verify(world)
    goes_on(world, 1)
    assert there(world) == as_it_was
    assert verify(world, fix=False).sound


def test_what_is_older_than_anybody_puts_back_is_forgotten():
    world = declared(KEYS)
    before = move(world, bucket_name="bucket-eu")
    ends(world)
    assert before.id in world.catalog.documents.ended()
    world.clock.seconds += 401 * DAY
    move(world, bucket_name="bucket-us")
    ends(world)
    assert before.id not in world.catalog.documents.ended()


def test_the_collection_of_before_a_move_is_no_source_s_and_is_emptied():
    world = declared(KEYS)
    copy = copied(world)
    move(world, collection_name="docs2")
    ends(world)
    as_it_was = there(world, "docs2")
    put_back(world, copy)
    assert (
        sorted(ended_at(world, None))
        == sorted(ended_at(world, "docs"))
        == sorted(one.id for one in copy)
    )
    assert ended_at(world, "docs2") == []
    assert there(world, "docs2") == as_it_was


@pytest.mark.parametrize("mode", [DeleteMode.KEEP_DELETED, DeleteMode.APPEND])
def test_a_mode_that_keeps_what_is_gone_keeps_what_its_documents_have(mode):
    world = declared(KEYS, mode=mode)
    copy = copied(world)
    move(world, bucket_name="bucket-eu")
    ends(world)
    world.bucket.delete("b.md")
    goes_on(world, 2)
    as_it_was = world.texts()
    put_back(world, [*copy, *_more(copy[0])])
    assert len(world.texts()) == len(as_it_was) + 1
    for _ in range(2):
        assert verify(world).recovered == []
        goes_on(world, 1)
    assert world.texts() == as_it_was


def _more(one):
    name = one.id.rpartition("-")[0]
    yield Record(
        id=f"{name}-9", document="tail", embedding_text="tail", metadata=dict(one.metadata)
    )


@pytest.mark.parametrize("keep", [False, True], ids=["with its records", "without them"])
def test_of_a_source_that_was_deleted_with_its_records_nothing_stays(keep):
    world = declared(KEYS)
    copy = copied(world)
    if keep:
        world.catalog.sources.mark_deleting(world.source.id, keep_records=True)
        world.catalog.documents.drop_source(world.source.id)
    else:
        delete(world)
    put_back(world, copy)
    assert sorted(ended_at(world, "docs")) == ([] if keep else sorted(one.id for one in copy))


def test_what_another_source_has_by_now_stays_and_is_written_by_it():
    world = declared(KEYS)
    copy = copied(world)
    delete(world)
    again = s3_source(id=SECOND, name="again", bucket_name="bucket", collection_name="docs")
    world.catalog.sources.add(again)
    world.source = again
    world.bucket.put("a.md", "a, edited")
    world.sync()
    as_it_was = there(world)
    put_back(world, copy)
    assert list(map(len, verify(world).of_ended.values())) == [1]  # the tail of a.md
    goes_on(world, 1)
    assert there(world) == as_it_was


def test_what_is_declared_again_has_not_ended():
    world = declared(KEYS)
    delete(world)
    assert world.source.id in world.catalog.documents.ended()
    world.catalog.sources.register(world.source)
    world.sync()
    as_it_was = there(world)
    assert (ended_at(world, None), verify(world).of_ended) == ([], {})
    assert there(world) == as_it_was


def test_a_copy_of_the_catalog_does_not_tell_that_a_source_has_ended():
    """It may have been declared again since, and is not known before its code is loaded."""
    world = declared(KEYS)
    delete(world)
    neighbours = s3_source(id=SECOND, name="other", bucket_name="bucket-2", collection_name="docs")
    world.catalog.sources.add(neighbours)
    copy = back_up(world)
    code = world.source = world.catalog.sources.register(world.source)
    world.sync()
    as_it_was = there(world)
    assert as_it_was
    restore(world, copy)
    world.source = neighbours
    assert ended_at(world, "docs") == []
    assert verify(world).unknown_sources == {code.id: len(as_it_was)}
    assert there(world) == as_it_was
    assert world.catalog.sources.register(code).id == code.id  # as soon as its code is loaded


def test_nor_where_one_was_that_is_declared_again():
    world = declared(KEYS)
    old = world.source
    delete(world)
    world.source = world.catalog.sources.register(changed(old, bucket_name="bucket-2"))
    lives = world.catalog.documents.ended()[old.id]
    assert [one.bucket_name for one in lives.ended] == ["bucket"]
    assert world.source.id not in {old.id, *world.catalog.documents.ended()}
    restore(world, back_up(world))
    assert world.catalog.documents.ended() == {}


@pytest.mark.parametrize(
    ("place", "name"),
    [({"bucket_name": "staging"}, "docs"), ({"path_prefix": "in/"}, "docs"), ({}, "elsewhere")],
    ids=str,
)
def test_what_another_installation_has_under_the_same_id_stays(place, name):
    """The id of a source of code follows from its name."""
    world = make_world(path_prefix="docs/")
    world.bucket.put("docs/a.md", "a")
    world.sync()
    delete(world)
    prefix = place.get("path_prefix", "docs/")
    staging = make_world(collection_name=name, **{"path_prefix": "docs/", **place})
    assert staging.source.id == world.source.id
    staging.collections = world.collections
    staging.__post_init__()
    staging.bucket.put(f"{prefix}a.md", "staging")
    staging.sync()
    assert len(staging.texts(name)) == 1
    assert ended_at(world, None) == ended_at(world, name) == []


def test_an_id_that_was_refused_for_it_comes_at_once():
    world = declared(["a.md"])
    copy = copied(world)
    delete(world)
    other = s3_source(id=SECOND, name="second", bucket_name="bucket-2", collection_name="docs")
    world.catalog.sources.add(other)
    world.source = other
    put_back(world, copy)
    ids = {one.id: {"s3sync_source": "lost"} for one in copy}
    opened(world).update_metadata(list(ids), list(ids.values()))
    world.sync()
    assert states(world)["a.md"] in {("failed", "record_ids_taken"), ("waits", BUSY)}
    put_back(world, copy)
    (left,) = verify(world).of_ended.values()
    assert len(left) == len(copy)
    world.run_batches()
    assert states(world)["a.md"] == ("indexed", None)
    assert {one.metadata["s3sync_source"] for one in copied(world)} == {SECOND}


@pytest.mark.parametrize("mode", list(DeleteMode))
def test_a_source_that_another_installation_has_by_now_goes_by_a_person_s_word_alone(mode):
    """Its code was taken there, with its bucket and collection: its id is the same."""
    world = declared(KEYS, mode=mode)
    delete(world)
    taken = make_world(mode=mode)
    assert taken.source.id == world.source.id
    taken.collections = world.collections
    taken.__post_init__()
    for key in KEYS:
        taken.bucket.put(key, f"{key}, there")
    taken.sync()
    taken.bucket.delete(KEYS[1])
    goes_on(taken, 1)
    as_it_was = there(taken)
    neighbours = s3_source(id=SECOND, name="other", bucket_name="bucket-2", collection_name="docs")
    world.catalog.sources.add(neighbours)
    world.source = neighbours
    found = verify(world, ended=False)
    assert (found.sound, found.ended_deleted) == (True, False)
    assert {name: len(left) for name, left in found.of_ended.items()} == {
        taken.source.id: len(as_it_was)
    }
    goes_on(taken, 1)
    assert there(taken) == as_it_was
    assert verify(world).ended_deleted
    assert there(taken) == []


@pytest.mark.parametrize("mode", list(DeleteMode))
@pytest.mark.parametrize(
    "changes",
    [{"collection_name": "docs2"}, {"id_prefix": "p-"}, {"bucket_name": "bucket-eu"}],
    ids=str,
)
def test_so_does_what_a_move_took_away_that_is_not_over_as_the_mode_keeps_texts(changes, mode):
    world = declared(KEYS, mode=mode)
    world.bucket.delete("b.md")
    goes_on(world, 1)
    copy = copied(world)
    before = move(world, **changes)
    for _ in range(4):
        goes_on(world, 1)
        finish(world)
    if mode is not DeleteMode.APPEND:  # which writes what is lost from what is there now
        world.bucket.put("a.md", "a, edited")
    for _ in range(2):
        goes_on(world, 1)
        finish(world)
    kept = before.id in world.catalog.sources.ids()
    assert kept is (mode is not DeleteMode.MIRROR)
    names = sorted({"docs", world.source.collection_name})
    as_it_was = [there(world, name) for name in names]
    put_back(world, copy)
    found = [verify(world, name, ended=False) for name in names]
    assert [one.unknown_sources for one in found] == [{} for _ in names]
    for _ in range(2):  # what came after is written first
        delete_ended(world)
        goes_on(world, 2)
        finish(world)
    assert [there(world, name) for name in names] == as_it_was
    assert ended_at(world, None) == []


def test_in_the_middle_of_a_move_nothing_of_before_is_over():
    world = declared(KEYS)
    before = move(world, bucket_name="bucket-eu")
    as_it_was = there(world)
    assert verify(world).unknown_sources == {}
    delete_ended(world)
    assert there(world) == as_it_was
    assert {one for _, one, _ in as_it_was} == {before.id}
    world.sync()
    assert ended_at(world, None) == []


def test_of_a_source_that_was_moved_after_its_catalog_was_put_back_nobody_knows_what_is_kept():
    world = declared(KEYS, mode=DeleteMode.KEEP_DELETED)
    copy = back_up(world)
    world.bucket.put("since.md", "since")
    goes_on(world, 1)
    world.bucket.delete("since.md")
    goes_on(world, 1)
    restore(world, copy)
    before = move(world, bucket_name="bucket-eu")
    assert before.id not in world.catalog.documents.ended()
    delete_ended(world)
    assert "since" in world.texts().values()


@pytest.mark.parametrize(
    "changes",
    [
        {"bucket_name": "bucket-2"},
        {"bucket_name": "bucket-2", "collection_name": "docs2"},
        {"path_prefix": "x/", "collection_name": "docs2"},
    ],
    ids=str,
)
@pytest.mark.parametrize("ends", [1, 2])
def test_of_a_source_that_was_declared_again_elsewhere_too(changes, ends):
    world = declared(KEYS)
    copy = copied(world)
    old = world.source
    delete(world)
    world.source = world.catalog.sources.register(changed(old, **changes))
    assert world.source.id != old.id
    for key in KEYS:
        world.bucket.delete(key)
    world.bucket.put("x/n.md", "new")
    world.sync()
    if ends == 2:
        delete(world)
        world.source = world.catalog.sources.register(changed(old, collection_name="docs3"))
        world.sync()
    names = sorted({"docs", world.source.collection_name})
    as_it_was = [there(world, name) for name in names]
    opened(world).upsert(copy, world.embedder.embed_documents([one.document for one in copy]))
    untouched = verify(world, ended=False)
    assert untouched.of_namesakes == 0
    verify(world)
    goes_on(world, 2)
    assert [there(world, name) for name in names] == as_it_was
    assert ended_at(world, None) == []


@pytest.mark.parametrize("lives", [1, 2])
@pytest.mark.parametrize("gone", [True, False], ids=["gone", "still at it"])
def test_what_a_person_has_kept_of_a_source_is_of_none_that_ended(lives, gone):
    """Whatever ended of its name before."""
    world = declared(KEYS)
    if lives == 2:
        old = world.source
        delete(world)
        world.source = world.catalog.sources.register(old)
        world.sync()
    as_it_was = there(world)
    assert as_it_was
    world.catalog.sources.mark_deleting(world.source.id, keep_records=True)
    if gone:
        world.catalog.documents.drop_source(world.source.id)
    assert ended_at(world, None) == []
    world.source = s3_source(
        id=SECOND, name="other", bucket_name="bucket-2", collection_name="docs"
    )
    world.catalog.sources.add(world.source)
    assert verify(world).of_ended == {}
    assert there(world) == as_it_was
