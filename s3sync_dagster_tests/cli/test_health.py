"""``verify`` and ``repair`` on real parts."""

import os
import shutil
import uuid
from contextlib import closing

import pytest
import sqlalchemy as sa

from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.embedding.chroma_functions import register_embedding_functions
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster.ports.chroma import open_collections
from s3sync_dagster.ports.chroma_files import vector_segment
from s3sync_dagster.settings import load_settings
from s3sync_dagster_tests.opened import stock_client

PLACE = {"tenant": "default_tenant", "database": "default_database"}


@pytest.fixture
def synced(s3sync, aws_endpoint):
    """A collection of three documents, and a function that syncs again."""
    bucket = aws_endpoint.make_bucket()
    objects = {f"docs/{name}.md": f"# {name}\n\nText of {name}." for name in ("a", "b", "c")}
    aws_endpoint.put_all(bucket, objects)
    name = f"c-{uuid.uuid4().hex[:12]}"

    def sync():
        answer = s3sync(
            "sync", f"s3://{bucket}/docs/", "--collection", name, "--endpoint-url",
            aws_endpoint.url, "--embedding", "hash", "--json",
        )  # fmt: skip
        assert answer.code == 0, answer.err
        return answer.json

    sync()
    return name, sync


def stock(chroma_server, name):
    register_embedding_functions()
    host, port = chroma_server.removeprefix("http://").split(":")
    return stock_client(host=host, port=int(port)).get_collection(name)


def test_what_is_lost_comes_back_and_what_is_left_over_goes(s3sync, synced, chroma_server):
    name, sync = synced
    sound = s3sync("verify", name, "--json")
    assert sound.code == 0
    assert [one["sound"] for one in sound.json] == [True]
    assert sound.json[0]["documents"] == sound.json[0]["records"] == 3

    collection = stock(chroma_server, name)
    stored = collection.get()
    by_key = {
        metadata["document_key"]: (name, metadata)
        for name, metadata in zip(stored["ids"], stored["metadatas"], strict=True)
    }
    collection.delete(ids=[by_key["docs/a.md"][0]])
    collection.update(ids=[by_key["docs/b.md"][0]], metadatas=[{"chunk_strategy": "x", "odd": 1}])
    collection.add(
        ids=["stray-0", "not-ours"],
        embeddings=[[1.0] * 384] * 2,
        metadatas=[{"s3sync_source": by_key["docs/c.md"][1]["s3sync_source"]}, {"n": 1}],
    )
    found = s3sync("verify", name, "--json")
    assert found.code == 1
    assert found.json[0]["missing"] == ["docs/a.md"]
    assert found.json[0]["changed"] == ["docs/b.md"]
    assert found.json[0]["stray"] == ["stray-0"]
    told = s3sync("verify", name)
    assert told.code == 1
    assert "docs/a.md" in told.out
    assert "verify --fix" in told.out

    fixed = s3sync("verify", name, "--fix", "--json")
    assert fixed.code == 0
    assert fixed.json[0]["fixed"]
    sync()
    assert s3sync("verify", name, "--json").json[0]["sound"]
    assert sorted(collection.get()["ids"]) == sorted([*stored["ids"], "not-ours"])


def test_a_collection_that_was_deleted_is_written_again(s3sync, synced, chroma_server):
    name, sync = synced
    open_collections(url=chroma_server).delete_collection(name, **PLACE)
    found = s3sync("verify", name, "--fix", "--json")
    assert sorted(found.json[0]["missing"]) == ["docs/a.md", "docs/b.md", "docs/c.md"]
    sync()
    assert stock(chroma_server, name).count() == 3


def test_a_name_that_no_source_fills_is_an_error(s3sync):
    answer = s3sync("verify", "nothing-here")
    assert answer.code == 1
    assert "nothing-here" in answer.err
    assert "No source" in s3sync("verify").out


@pytest.mark.long
def test_a_damaged_collection_is_repaired_where_its_files_are(s3sync, tmp_path):
    path = tmp_path / "chroma"
    embedder = open_embedder(EmbeddingConfig(kind="hash"))
    collections = open_collections(path=path)
    texts = [f"word{n}" for n in range(1100)]
    records = [
        Record(id=f"r-{n}", document=t, embedding_text=t, metadata={"n": n})
        for n, t in enumerate(texts)
    ]
    collections.open("docs", **PLACE, embedder=embedder).upsert(
        records, embedder.embed_documents(texts)
    )
    collections.close()
    command = ("repair", "docs", "--path", str(path), "--embedding", "hash")
    healthy = s3sync(*command)
    assert healthy.code == 0
    assert "nothing was touched" in healthy.out

    shutil.rmtree(vector_segment(path, name="docs", **PLACE).folder)
    repaired = s3sync(*command, "--json")
    assert repaired.code == 0
    assert repaired.json["damage"] == "vectors cannot be read"
    assert repaired.json["saved"] + repaired.json["embedded"] == 1100
    assert "nothing was touched" in s3sync(*command).out


