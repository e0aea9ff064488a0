"""The vector cache on SQLite and Postgres: bounded, shared, never in the way."""

import multiprocessing
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, wait
from contextlib import closing

import numpy as np
import pytest
import sqlalchemy as sa
from sqlalchemy import event

from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.embedding.cache import (
    KEYS_PER_STATEMENT,
    ROW_BYTES,
    VectorCache,
    _key,
    _vectors,
)
from s3sync_dagster.embedding.embedder import ModelEmbedder
from s3sync_dagster.embedding.hashing import HashModel
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster.settings import load_settings
from s3sync_dagster.wiring import open_parts
from s3sync_dagster_tests.conftest_catalog import HandClock, fresh_postgres_database

DAY = 86_400
WITHIN_SECONDS = 60


@pytest.fixture(params=["sqlite", "postgres"])
def where(request, tmp_path):
    if request.param == "sqlite":
        return tmp_path / "deep" / "vectors.db"
    return fresh_postgres_database(request.getfixturevalue("postgres_url"))


@pytest.fixture
def cache(where):
    made = VectorCache(where)
    yield made
    made.close()


def vectors(count: int, dimension: int = 8) -> np.ndarray:
    return np.random.default_rng(1).random((count, dimension), dtype=np.float32)


def test_vectors_come_back_to_the_bit_by_model_and_text(cache):
    texts = [f"text {n} \U0001f600" for n in range(1000)]
    made = vectors(1000)
    cache.put("model", texts, made)
    found = cache.get("model", [*texts, "unknown"])
    assert set(found) == set(texts)
    np.testing.assert_array_equal(np.stack([found[t] for t in texts]), made)
    assert cache.get("other model", texts[:3]) == {}
    assert (cache.hits, cache.misses) == (1000, 4)


def test_writing_again_changes_nothing(cache):
    first = vectors(2)
    cache.put("m", ["a", "b"], first)
    cache.put("m", ["b", "c"], vectors(2) * 0)
    np.testing.assert_array_equal(cache.get("m", ["b"])["b"], first[1])
    assert cache.totals()["entries"] == 3


def test_totals_add_up_over_processes(where):
    for _ in range(2):
        cache = VectorCache(where)
        embedder = ModelEmbedder(HashModel(), cache=cache)
        embedder.embed_documents(["a", "b", "c"])
        cache.close()
    last = VectorCache(where)
    assert last.totals() == {
        "entries": 3,
        "bytes": 3 * (384 * 4 + ROW_BYTES),
        "hits": 3,
        "misses": 3,
    }
    last.close()


def test_a_full_cache_forgets_what_was_longest_unused(where):
    clock = HandClock()
    size = 8 * 4 + ROW_BYTES
    cache = VectorCache(where, max_bytes=100 * size, clock=clock)
    old, used = [f"old {n}" for n in range(50)], [f"used {n}" for n in range(50)]
    cache.put("m", old, vectors(50))
    cache.put("m", used, vectors(50))
    clock.sleep(DAY)
    assert len(cache.get("m", used)) == 50
    cache.put("m", ["new"], vectors(1))
    assert len(cache.get("m", used)) == 50
    assert len(cache.get("m", ["new"])) == 1
    left = len(cache.get("m", old))
    assert 30 <= left < 50
    assert cache.totals()["entries"] == 51 + left
    assert cache.totals()["bytes"] == (51 + left) * size
    cache.close()


def spoil(cache, vector):
    with cache._engine.begin() as connection:
        connection.execute(_vectors.update().values(vector=vector))


@pytest.mark.parametrize(
    "spoilt", [bytes(16), bytes(7), bytes(3), np.full(384, np.nan, dtype="<f4").tobytes()]
)
def test_what_is_no_vector_of_the_model_is_inferred_once_and_replaced(cache, spoilt):
    texts = ["a", "b", "c"]
    made = ModelEmbedder(HashModel(), cache=cache).embed_documents(texts)
    spoil(cache, spoilt)
    again = [ModelEmbedder(HashModel(), cache=cache) for _ in range(2)]
    for embedder in again:
        np.testing.assert_array_equal(embedder.embed_documents(texts), made)
    assert [embedder.inferred for embedder in again] == [3, 0]
    assert (cache.hits, cache.misses) == (3, 6)
    assert cache.totals()["entries"] == 3


def test_what_was_found_and_is_of_another_length_makes_room_for_as_many_bytes(cache):
    ModelEmbedder(HashModel(dimension=16), cache=cache).embed_documents(["a", "b"])
    model = HashModel(dimension=32)
    model.cache_key = HashModel(dimension=16).cache_key
    ModelEmbedder(model, cache=cache).embed_documents(["a", "b", "c"])
    assert cache.totals()["bytes"] == 3 * (32 * 4 + ROW_BYTES)


def _fill(arguments):
    where, offset = arguments
    cache = VectorCache(where)
    for start in range(0, 400, 20):
        texts = [f"t{(offset + start + n) % 400}" for n in range(20)]
        cache.put("m", texts, np.ones((20, 4), dtype=np.float32))
        assert len(cache.get("m", texts)) == 20
    cache.close()
    return cache.hits


def test_processes_share_one_cache(where):
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
        hits = list(pool.map(_fill, [(where, 0), (where, 200), (where, 390)]))
    assert hits == [400, 400, 400]
    cache = VectorCache(where)
    assert cache.totals()["entries"] == 400
    assert cache.totals()["hits"] == 1200
    cache.close()


