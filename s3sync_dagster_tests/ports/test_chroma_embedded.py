"""An embedded Chroma: one process, and nothing that could ruin its files."""

import math
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.errors import Conflict, InvalidSetting, RecordRejected
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster.ports.chroma import open_collections

PLACE = {"tenant": "default_tenant", "database": "default_database"}
EMBEDDER = open_embedder(EmbeddingConfig(kind="hash"))


def _open_elsewhere(path: Path) -> str:
    try:
        open_collections(path=path).close()
    except Conflict as error:
        return error.reason
    return "opened"


def test_a_second_process_is_refused_until_the_first_closes(tmp_path):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as elsewhere:
        collections = open_collections(path=tmp_path)
        assert elsewhere.submit(_open_elsewhere, tmp_path).result() == "chroma_in_use"
        with pytest.raises(Conflict, match="in use"):
            open_collections(path=tmp_path)
        collections.close()
        assert elsewhere.submit(_open_elsewhere, tmp_path).result() == "opened"


def test_records_outlive_the_process(tmp_path):
    first = open_collections(path=tmp_path)
    collection = first.open("docs", **PLACE, embedder=EMBEDDER)
    record = Record(id="a-0", document="red", embedding_text="red", metadata={"n": 1})
    collection.upsert([record], EMBEDDER.embed_documents(["red"]))
    first.close()
    second = open_collections(path=tmp_path)
    again = second.open("docs", **PLACE, embedder=EMBEDDER, create=False)
    assert [hit.id for hit in again.query(EMBEDDER.embed_query("red"))] == ["a-0"]
    second.close()


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_number_that_ruins_a_collection_never_reaches_it(tmp_path, number):
    collections = open_collections(path=tmp_path)
    collection = collections.open("docs", **PLACE, embedder=EMBEDDER)
    record = Record(id="a-0", document="red", embedding_text="red", metadata={"a": [1.0, number]})
    with pytest.raises(RecordRejected, match="finite"):
        collection.upsert([record], EMBEDDER.embed_documents(["red"]))
    with pytest.raises(RecordRejected, match="finite"):
        collection.update_metadata(["a-0"], [{"a": [number]}])
    assert collection.count() == 0
    collections.close()


def test_one_place_is_named(tmp_path):
    for places in ({}, {"path": tmp_path, "url": "http://127.0.0.1:8000"}):
        with pytest.raises(InvalidSetting):
            open_collections(**places)
