"""The static model: from its wheel, without the wheel's own code."""

import shutil
import sys

import numpy as np
import pytest

from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.embedding.static import WHEEL_PACKAGE, StaticModel, find_static
from s3sync_dagster.model.errors import MissingEngine
from s3sync_dagster.model.source import EmbeddingConfig


def test_vectors_are_near_for_texts_of_one_meaning():
    embedder = open_embedder(EmbeddingConfig(kind="static"))
    texts = ["a kitten is dozing on the sofa", "the cat sleeps", "interest rates rose again", ""]
    vectors = embedder.embed_documents(texts)
    assert vectors.shape == (4, 256) == (4, embedder.dimension)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert vectors[0] @ vectors[1] > 0.3 > vectors[0] @ vectors[2]
    np.testing.assert_array_equal(embedder.embed_query(texts[0]), vectors[0])
    assert WHEEL_PACKAGE not in sys.modules


def test_a_given_folder_serves_where_the_wheel_is_missing(tmp_path, monkeypatch):
    shutil.copytree(find_static(None), tmp_path / "wordllama-l2-supercat-256")
    monkeypatch.setattr("s3sync_dagster.embedding.static.WHEEL_PACKAGE", "no_such_package")
    with pytest.raises(MissingEngine, match="install its wheel") as caught:
        find_static(None)
    assert caught.value.reason == "missing_model"
    folder = find_static(tmp_path)
    assert StaticModel(folder).infer(["x"]).shape == (1, 256)


def test_weights_that_were_tampered_with_are_refused(tmp_path):
    folder = tmp_path / "wordllama-l2-supercat-256"
    shutil.copytree(find_static(None), folder)
    with (folder / "weights" / "l2_supercat_256.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(MissingEngine) as caught:
        StaticModel(find_static(tmp_path)).infer(["x"])
    assert caught.value.reason == "damaged_model"