def test_a_damaged_file_costs_inference_not_the_sync(tmp_path, caplog):
    path = tmp_path / "vectors.db"
    path.write_bytes(b"this is no database, whatever its name says" * 100)
    cache = VectorCache(path)
    embedder = ModelEmbedder(HashModel(), cache=cache)
    assert embedder.embed_documents(["a", "b"]).shape == (2, 384)
    assert embedder.inferred == 2
    assert "passed over" in caplog.text
    assert cache.totals()["entries"] == 0
    cache.close()


def test_what_could_not_be_opened_at_first_is_made_when_it_can(tmp_path):
    path = tmp_path / "vectors.db"
    path.mkdir()
    clock = HandClock()
    cache = VectorCache(path, clock=clock)
    cache.put("m", ["a"], vectors(1))
    path.rmdir()
    clock.sleep(120)
    cache.put("m", ["a"], vectors(1))
    assert len(cache.get("m", ["a"])) == 1
    cache.close()


def test_an_unreachable_server_is_left_alone_for_a_while(caplog):
    clock = HandClock()
    cache = VectorCache("postgresql+psycopg2://user:secret@127.0.0.1:1/none", clock=clock)
    assert cache.get("m", ["a"]) == {}
    cache.put("m", ["a"], vectors(1))
    assert len(caplog.records) == 1
    assert "secret" not in caplog.text
    clock.sleep(120)
    assert cache.get("m", ["a"]) == {}
    assert len(caplog.records) == 2


def test_moved_text_costs_no_inference(tmp_path, model_dir):
    config = EmbeddingConfig(kind="minilm")
    cache = VectorCache(tmp_path / "v.db")
    first = open_embedder(config, model_dir=model_dir, cache=cache)
    made = first.embed_documents(["one", "two"])
    second = open_embedder(config, model_dir=model_dir, cache=cache)
    np.testing.assert_array_equal(second.embed_documents(["two", "one"]), made[::-1])
    assert second.inferred == 0
    cache.close()


def test_who_is_apart_finds_and_leaves_no_vectors_of_others(cache):
    """How long a guess takes to embed tells whether somebody has that text."""
    shared = ModelEmbedder(HashModel(), cache=cache)
    shared.embed_documents(["a secret"])
    one, other = shared.apart("one"), shared.apart("other")
    for expected in (1, 1):
        one.embed_documents(["a secret"])
        assert one.inferred == expected
    other.embed_documents(["a secret", "a word"])
    shared.embed_documents(["a word"])
    assert (other.inferred, shared.inferred) == (2, 2)


@pytest.mark.parametrize(
    ("trusted", "tenant", "inferred"),
    [("", "stranger", 1), ("", "default_tenant", 0), ("stranger", "stranger", 0), ("*", "x", 0)],
)
def test_a_tenant_that_is_not_trusted_has_vectors_of_its_own(tmp_path, trusted, tenant, inferred):
    environment = {"S3SYNC_HOME": str(tmp_path), "S3SYNC_API_TRUSTED_TENANTS": trusted}
    with closing(open_parts(load_settings(environment))) as parts:
        config = EmbeddingConfig(kind="hash")
        parts.embedder_for(config).embed_documents(["a text"])
        embedder = parts.embedder_for(config, tenant=tenant)
        before = embedder.inferred
        embedder.embed_documents(["a text"])
        assert embedder.inferred - before == inferred


def _in_order(text):
    return _key("m", text)


@pytest.mark.parametrize("other", ["forget", "get"])
def test_who_makes_room_and_who_changes_the_same_vectors_wait_for_one_another_in_one_order(
    where, other, caplog
):
    """The other is stopped once it has its first vectors; who makes room comes meanwhile."""
    clock = HandClock()
    texts = sorted((f"text {n}" for n in range(KEYS_PER_STATEMENT + 100)), key=_in_order)
    size = 8 * 4 + ROW_BYTES
    with closing(VectorCache(where, clock=clock)) as filled:
        for some in (texts[KEYS_PER_STATEMENT:], texts[:KEYS_PER_STATEMENT]):
            filled.put("m", some, vectors(len(some)))  # the last keys have been there the longest
    clock.sleep(DAY)
    changes = VectorCache(where, clock=clock)
    makes_room = VectorCache(where, max_bytes=len(texts) * size // 2, clock=clock)
    makes_room.totals()  # what makes the tables waits for all
    changed, goes_on = threading.Event(), threading.Event()

    def stopped(_connection, _cursor, statement, *_others):
        if statement.startswith(("DELETE", "UPDATE")) and not changed.is_set():
            changed.set()
            goes_on.wait(WITHIN_SECONDS)

    event.listen(changes._engine, "after_cursor_execute", stopped)
    with closing(changes), closing(makes_room), ThreadPoolExecutor(2) as threads:
        found = threads.submit(getattr(changes, other), "m", texts)
        assert changed.wait(WITHIN_SECONDS)
        made = threads.submit(makes_room.put, "m", ["new"], vectors(1))
        wait([made], timeout=1)  # until it waits for a lock: nothing tells that it does
        goes_on.set()
        found.result(timeout=WITHIN_SECONDS)
        made.result(timeout=WITHIN_SECONDS)
        totals = makes_room.totals()
    assert "passed over" not in caplog.text
    with sa.create_engine(changes._engine.url).connect() as connection:
        there = connection.execute(sa.select(sa.func.count()).select_from(_vectors)).scalar_one()
    assert totals["entries"] == there
    assert totals["bytes"] == there * size
