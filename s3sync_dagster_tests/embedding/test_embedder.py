"""The embedder around a model: cache, counters, and the check of what comes back."""

import errno
from dataclasses import replace

import numpy as np
import pytest

from s3sync_dagster.embedding import embedder, open_embedder
from s3sync_dagster.embedding.embedder import ModelEmbedder, next_slice
from s3sync_dagster.embedding.hashing import HashModel
from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.model.source import EmbeddingConfig


class DictCache:
    def __init__(self):
        self.vectors = {}

    def get(self, model, texts):
        return {t: self.vectors[model, t] for t in texts if (model, t) in self.vectors}

    def put(self, model, texts, vectors):
        self.vectors.update({(model, t): v for t, v in zip(texts, vectors, strict=True)})

    def forget(self, model, texts):
        for text in texts:
            del self.vectors[model, text]


class Broken(HashModel):
    def __init__(self, damage):
        super().__init__()
        self.damage = damage

    def infer(self, texts):
        return self.damage(super().infer(texts))


def test_equal_and_cached_texts_cost_no_inference():
    cache = DictCache()
    first = ModelEmbedder(HashModel(), cache=cache)
    vectors = first.embed_documents(["a b", "c", "a b"])
    assert first.inferred == 2
    np.testing.assert_array_equal(vectors[0], vectors[2])
    second = ModelEmbedder(HashModel(), cache=cache)
    again = second.embed_documents(["c", "new", "a b"])
    assert second.inferred == 1
    np.testing.assert_array_equal(again[[2, 0]], vectors[:2])


def test_another_model_does_not_see_the_vectors():
    cache = DictCache()
    ModelEmbedder(HashModel(), cache=cache).embed_documents(["a"])
    other = ModelEmbedder(HashModel(dimension=16), cache=cache)
    assert other.embed_documents(["a"]).shape == (1, 16)


def test_no_texts_give_an_empty_array():
    assert ModelEmbedder(HashModel()).embed_documents([]).shape == (0, 384)


@pytest.mark.parametrize(
    "damage",
    [
        lambda v: v * np.nan,
        lambda v: v + np.inf,
        lambda v: v[:, :-1],
        lambda v: v[:-1],
    ],
    ids=["nan", "infinity", "dimension", "rows"],
)
def test_vectors_that_would_damage_a_collection_are_refused_and_not_remembered(damage):
    cache = DictCache()
    embedder = ModelEmbedder(Broken(damage), cache=cache)
    with pytest.raises(Unavailable) as caught:
        embedder.embed_documents(["a", "b"])
    assert caught.value.reason == "bad_vectors"
    assert cache.vectors == {}


def test_hash_vectors_are_unit_length_stable_and_near_for_shared_words():
    embedder = open_embedder(EmbeddingConfig(kind="hash"))
    vectors = embedder.embed_documents(
        ["red green blue", "Red GREEN yellow", "other words", "", "!"]
    )
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert vectors[0] @ vectors[1] > 0.6 > vectors[0] @ vectors[2] + 0.3
    fresh = open_embedder(EmbeddingConfig(kind="hash")).embed_documents(["red green blue"])
    np.testing.assert_array_equal(fresh[0], vectors[0])


class Slow(HashModel):
    """Takes a tenth of a second for a text."""

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.slices = []

    def monotonic(self):
        return self.now

    def infer(self, texts):
        self.now += len(texts) / 10
        self.slices.append(len(texts))
        return super().infer(texts)


def test_a_slow_model_puts_its_vectors_away_every_few_seconds():
    """What a run that is interrupted has inferred is there for the next one."""
    model, cache = Slow(), DictCache()
    embedder = ModelEmbedder(model, cache=cache, clock=model)
    known = []
    monotonic = model.monotonic

    def looked_at():
        known.append(len(cache.vectors))
        return monotonic()

    model.monotonic = looked_at
    embedder.embed_documents([str(number) for number in range(100)])
    assert model.slices == [32, 20, 20, 20, 8]
    assert known == [0, 0, 32, 32, 52, 52, 72, 72, 92, 92]


def test_a_quick_model_gets_large_slices():
    assert next_slice(32, 0.01) == 2048
    assert next_slice(32, 0.0) == 2048
    assert next_slice(32, 4.0) == 16
    assert next_slice(16, 60.0) == 16


@pytest.mark.parametrize("many", [4, 40])
@pytest.mark.parametrize("before", [16, 64])
def test_cached_vectors_of_another_length_are_none(monkeypatch, many, before):
    monkeypatch.setattr(embedder, "TEXTS_IN_MEMORY", 10)
    cache, texts = DictCache(), [f"text {number}" for number in range(many)]
    for text in texts[::2]:
        cache.vectors["hash", text] = np.ones(before, dtype=np.float32)
    model = HashModel(dimension=32)
    monkeypatch.setattr(model, "cache_key", lambda: "hash")
    vectors = ModelEmbedder(model, cache=cache).embed_documents(texts)
    assert np.array_equal(vectors, ModelEmbedder(HashModel(dimension=32)).embed_documents(texts))


def test_a_full_disk_is_told_before_a_model_is_asked(monkeypatch):
    def full(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(embedder, "TEXTS_IN_MEMORY", 10)
    monkeypatch.setattr(embedder.os, "posix_fallocate", full)
    asked = ModelEmbedder(HashModel())
    with pytest.raises(Unavailable, match="No space left on device.*set TMPDIR") as caught:
        asked.embed_documents([f"text {number}" for number in range(20)])
    assert (caught.value.reason, asked.inferred) == ("disk_full", 0)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileNotFoundError(errno.ENOENT, "No usable temporary directory"), "No usable"),
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files"),
    ],
)
def test_no_room_for_temporary_files_is_told_as_such(monkeypatch, error, said):
    def none(*_arguments, **_named):
        raise error

    monkeypatch.setattr(embedder, "TEXTS_IN_MEMORY", 10)
    monkeypatch.setattr(embedder.tempfile, "TemporaryFile", none)
    monkeypatch.setattr(embedder.tempfile, "tempdir", None)
    with pytest.raises(Unavailable, match=f"{said}.*set TMPDIR") as caught:
        ModelEmbedder(HashModel()).embed_documents([f"text {number}" for number in range(20)])
    assert caught.value.reason == "disk_full"


def test_vectors_of_many_texts_lie_on_disk_and_are_the_same(monkeypatch):
    monkeypatch.setattr(embedder, "TEXTS_IN_MEMORY", 10)
    embedder_of_many = open_embedder(EmbeddingConfig(kind="hash"), model_dir=None)
    texts = [f"text {number % 17}" for number in range(35)]
    vectors = embedder_of_many.embed_documents(texts)
    assert isinstance(vectors, np.memmap)
    monkeypatch.undo()
    assert np.array_equal(vectors, embedder_of_many.embed_documents(texts))
    assert vectors[3:5].tolist() == vectors[20:22].tolist()


def test_an_endpoint_that_asks_for_pauses_gets_whole_requests():
    model = Slow()
    model.limits = replace(model.limits, least_texts=64)
    ModelEmbedder(model, clock=model).embed_documents([str(number) for number in range(200)])
    assert model.slices == [32, 64, 64, 40]
