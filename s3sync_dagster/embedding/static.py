"""``static``: the mean of fixed token vectors. About 0.4 ms a chunk; for bulk and tiny machines."""

from __future__ import annotations

import hashlib
import importlib.util
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3sync_dagster.engine.ports import ModelLimits
from s3sync_dagster.model.errors import MissingEngine

if TYPE_CHECKING:
    from s3sync_dagster.embedding.embedder import Surroundings
    from s3sync_dagster.engine.ports import Vector, Vectors
    from s3sync_dagster.model.source import EmbeddingConfig

MODEL_NAME = "wordllama-l2-supercat-256"
WHEEL_PACKAGE = "wordllama"
WEIGHTS = ("weights", "l2_supercat_256.safetensors")
TOKENIZER = ("tokenizers", "l2_supercat_tokenizer_config.json")
WEIGHTS_SHA256 = "64b47a2dc493cb8e85944076601189739852d7b64e0e1eedcb1937a251cd9fd5"
DIMENSION = 256


class StaticModel:
    """Token vectors distilled from a large language model, averaged and normalised."""

    name = "s3sync-static"
    dimension = DIMENSION

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loading = threading.Lock()
        self._loaded: tuple[Any, Any] | None = None
        # No limit of tokens: each one counts the same, however many there are.
        self.limits = ModelLimits(default_size_bytes=1024)

    def configuration(self) -> Mapping[str, Any]:
        """Return a name of our own (see ``chroma_functions``)."""
        return {"type": "known", "name": self.name, "config": {"model": MODEL_NAME}}

    def cache_key(self) -> str:
        """Return the model's name."""
        return MODEL_NAME

    def infer(self, texts: Sequence[str]) -> Vectors:
        """Return normalised rows; a text without tokens gets the first unit vector."""
        import numpy as np

        tokenizer, weights = self._load()
        rows = np.zeros((len(texts), DIMENSION), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            if ids:
                row[:] = weights[ids].mean(axis=0)
            if not row.any():
                row[0] = 1.0
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def infer_query(self, text: str) -> Vector:
        """Return the same vector as for a document: the model has no prompts."""
        return self.infer([text])[0]

    def _load(self) -> tuple[Any, Any]:
        with self._loading:
            if self._loaded is None:
                self._loaded = (_load_tokenizer(self._folder), _load_weights(self._folder))
            return self._loaded


def find_static(model_dir: Path | None) -> Path:
    """Return the folder that holds ``weights`` and ``tokenizers``: given, or of the wheel.

    Raises:
        MissingEngine: neither has them.
    """
    # The wheel's own code is not imported: it looks for its tokenizer in the wrong folder and
    # then downloads another.
    spec = importlib.util.find_spec(WHEEL_PACKAGE)
    wheel = spec.submodule_search_locations if spec else None
    for folder in ([model_dir / MODEL_NAME] if model_dir else []) + [Path(p) for p in wheel or []]:
        if folder.joinpath(*WEIGHTS).is_file() and folder.joinpath(*TOKENIZER).is_file():
            return folder
    raise MissingEngine(
        "the static embedding model is not on this machine: install its wheel "
        f"(pip install --no-deps {WHEEL_PACKAGE}), or put its folders weights and tokenizers "
        f"into {MODEL_NAME} in the model folder",
        reason="missing_model",
    )


def _load_tokenizer(folder: Path) -> Any:
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(folder.joinpath(*TOKENIZER)))


def _load_weights(folder: Path) -> Any:
    import numpy as np
    from safetensors.numpy import load  # noqa: PLC0415 - imports numpy

    content = folder.joinpath(*WEIGHTS).read_bytes()
    if hashlib.sha256(content).hexdigest() != WEIGHTS_SHA256:
        raise MissingEngine(
            f"the weights in {folder} are not those of {MODEL_NAME} (SHA-256 differs); install "
            "the package again or remove the folder",
            reason="damaged_model",
        )
    return load(content)["embedding.weight"].astype(np.float32)


def open_model(_config: EmbeddingConfig, around: Surroundings) -> StaticModel:
    """Return the model. Raises ``MissingEngine`` where it is nowhere to be found."""
    return StaticModel(find_static(around.model_dir))
