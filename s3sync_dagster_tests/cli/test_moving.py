"""``s3sync source move``, and what is said of a source that code declares to be another one."""

import uuid
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster.settings import load_settings
from s3sync_dagster_tests.opened import stock_client
from s3sync_dagster_tests.sources import changed

KEYS = 4


@contextmanager
def the_catalog():
    catalog = open_catalog(load_settings().database_url)
    try:
        yield catalog
    finally:
        catalog.close()


def fresh_name(prefix="c"):
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def stored(chroma_server):
    host, port = chroma_server.removeprefix("http://").split(":")
    client = stock_client(host=host, port=int(port))

    def read(collection, what="documents"):
        found = client.get_collection(collection).get(include=["documents", "metadatas"])
        if what == "ids":
            return sorted(found["ids"])
        return sorted(found["documents"])

    read.metadata = lambda name: client.get_collection(name).get(include=["metadatas"])["metadatas"]
    return read


@pytest.fixture
def source(s3sync, environment, aws_endpoint):
    """A source of the catalog with its objects indexed: bucket and collection."""
    bucket, collection = aws_endpoint.make_bucket(), fresh_name()
    aws_endpoint.put_all(bucket, {f"docs/{n}.md": f"text {n}" for n in range(KEYS)})
    create = ["source", "create", "docs", "--bucket", bucket, "--prefix", "docs/"]
    create += ["--collection", collection, "--endpoint-url", aws_endpoint.url]
    assert s3sync(*create, "--embedding", "hash", "--auto-sync", "none").code == 0
    answer = s3sync("rebuild", "docs", "--json")
    assert answer.json["indexed"] == KEYS, answer.err
    return bucket, collection


TEXTS = [f"text {n}" for n in range(KEYS)]


def test_a_source_moves_to_another_collection_and_its_old_records_go_last(s3sync, source, stored):
    _, before = source
    after = fresh_name()
    answer = s3sync("source", "move", "docs", "--collection", after, "--json")
    assert answer.code == 0, answer.err
    assert answer.json["indexed"] == KEYS
    assert answer.json["left_behind"] == [{"removed": KEYS, "waiting": 0, "blocked": 0, "kept": 0}]
    assert stored(after) == TEXTS
    assert stored(before) == []
    (row,) = s3sync("source", "list", "--json").json
    assert (row["name"], row["collection_name"], row["paused"]) == ("docs", after, False)
    again = s3sync("source", "move", "docs")
    assert again.code == 2
    assert "is where it should be" in again.err


def test_what_has_no_successor_waits_for_a_person(s3sync, source, stored, aws_endpoint):
    bucket, before = source
    for n in range(KEYS):
        aws_endpoint.delete(bucket, f"docs/{n}.md")
    after = fresh_name()
    answer = s3sync("source", "move", "docs", "--collection", after)
    assert answer.code == 1
    assert f"{KEYS} have no successor" in answer.err
    assert stored(before) == TEXTS
    answer = s3sync("source", "move", "docs", "--approve-deletes", "--json")
    assert stored(before) == []
    assert answer.json["left_behind"][0]["removed"] == KEYS
    assert len(s3sync("source", "list", "--json").json) == 1


def test_a_source_moves_to_a_bucket_with_the_same_objects(s3sync, source, stored, aws_endpoint):
    _, collection = source
    ids = stored(collection, "ids")
    other = aws_endpoint.make_bucket()
    aws_endpoint.put_all(other, {f"docs/{n}.md": f"text {n}" for n in range(KEYS)})
    answer = s3sync("source", "move", "docs", "--bucket", other, "--json")
    assert answer.code == 0, answer.err
    assert answer.json["left_behind"] == []
    assert stored(collection, "ids") == ids
    assert {one["s3sync_bucket"] for one in stored.metadata(collection)} == {other}


def test_a_source_moves_to_other_record_ids(s3sync, source, stored):
    _, collection = source
    before = stored(collection, "ids")
    assert s3sync("source", "move", "docs", "--id-prefix", "p-").code == 0
    assert stored(collection, "ids") == [f"p-{name}" for name in before]
    assert stored(collection) == TEXTS


def test_a_bucket_that_lacks_what_the_old_one_had_meets_the_guard(
    s3sync, source, stored, aws_endpoint
):
    _, collection = source
    answer = s3sync("source", "move", "docs", "--bucket", aws_endpoint.make_bucket())
    assert answer.code == 1
    assert stored(collection) == TEXTS
    assert s3sync("approve-deletes", "docs").code == 0
    assert s3sync("rebuild", "docs").code == 0
    assert stored(collection) == []


def test_a_request_with_an_id_of_its_own_moves_along(s3sync, source, stored):
    _, before = source
    with the_catalog() as catalog:
        found = catalog.sources.find("docs")
        catalog.invocations.request(
            found, ["docs/0.md"], trigger=Trigger.API, custom_id="mine", metadata={"team": "red"}
        )
    s3sync("rebuild", "docs")
    assert "mine-0" in stored(before, "ids")
    after = fresh_name()
    assert s3sync("source", "move", "docs", "--collection", after).code == 0
    assert "mine-0" in stored(after, "ids")
    assert stored(after) == TEXTS
    assert {"red"} == {one["team"] for one in stored.metadata(after) if "team" in one}
    assert stored(before) == []


def test_a_declaration_that_makes_another_source_is_shown_and_moved(s3sync, source, stored):
    _, before = source
    after = fresh_name()
    with the_catalog() as catalog:
        with catalog.database.write() as tx:
            tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
        found = catalog.sources.find("docs")
        declared = changed(found, id="another", collection_name=after, mode="append")
        assert catalog.sources.register(declared) == found
    command = "s3sync source move docs"
    (row,) = s3sync("status", "--json").json
    assert command in row["refused"]
    assert f"collection_name {before!r} -> {after!r}" in row["refused"]
    assert "declared as another one" in " ".join(s3sync("status").out.split())
    assert command in " ".join(s3sync("doctor").out.split())
    assert "declared in python" in s3sync("source", "move", "docs", "--collection", "xyz").err
    assert s3sync("source", "move", "docs").code == 0
    assert (stored(after), stored(before)) == (TEXTS, [])
    with the_catalog() as catalog:
        assert catalog.sources.register(declared).mode == "append"
    assert s3sync("status", "--json").json[0]["refused"] is None
