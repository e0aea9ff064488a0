"""A damaged vector index: seen without dying of it, repaired without losing a record."""

import hashlib
import os
import pickle
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import chromadb
import numpy as np
import pytest

from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.embedding.embedder import ModelEmbedder
from s3sync_dagster.embedding.hashing import HashModel
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.errors import Conflict, EmbeddingMismatch, NotFound
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster.ports.chroma import open_collections
from s3sync_dagster.ports.chroma_files import (
    free_share,
    links_are_whole,
    orphan_folders,
    saved_vectors,
    vector_segment,
)
from s3sync_dagster.ports.chroma_probe import find_damage
from s3sync_dagster.ports.chroma_repair import repair_collection

PLACE = {"tenant": "default_tenant", "database": "default_database"}
DIMENSION = 64
BATCH = 600
COUNT = 1250
"""More than Chroma persists at once (from 1,000 on), and 50 that are in its log only."""


def hash_embedder():
    return ModelEmbedder(HashModel(dimension=DIMENSION))


def text(n: int) -> str:
    return " ".join(textwrap.wrap(hashlib.sha256(str(n).encode()).hexdigest(), 6))


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """A folder with one collection, written and closed."""
    path = tmp_path_factory.mktemp("chroma") / "written"
    embedder = hash_embedder()
    collections = open_collections(path=path)
    collection = collections.open("docs", **PLACE, embedder=embedder)
    records = [
        Record(id=f"r-{n}", document=text(n), embedding_text=text(n), metadata={"n": n})
        for n in range(COUNT)
    ]
    for start in range(0, COUNT, BATCH):
        part = records[start : start + BATCH]
        collection.upsert(part, embedder.embed_documents([r.document for r in part]))
    changed = Record(id="r-5", document="changed", embedding_text="changed", metadata={"n": 5})
    collection.upsert([changed], embedder.embed_documents(["changed"]))
    collection.delete(["r-7"])
    collections.close()
    return path


@pytest.fixture
def path(written, tmp_path) -> Path:
    return shutil.copytree(written, tmp_path / "chroma")


def segment(path):
    return vector_segment(path, name="docs", **PLACE)


