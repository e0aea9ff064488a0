"""SIGKILL of the Chroma server under load: nothing acknowledged is lost, nothing hangs."""

import random
import threading
import time

import chromadb
import numpy as np
import pytest
from chromadb.utils.embedding_functions import known_embedding_functions

from s3sync_dagster.embedding.chroma_functions import register_embedding_functions
from s3sync_dagster.embedding.embedder import ModelEmbedder
from s3sync_dagster.embedding.hashing import HashModel
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.ports.chroma import open_collections
from s3sync_dagster.ports.chroma_repair import repair_collection
from s3sync_dagster_tests.conftest_chroma import start_chroma

PLACE = {"tenant": "default_tenant", "database": "default_database"}
KILLS = 20
DIMENSION = 128

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]


def vectors_of(numbers) -> np.ndarray:
    """One random unit vector per record and revision, always the same."""
    made = np.stack([np.random.default_rng(n).standard_normal(DIMENSION) for n in numbers])
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def records_of(numbers) -> list[Record]:
    return [
        Record(
            id=f"r-{n}", document=f"text {n} " * 20, embedding_text="x", metadata={"n": n, "m": "v"}
        )
        for n in numbers
    ]


class Writer(threading.Thread):
    """Writes batches until the server is gone; remembers what was acknowledged."""

    def __init__(self, url: str, first: int, batch: int) -> None:
        super().__init__()
        self.url, self.next, self.batch = url, first, batch
        self.acknowledged = first
        self.ended: Unavailable | None = None

    def run(self) -> None:
        embedder = ModelEmbedder(HashModel(dimension=DIMENSION))
        collections = open_collections(url=self.url, timeout_seconds=20, tries=2)
        try:
            collection = collections.open("docs", **PLACE, embedder=embedder)
            while True:
                numbers = range(self.next, self.next + self.batch)
                collection.upsert(records_of(numbers), vectors_of(numbers))
                self.next = self.acknowledged = numbers.stop
        except Unavailable as error:
            self.ended = error
        finally:
            collections.close()


def make_collection(url: str, sync_threshold: int) -> None:
    """Make the collection as a sync would, but for how often Chroma saves its index."""
    register_embedding_functions()
    function = known_embedding_functions["s3sync-hash"].build_from_config({})
    function.get_config = lambda: {"dimension": DIMENSION}
    host, port = url.removeprefix("http://").split(":")
    chromadb.HttpClient(host=host, port=int(port)).create_collection(
        "docs",
        embedding_function=function,
        configuration={"hnsw": {"space": "cosine", "sync_threshold": sync_threshold}},
    )


@pytest.mark.parametrize(("batch", "sync_threshold"), [(500, 1000), (100, 100)])
def test_nothing_acknowledged_is_lost_by_twenty_kills(tmp_path, batch, sync_threshold):
    chance = random.Random(20)
    embedder = ModelEmbedder(HashModel(dimension=DIMENSION))
    path = tmp_path / "chroma"
    server = start_chroma(path)
    acknowledged = 0
    repairs: list[str] = []
    try:
        make_collection(server.url, sync_threshold)
        for _ in range(KILLS):
            before = acknowledged
            writer = Writer(server.url, acknowledged, batch)
            writer.start()
            time.sleep(chance.uniform(0.5, 4))
            server.kill()
            writer.join(60)
            assert not writer.is_alive(), "a writer hangs"
            assert writer.ended is not None
            acknowledged = writer.acknowledged

            # The documented step: `s3sync repair` leaves a healthy collection alone.
            if acknowledged:
                done = repair_collection(path, name="docs", embedder=StoredVectors(), **PLACE)
                repairs += [done.damage] if done.damage else []
                assert done.lost == ()
            server.restart()
            with_newest = range(0 if repairs else before, acknowledged)
            check(server.url, embedder, with_newest)
        check(server.url, embedder, range(acknowledged))
    finally:
        server.stop()
    print(f"{KILLS} kills, {acknowledged} acknowledged, {len(repairs)} repairs: {repairs}")
    assert acknowledged > 5 * batch


class StoredVectors(ModelEmbedder):
    """Embeds a text again as the writer did: by the number in it."""

    def __init__(self) -> None:
        super().__init__(HashModel(dimension=DIMENSION))

    def embed_documents(self, texts):
        return vectors_of([int(text.split()[1]) for text in texts])


def check(url: str, embedder, numbers: range) -> None:
    collections = open_collections(url=url)
    collection = collections.open("docs", **PLACE, embedder=embedder, create=False)
    for start in range(numbers.start, numbers.stop, 1000):
        part = range(start, min(start + 1000, numbers.stop))
        stored = collection.get([f"r-{n}" for n in part], documents=True, vectors=True)
        assert len(stored) == len(part)
        for n, vector in zip(part, vectors_of(part), strict=True):
            record = stored[f"r-{n}"]
            assert record.document == f"text {n} " * 20
            assert record.metadata == {"n": n, "m": "v"}
            np.testing.assert_allclose(record.vector, vector, atol=1e-5)
    if numbers:
        sample = numbers[:: max(1, len(numbers) // 50)]
        found = [
            collection.query(vector, limit=1)[0].id == f"r-{n}"
            for n, vector in zip(sample, vectors_of(sample), strict=True)
        ]
        assert sum(found) >= 0.95 * len(found)
    collections.close()
