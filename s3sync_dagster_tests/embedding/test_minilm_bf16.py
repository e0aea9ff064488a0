"""MiniLM in bfloat16: almost the vectors of MiniLM, and never under its name."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from s3sync_dagster.embedding import minilm_bf16, open_embedder
from s3sync_dagster.embedding.cache import VectorCache
from s3sync_dagster.embedding.minilm import MiniLmModel
from s3sync_dagster.embedding.minilm_bf16 import import_openvino
from s3sync_dagster.embedding.minilm_files import find_minilm
from s3sync_dagster.model.errors import EmbeddingMismatch, MissingEngine
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster_tests.embedding.test_minilm import TEXTS
from s3sync_dagster_tests.opened import open_collections

EXACT, BF16 = EmbeddingConfig(kind="minilm"), EmbeddingConfig(kind="minilm-bf16")
openvino = import_openvino()
CAPABLE = bool({"amx_bf16", "avx512_bf16"} & set(Path("/proc/cpuinfo").read_text().split()))
ONE_TEXT = """
import sys
from pathlib import Path
from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.model.errors import MissingEngine
from s3sync_dagster.model.source import EmbeddingConfig

embedder = open_embedder(EmbeddingConfig(kind="minilm-bf16"), model_dir=Path(sys.argv[1]))
try:
    embedder.embed_query("x")
except MissingEngine:
    print("refused")
"""


def assert_refused(embedder):
    with pytest.raises(MissingEngine, match="bfloat16") as caught:
        embedder.embed_documents(TEXTS)
    assert caught.value.reason == "missing_engine"


def test_vectors_are_almost_those_of_minilm(model_dir, tmp_path):
    embedder = open_embedder(BF16, model_dir=model_dir, workers=2)
    if not CAPABLE:
        assert_refused(embedder)
        return
    exact = open_embedder(EXACT, model_dir=model_dir)
    texts = [f"{text} {n}" for n in range(5) for text in TEXTS]
    ours, theirs = embedder.embed_documents(texts), exact.embed_documents(texts)
    cosines = (ours * theirs).sum(axis=1)
    assert cosines.min() > 0.999
    assert np.abs(ours - theirs).max() > 1e-4, "else it counted with whole floats"
    np.testing.assert_allclose(embedder.embed_query(texts[0]), ours[0], atol=0.01)


def test_a_processor_without_bfloat16_is_refused(model_dir, monkeypatch, tmp_path):
    """OpenVINO imitates it on every processor with AVX-512, and says that it has it."""
    (tmp_path / "cpuinfo").write_text("flags : fpu avx512f avx512_vnni\n")
    monkeypatch.setattr(minilm_bf16, "_CPUINFO", tmp_path / "cpuinfo")
    assert_refused(open_embedder(BF16, model_dir=model_dir))


@pytest.mark.skipif(not CAPABLE, reason="this processor has no bfloat16")
def test_vectors_that_are_others_than_the_model_s_are_refused(model_dir, monkeypatch):
    made = MiniLmModel.infer

    def noisy(self, texts):
        noise = np.random.default_rng(7).normal(0, 0.03, (len(texts), 384))
        return (made(self, texts) + noise).astype(np.float32)

    monkeypatch.setattr(MiniLmModel, "infer", noisy)
    embedder = open_embedder(BF16, model_dir=model_dir)
    for _ in range(2):
        assert_refused(embedder)


def test_without_openvino_the_package_is_named(model_dir, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingEngine, match=r"s3sync-dagster\[openvino\]") as caught:
        open_embedder(BF16, model_dir=model_dir).embed_query("x")
    assert caught.value.reason == "missing_engine"


def test_its_vectors_have_a_name_of_their_own(model_dir, tmp_path, chroma_server):
    embedder = open_embedder(BF16, model_dir=model_dir)
    exact = open_embedder(EXACT, model_dir=model_dir)
    assert embedder.name != exact.name
    assert embedder.configuration() != exact.configuration()
    cache = VectorCache(tmp_path / "vectors.db")
    vector = np.ones((1, 384), dtype=np.float32)
    cache.put(exact.cache_key(), ["a"], vector)
    assert cache.get(exact.cache_key(), ["a"])
    assert not cache.get(embedder.cache_key(), ["a"])
    cache.close()
    collections = open_collections(url=chroma_server)
    place = {"tenant": "default_tenant", "database": "default_database"}
    collections.open("exact-minilm", **place, embedder=exact)
    with pytest.raises(EmbeddingMismatch, match="minilm-bf16"):
        collections.open("exact-minilm", **place, embedder=embedder)
    collections.close()


def test_openvino_reports_nothing_to_its_maker(model_dir, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    command = [sys.executable, "-c", ONE_TEXT, str(find_minilm(model_dir))]
    environment = {"HOME": str(home), "PYTHONPATH": ":".join(filter(None, sys.path))}
    told = subprocess.run(
        command, env=environment, check=True, timeout=120, capture_output=True, text=True
    ).stdout
    assert told == ("" if CAPABLE else "refused\n")
    assert list(home.iterdir()) == []