def truncate_links(path):
    file = segment(path).folder / "link_lists.bin"
    os.truncate(file, file.stat().st_size // 2)


def wipe_header(path):
    (segment(path).folder / "header.bin").write_bytes(b"\xff" * 100)


def remove_index(path):
    shutil.rmtree(segment(path).folder)


def tear_vectors(path):
    """Some vectors are torn, and the index cannot be loaded."""
    file = segment(path).folder / "data_level0.bin"
    content = bytearray(file.read_bytes())
    size = 4 + 4 * 32 + 4 * DIMENSION + 8
    for element in range(100):
        content[element * size + 200 : element * size + 300] = os.urandom(100)
    file.write_bytes(content)
    wipe_header(path)


def lose_labels(path):
    (segment(path).folder / "index_metadata.pickle").write_bytes(b"\x80\x04torn")


def test_a_healthy_collection_is_left_alone(path):
    before = segment(path)
    repair = repair_collection(path, name="docs", embedder=hash_embedder(), **PLACE)
    assert repair.damage is None
    assert segment(path) == before
    assert not (path / "damaged").exists()


@pytest.mark.long
def test_a_collection_too_small_to_be_saved_is_healthy_too(tmp_path):
    """Chroma makes room for 100 elements on disk and keeps the vectors in its log."""
    embedder = hash_embedder()
    collections = open_collections(path=tmp_path / "chroma")
    collection = collections.open("docs", **PLACE, embedder=embedder)
    records = [
        Record(id=f"r-{n}", document=text(n), embedding_text=text(n), metadata={"n": n})
        for n in range(20)
    ]
    collection.upsert(records, embedder.embed_documents([r.document for r in records]))
    collections.close()
    assert find_damage(tmp_path / "chroma", name="docs", **PLACE) is None  # which loads it
    assert (segment(tmp_path / "chroma").folder / "data_level0.bin").stat().st_size > 0
    assert find_damage(tmp_path / "chroma", name="docs", **PLACE) is None


def test_vectors_are_read_without_the_index(path):
    saved = saved_vectors(path, segment(path))
    embedder = hash_embedder()
    assert len(saved) == COUNT - 1
    assert "r-7" not in saved
    for name, document in (
        ("r-5", "changed"),
        ("r-0", text(0)),
        (f"r-{COUNT - 1}", text(COUNT - 1)),
    ):
        np.testing.assert_allclose(saved[name], embedder.embed_query(document), atol=1e-6)


def test_the_layout_follows_the_collections_configuration(tmp_path):
    client = chromadb.PersistentClient(path=str(tmp_path / "chroma"))
    collection = client.create_collection(
        "docs",
        embedding_function=None,
        configuration={"hnsw": {"space": "cosine", "max_neighbors": 24}},
    )
    vectors = np.eye(32, dtype=np.float32)[np.arange(1200) % 32]
    collection.add(ids=[f"r-{n}" for n in range(1200)], embeddings=vectors)
    client.close()
    found = segment(tmp_path / "chroma")
    assert found.max_neighbors == 24
    saved = saved_vectors(tmp_path / "chroma", found)
    assert len(saved) == 1200
    np.testing.assert_allclose(saved["r-33"], vectors[33], atol=1e-6)
    assert links_are_whole(found)


@pytest.mark.parametrize(
    ("damage", "least_saved"),
    [
        (truncate_links, COUNT - 1),
        pytest.param(tear_vectors, COUNT - 1 - 100, marks=pytest.mark.long),
        pytest.param(remove_index, COUNT - 2 * BATCH, marks=pytest.mark.long),
        pytest.param(wipe_header, COUNT - 1, marks=pytest.mark.long),
        pytest.param(lose_labels, COUNT - 2 * BATCH, marks=pytest.mark.long),
    ],
)
def test_a_damaged_collection_is_seen_and_made_whole(path, damage, least_saved):
    damage(path)
    embedder = hash_embedder()
    repair = repair_collection(path, name="docs", embedder=embedder, **PLACE)
    assert repair.damage is not None
    assert repair.saved >= least_saved
    assert repair.saved + repair.embedded == COUNT - 1
    assert repair.lost == ()
    assert repair.moved_to is not None
    assert repair.moved_to.is_dir()

    assert find_damage(path, name="docs", **PLACE) is None
    collections = open_collections(path=path)
    collection = collections.open("docs", **PLACE, embedder=embedder, create=False)
    ids = [f"r-{n}" for n in range(COUNT) if n != 7]
    stored = collection.get([*ids, "r-7"], documents=True, vectors=True)
    assert set(stored) == set(ids)
    for name, record in stored.items():
        wanted = "changed" if name == "r-5" else text(record.metadata["n"])
        assert record.document == wanted
        np.testing.assert_allclose(record.vector, embedder.embed_query(wanted), atol=1e-6)
    found = sum(
        hit.id == name
        for name in ids[::100]
        for hit in collection.query(stored[name].vector, limit=3)
    )
    assert found == len(ids[::100])
    collections.close()


@pytest.mark.long
def test_a_repair_that_was_stopped_goes_on_with_what_it_had_moved(path):
    wipe_header(path)
    script = (
        "import sys, os; from pathlib import Path\n"
        "from s3sync_dagster.ports import chroma_repair\n"
        "from s3sync_dagster_tests.ports.test_chroma_repair import PLACE, hash_embedder\n"
        "real = chroma_repair._restore\n"
        "def restore(collection, ids, vectors):\n"
        "    real(collection, ids, vectors); os._exit(9)\n"
        "chroma_repair._restore = restore\n"
        "chroma_repair.repair_collection(\n"
        "    Path(sys.argv[1]), name='docs', embedder=hash_embedder(), **PLACE)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, path], check=False, timeout=120)
    assert done.returncode == 9
    assert find_damage(path, name="docs", **PLACE) is not None
    repair = repair_collection(path, name="docs", embedder=hash_embedder(), **PLACE)
    assert (repair.saved, repair.embedded) == (COUNT - 1, 0)


def test_a_finished_repairs_files_are_never_used_again(path):
    wipe_header(path)
    repair_collection(path, name="docs", embedder=hash_embedder(), **PLACE)
    remove_index(path)
    repair = repair_collection(path, name="docs", embedder=hash_embedder(), **PLACE)
    assert repair.saved < COUNT - 1
    assert repair.saved + repair.embedded == COUNT - 1


def test_a_pickle_with_code_in_it_is_not_run(path, tmp_path):
    class Harmful:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "was-run",))

    labels = segment(path).folder / "index_metadata.pickle"
    labels.write_bytes(pickle.dumps({"label_to_id": Harmful()}))
    saved_vectors(path, segment(path))
    assert not (tmp_path / "was-run").exists()


def test_what_cannot_be_repaired_says_why(path):
    embedder = hash_embedder()
    with pytest.raises(NotFound, match="nothing-here"):
        repair_collection(path, name="nothing-here", embedder=embedder, **PLACE)
    with pytest.raises(NotFound):
        vector_segment(path / "elsewhere", name="docs", **PLACE)
    open_one = open_collections(path=path)
    with pytest.raises(Conflict) as caught:
        repair_collection(path, name="docs", embedder=embedder, **PLACE)
    assert caught.value.reason == "chroma_in_use"
    open_one.close()
    wipe_header(path)
    static = open_embedder(EmbeddingConfig(kind="static"))
    with pytest.raises(EmbeddingMismatch):
        repair_collection(path, name="docs", embedder=static, **PLACE)


def test_left_over_folders_and_empty_pages_are_reported(path):
    assert orphan_folders(path) == []
    before = free_share(path)
    folder = segment(path).folder
    collections = open_collections(path=path)
    collections.delete_collection("docs", **PLACE)
    collections.close()
    assert orphan_folders(path) == ([folder] if folder.exists() else [])
    assert before < free_share(path) < 1
    with sqlite3.connect(path / "chroma.sqlite3") as database:
        assert database.execute("SELECT count(*) FROM collections").fetchone() == (0,)
