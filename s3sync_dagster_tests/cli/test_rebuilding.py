"""``rebuild`` and ``reindex`` on real parts."""

import os
import shutil
import uuid
from contextlib import closing

import pytest
import sqlalchemy as sa

from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster.ports.chroma import open_collections
from s3sync_dagster.settings import load_settings

PLACE = {"tenant": "default_tenant", "database": "default_database"}
HASH = open_embedder(EmbeddingConfig(kind="hash"))


@pytest.fixture
def place(aws_endpoint):
    bucket = aws_endpoint.make_bucket()
    for name in ("a", "b", "c"):
        aws_endpoint.put(bucket, f"docs/{name}.md", f"# {name}\n\nText of {name}.")
    return bucket


@pytest.fixture
def name():
    return f"c-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def source(s3sync, aws_endpoint, place, name):
    """A source that was synced once."""

    def create():
        made = s3sync(
            "source", "create", "docs", "--bucket", place, "--prefix", "docs/", "--collection",
            name, "--endpoint-url", aws_endpoint.url, "--embedding", "hash", "--auto-sync", "none",
        )  # fmt: skip
        assert made.code == 0, made.err

    create()
    assert s3sync("rebuild", "docs", "--json").json["indexed"] == 3
    return create


@pytest.fixture
def collection(chroma_server, name, source):
    collections = open_collections(url=chroma_server)
    yield collections.open(name, **PLACE, embedder=HASH, create=False)
    collections.close()


def records(collection):
    return {
        record.metadata["document_key"]: record
        for page in collection.scan()
        for record in collection.get([r.id for r in page], documents=True).values()
    }


def test_a_rebuild_writes_everything_again_and_infers_nothing(s3sync, collection):
    first = records(collection)
    collection.delete([record.id for record in list(first.values())[:2]])
    again = s3sync("rebuild", "docs", "--json")
    assert again.code == 0
    assert again.json["chunks_written"] == 3
    assert again.json["embedded"] == 0, "the vector cache has them"
    assert records(collection) == first


def test_a_collection_can_be_dropped_first(s3sync, collection, chroma_server, name):
    before = records(collection)
    again = s3sync("rebuild", "docs", "--drop", "--json")
    assert again.code == 0
    collections = open_collections(url=chroma_server)
    made = collections.open(name, **PLACE, embedder=HASH, create=False)
    assert records(made) == before
    collections.close()


def test_an_emptied_bucket_does_not_empty_the_collection_by_a_drop(
    s3sync, collection, aws_endpoint, place, chroma_server, name
):
    before = records(collection)
    for one in before:
        aws_endpoint.delete(place, one)
    refused = s3sync("rebuild", "docs", "--drop", "--json")
    assert (refused.code, refused.out) == (1, "")
    assert "3 documents of docs lost their objects" in refused.err
    assert records(collection) == before
    kept = s3sync("source", "edit", "docs", "--mode", "keep_deleted")
    assert kept.code == 0, kept.err
    refused = s3sync("rebuild", "docs", "--drop", "--json")
    assert (refused.code, refused.out) == (1, "")
    assert "3 documents of docs ('docs/a.md', 'docs/b.md', 'docs/c.md') are kept" in refused.err
    assert records(collection) == before
    done = s3sync("rebuild", "docs", "--drop", "--approve-deletes", "--json")
    assert (done.code, done.json["removed"], done.json["blocked_deletes"]) == (0, 3, 0)
    assert "3 documents that are not written again went with the collection" in done.err
    with closing(open_collections(url=chroma_server)) as collections:
        assert name not in collections.list_collections(**PLACE)


def test_a_lost_catalog_comes_back_from_the_records(
    s3sync, collection, source, aws_endpoint, place, home, fresh_home
):
    before = records(collection)
    aws_endpoint.delete(place, "docs/b.md")
    shutil.rmtree(home)
    shutil.copytree(fresh_home, home)  # as on the first day: no source, no document
    source()
    refused = s3sync("rebuild", "docs", "--json")
    assert refused.code == 1
    assert sum(refused.json["failed"].values()) == 2

    rebuilt = s3sync("rebuild", "docs", "--catalog", "--approve-deletes", "--json")
    assert rebuilt.code == 0, rebuilt.err
    assert "3 documents read back" in rebuilt.err
    after = records(collection)
    assert set(after) == {"docs/a.md", "docs/c.md"}
    owners = {record.metadata["s3sync_source"] for record in after.values()}
    assert len(owners) == 1
    assert owners != {record.metadata["s3sync_source"] for record in before.values()}
    assert s3sync("verify", "--json").json[0]["sound"]


