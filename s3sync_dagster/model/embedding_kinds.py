"""The kinds of embedding models, and what is known of each without opening it.

A new kind is a row here and the module that the row names, which has ``open_model``.
"""

from collections.abc import Mapping
from dataclasses import dataclass

BM25 = "Chroma/BM25"
SPLADE = "prithivida/Splade_PP_en_v1"
SPARSE_MODELS = (BM25, SPLADE)
QWEN = "Qwen/Qwen3-Embedding-0.6B"
CPU, CUDA = DEVICES = ("cpu", "cuda")
"""Where models run whose kind is ``local`` and that ONNX Runtime runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingKind:
    """One kind."""

    module: str
    """In ``s3sync_dagster.embedding``; its ``open_model`` gives the model."""
    model_name: str | None = None
    """What the API calls the kind's one model; None: ``embedding.model`` names it."""
    aliases: tuple[str, ...] = ()
    """Other names that the API understands."""
    needs: tuple[str, ...] = ()
    """Settings of ``embedding`` without which the kind cannot be opened."""
    chunk_bytes: int = 1024
    """Size of chunks where a source names none (the model's ``default_size_bytes``)."""
    local: bool = False
    """Its model runs in this process, and may have to be fetched first."""


EMBEDDING_KINDS: Mapping[str, EmbeddingKind] = {
    "minilm": EmbeddingKind(
        module="minilm",
        model_name="sentence-transformers/all-MiniLM-L6-v2",
        aliases=("all-MiniLM-L6-v2", "minilm"),
        local=True,
    ),
    "minilm-bf16": EmbeddingKind(module="minilm_bf16", model_name="s3sync-minilm-bf16", local=True),
    "onnx": EmbeddingKind(module="onnx", needs=("model",), chunk_bytes=2048, local=True),
    "static": EmbeddingKind(
        module="static", model_name="wordllama-l2-supercat-256", aliases=("static",), local=True
    ),
    "hash": EmbeddingKind(module="hashing", model_name="s3sync-hash", local=True),
    "openai": EmbeddingKind(module="openai", needs=("endpoint_url", "model"), chunk_bytes=2048),
    "chroma-cloud": EmbeddingKind(module="chroma_cloud", model_name=QWEN, chunk_bytes=2048),
}
