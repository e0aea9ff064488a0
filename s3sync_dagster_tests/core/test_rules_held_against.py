"""Nothing that stands in Chroma passes for a text that it is not, whatever was written over it."""

import pytest

from s3sync_dagster.model.document import Record
from s3sync_dagster_tests.core.test_rules_chroma_put_back import copied, opened, put_back, verify
from s3sync_dagster_tests.core.test_rules_owner_words import goes_on
from s3sync_dagster_tests.core.test_rules_restored_owners import declared

KEY = "prices.md"


def texts(world):
    return [one.document for one in copied(world)]


def put(world, text):
    world.bucket.put(KEY, text)
    goes_on(world, 1)


@pytest.fixture
def world():
    made = declared([KEY])
    put(made, "intro 1\n\nprice 10")
    return made


@pytest.mark.parametrize("how", ["another part", "metadata alone"])
def test_new_metadata_go_on_no_text_that_is_not_as_it_was_written(world, how):
    """Chroma is put back from a copy, and a key is worked on before anybody has had it verified."""
    copy = copied(world)
    put(world, "intro 1\n\nprice 99")
    put_back(world, copy)
    assert "price 10" in texts(world)
    if how == "another part":
        put(world, "intro 3\n\nprice 99")
    else:
        world.configure(metadata={"team": "red"}, on_config_change="reindex")
        goes_on(world, 1)
    assert "price 99" in texts(world)
    assert "price 10" not in texts(world)
    assert verify(world).sound


def test_what_stands_as_it_was_gets_new_metadata_and_no_new_vector(world):
    inferred = world.embedder.inferred
    put(world, "intro 3\n\nprice 10")
    assert world.embedder.inferred - inferred == 1
    assert len({one.metadata["s3sync_etag"] for one in copied(world)}) == 1


def test_verify_reads_texts_under_metadata_that_are_as_they_were_written(world):
    """Somebody wrote into a record, or an earlier version of this program had done so."""
    port = opened(world)
    (told,) = [one for one in copied(world) if one.document == "price 10"]
    port.upsert(
        [Record(id=told.id, document="price 0", embedding_text="price 0", metadata=told.metadata)],
        world.embedder.embed_documents(["price 0"]),
    )
    found = verify(world)
    assert (found.changed, found.sound, found.fixed) == ([KEY], False, True)
    goes_on(world, 1)
    assert "price 10" in texts(world)
    assert verify(world).sound