def test_a_copy_of_a_collection_is_told_and_left_alone_until_it_is_named(
    s3sync, synced, chroma_server
):
    name, _sync = synced
    stored = stock(chroma_server, name).get(include=["documents", "metadatas", "embeddings"])
    copy = f"{name}-copy"
    host, port = chroma_server.removeprefix("http://").split(":")
    made = stock_client(host=host, port=int(port)).create_collection(copy)
    made.add(**{key: stored[key] for key in ("ids", "documents", "metadatas", "embeddings")})
    told = s3sync("verify", "--fix")
    assert told.code == 1
    assert f"s3sync verify {copy} --fix" in told.out
    assert made.count() == 3
    named = s3sync("verify", copy, "--fix", "--json")
    assert (named.code, len(named.json[0]["stray"])) == (0, 3)
    assert made.count() == 0
    assert stock(chroma_server, name).count() == 3


def test_what_a_chroma_that_is_put_back_has_of_a_source_that_is_no_more_goes(
    s3sync, synced, chroma_server
):
    name, _ = synced
    stored = stock(chroma_server, name).get(include=["documents", "metadatas", "embeddings"])
    (source,) = s3sync("source", "list", "--json").json
    assert s3sync("source", "delete", source["name"]).code == 0
    assert stock(chroma_server, name).count() == 0
    assert s3sync("verify", name).code != 0  # no source has it
    stock(chroma_server, name).add(
        ids=stored["ids"],
        documents=stored["documents"],
        metadatas=stored["metadatas"],
        embeddings=stored["embeddings"],
    )
    told = s3sync("verify", name, "--json")
    assert told.code == 0  # it may be another installation's
    (found,) = told.json
    assert {owner: len(names) for owner, names in found["of_ended"].items()} == {source["id"]: 3}
    untouched = s3sync("verify", "--fix")
    assert (untouched.code, stock(chroma_server, name).count()) == (0, 3)
    assert f"3 are of the source {source['id']}" in untouched.out
    assert f"s3sync verify {name} --fix --ended" in untouched.out
    assert "another installation with the same Chroma may have one by now" in untouched.out
    alone = s3sync("verify", name, "--ended")
    assert (alone.code, "name both" in alone.err) == (2, True)
    assert stock(chroma_server, name).count() == 3
    mended = s3sync("verify", "--fix", "--ended")
    assert mended.code == 0, mended.err
    assert "what is of such sources is deleted" in mended.out
    assert stock(chroma_server, name).count() == 0


def test_what_a_moved_source_has_still_is_no_stranger_s(s3sync, synced, chroma_server):
    name, _sync = synced
    (row,) = s3sync("source", "list", "--json").json
    with closing(open_catalog(load_settings(dict(os.environ)).database_url)) as catalog:
        with catalog.database.write() as tx:
            tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
        source = catalog.sources.find(row["name"])
        catalog.sources.register(source.with_changes(id_prefix="p-"))
    assert s3sync("source", "move", source.name).code == 0
    for asked in ((), ("--fix", "--ended")):
        found = s3sync("verify", name, "--json", *asked)
        assert found.code == 0, found.err
        assert [(one["unknown_sources"], one["of_ended"]) for one in found.json] == [({}, {})]
    assert stock(chroma_server, name).count() == 3


def test_a_person_is_told_what_of_a_source_before_waits(s3sync, synced, chroma_server):
    """Its life names a successor that is here, and has none of its texts."""
    name, _sync = synced
    (row,) = s3sync("source", "list", "--json").json
    stored = stock(chroma_server, name).get(include=["documents", "metadatas", "embeddings"])
    with closing(open_catalog(load_settings(dict(os.environ)).database_url)) as catalog:
        with catalog.database.write() as tx:
            tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
        source = catalog.sources.find(row["name"])
        catalog.sources.register(source.with_changes(id_prefix="p-"))
        assert s3sync("source", "move", source.name).code == 0
        catalog.sources.mark_deleting(source.id, keep_records=False)
        catalog.documents.drop_source(source.id)
    for asked in ((), ("--fix", "--ended")):
        told = s3sync("verify", name, *asked)
        assert f"{len(stored['ids'])} objects have records of a source before" in told.out
        assert "nothing stands: they stay" in told.out
    assert stock(chroma_server, name).count() == len(stored["ids"])
