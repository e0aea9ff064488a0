"""A graphics card is used where it is wished for, or refused in a sentence; nothing is reported."""

import subprocess
import sys

import onnxruntime
import pytest
from onnxruntime.capi import onnxruntime_pybind11_state as errors

from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.embedding.device import _CudaSession, encode, open_session
from s3sync_dagster.embedding.minilm import _load_tokenizer
from s3sync_dagster.embedding.minilm_files import find_minilm
from s3sync_dagster.embedding.reranker import CrossEncoder
from s3sync_dagster.embedding.weights import run_weights
from s3sync_dagster.model.embedding_kinds import CUDA, DEVICES
from s3sync_dagster.model.errors import MissingEngine, Unavailable
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster_tests.embedding.test_onnx import folder  # noqa: F401  (a fixture)

ONE_TEXT = """
from pathlib import Path
from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.model.source import EmbeddingConfig
import sys

open_embedder(EmbeddingConfig(kind="minilm"), model_dir=Path(sys.argv[1])).embed_query("x")
"""


def test_a_card_that_onnx_runtime_cannot_use_is_refused(model_dir, folder):  # noqa: F811
    for config in (
        EmbeddingConfig(kind="minilm"),
        EmbeddingConfig(kind="onnx", model=str(folder)),
    ):
        embedder = open_embedder(config, model_dir=model_dir, device=CUDA)
        with pytest.raises(MissingEngine, match="onnxruntime-gpu") as caught:
            embedder.embed_documents(["x"])
        assert caught.value.reason == "missing_engine"
    with pytest.raises(MissingEngine, match="onnxruntime-gpu"):
        CrossEncoder(folder, device=CUDA).score("q", ["x"])


def test_the_processor_never_takes_the_place_of_a_card_in_silence(model_dir, monkeypatch):
    """ONNX Runtime itself goes on with the processor where CUDA does not start."""
    monkeypatch.setattr(
        onnxruntime,
        "get_available_providers",
        lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"],
    )
    weights = find_minilm(model_dir) / "model.onnx"
    with (
        pytest.warns(UserWarning, match="CUDAExecutionProvider"),
        pytest.raises(MissingEngine, match="does not start") as caught,
    ):
        open_session(weights, CUDA)
    assert caught.value.reason == "missing_engine"


def test_a_card_that_cuda_does_not_see_is_refused_without_a_fallback(model_dir, monkeypatch):
    given = {}

    def start(*_arguments, **options):
        given.update(options)
        raise RuntimeError("CUDA failure 100: no CUDA-capable device is detected")

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", start)
    with pytest.raises(MissingEngine, match="nvidia-smi"):
        open_session(find_minilm(model_dir) / "model.onnx", CUDA)
    assert given["enable_fallback"] == 0


@pytest.mark.parametrize("device", DEVICES)
def test_tokens_are_the_same_on_all_devices(model_dir, device):
    tokenizer = _load_tokenizer(find_minilm(model_dir))
    texts = ["", "word", "word " * 1000, "\0 \ud7ff"]
    assert encode(tokenizer, texts, device) == [tokenizer.encode(text).ids for text in texts]


def test_what_a_card_cannot_run_is_no_text_s_fault(model_dir, tmp_path):
    class Full:
        def get_inputs(self):
            return []

        get_outputs = get_inputs

        def run(self, _outputs, _given):
            raise errors.RuntimeException("CUDA failure 2: out of memory")

    session = _CudaSession(Full())
    with pytest.raises(Unavailable, match="memory") as caught:
        run_weights(tmp_path, session, "o", {})
    assert caught.value.reason == "embedding_unavailable"
    # What it was given is at fault: a token that the weights do not have, an input of another kind.
    weights = find_minilm(model_dir) / "model.onnx"
    real = _CudaSession(open_session(weights))
    with pytest.raises(MissingEngine, match="refuse"):
        run_weights(tmp_path, real, "last_hidden_state", {})


def test_onnx_runtime_reports_nothing_to_its_maker(model_dir, tmp_path):
    """From 1.31 on it keeps what it reports in a file of the home, and makes it at its import."""
    home = tmp_path / "home"
    home.mkdir()
    command = [sys.executable, "-c", ONE_TEXT, str(find_minilm(model_dir))]
    environment = {"HOME": str(home), "PYTHONPATH": ":".join(filter(None, sys.path))}
    subprocess.run(command, env=environment, check=True, timeout=120)
    assert [path for path in home.rglob("*") if path.is_file()] == []