def test_what_a_move_left_in_the_collection_is_not_dropped_with_it(s3sync, collection):
    with closing(open_catalog(load_settings(dict(os.environ)).database_url)) as catalog:
        source = catalog.sources.find("docs")
        with catalog.database.write() as tx:
            tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
        catalog.sources.register(source.with_changes(id_prefix="p-"))
    assert s3sync("source", "move", "docs").code == 0
    refused = s3sync("rebuild", "docs", "--drop")
    assert refused.code == 1
    assert "docs (moved, " in refused.err
    assert len(records(collection)) == 3


def test_outdated_documents_are_indexed_again_on_request_only(s3sync, collection):
    edited = s3sync("source", "edit", "docs", "--chunking", "lines")
    assert edited.code == 0, edited.err
    assert s3sync("status", "docs", "--json").json[0]["outdated"] == 3
    again = s3sync("reindex", "docs", "--json")
    assert again.code == 0
    assert s3sync("status", "docs", "--json").json[0]["outdated"] == 0
    assert {r.metadata["chunk_strategy"] for r in records(collection).values()} == {"lines"}


def test_what_append_mode_keeps_is_written_again_by_a_rebuild_and_every_hint_says_so(
    s3sync, collection
):
    assert s3sync("source", "edit", "docs", "--mode", "append").code == 0
    edited = s3sync(
        "source", "edit", "docs", "--chunking", "lines", "--on-config-change", "reindex"
    )
    assert "s3sync rebuild docs" in edited.err
    again = s3sync("reindex", "docs")
    assert "s3sync rebuild docs" in again.err
    told = " ".join(s3sync("status", "docs").out.split())
    assert "s3sync rebuild docs" in told
    assert "gone or have other bytes by now are kept, and stay outdated after that" in told
    assert {r.metadata["chunk_strategy"] for r in records(collection).values()} != {"lines"}
    assert s3sync("rebuild", "docs").code == 0
    assert {r.metadata["chunk_strategy"] for r in records(collection).values()} == {"lines"}
    assert "rebuild" not in s3sync("status", "docs").out


def test_a_new_model_gets_a_new_collection_while_the_old_one_serves(
    s3sync, collection, chroma_server, name
):
    before = records(collection)
    wrong = s3sync("reindex", "docs", "--embedding", "static")
    assert wrong.code == 2
    done = s3sync("reindex", "docs", "--into", f"{name}-2", "--embedding", "static", "--json")
    assert done.code == 0, done.err
    assert done.json["indexed"] == 3
    assert records(collection) == before
    hits = s3sync("query", "text of a", "--collection", f"{name}-2", "--json")
    assert hits.json[0]["metadata"]["document_key"] == "docs/a.md"
    twice = s3sync("reindex", "docs", "--into", f"{name}-2", "--embedding", "static", "--json")
    assert twice.json["unchanged"] == 3
    other = s3sync("reindex", "docs", "--into", f"{name}-2", "--embedding", "minilm")
    assert other.code == 1
    assert f"fills '{name}-2' already, with the model static" in other.err


def test_what_the_old_source_alone_has_is_said_where_its_deletion_is_advised(
    s3sync, collection, aws_endpoint, place, name
):
    assert s3sync("source", "edit", "docs", "--mode", "keep_deleted").code == 0
    aws_endpoint.delete(place, "docs/b.md")
    done = s3sync("reindex", "docs", "--into", f"{name}-2", "--json", "-q")
    assert (done.code, done.json["indexed"]) == (0, 2)
    assert "1 documents of docs (docs/b.md; in" in done.err
    assert "--keep-records" in done.err


@pytest.mark.parametrize("again", ["rebuild", pytest.param("reindex", marks=pytest.mark.long)])
def test_what_is_said_of_the_objects_goes_to_stderr(s3sync, source, again):
    loud = s3sync(again, "docs", "-v")
    states = {"rebuild": "updated", "reindex": "unchanged"}
    ended = [line for line in loud.err.splitlines() if line.startswith(states[again])]
    expected = [f"docs/{name}.md" for name in "abc"] if again == "rebuild" else []
    assert sorted(line.split()[1].rstrip(",") for line in ended) == expected
    assert "3 objects listed" in loud.out
    assert "docs/a.md" not in loud.out
    plain, quiet = s3sync(again, "docs"), s3sync(again, "docs", "--quiet")
    assert "docs/a.md" not in plain.err
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")
    more = ("--catalog",) if again == "rebuild" else ("--into", f"c-{uuid.uuid4().hex[:12]}")
    silent = s3sync(again, "docs", *more, "-q", "--json")
    assert (silent.json["listed"], silent.err) == (3, "")
