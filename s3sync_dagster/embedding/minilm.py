"""``minilm``: all-MiniLM-L6-v2 under ONNX Runtime, the model of stock Chroma clients."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3sync_dagster.embedding.device import BATCH_SIZES, encode, make_batches, open_session
from s3sync_dagster.embedding.minilm_files import find_minilm
from s3sync_dagster.engine.ports import ModelLimits
from s3sync_dagster.model.embedding_kinds import CPU

if TYPE_CHECKING:
    from s3sync_dagster.embedding.embedder import Surroundings
    from s3sync_dagster.engine.ports import Vector, Vectors
    from s3sync_dagster.model.source import EmbeddingConfig

MAX_TOKENS = 256


class MiniLmModel:
    """The same vectors as Chroma's default function, without its padding to 256 tokens."""

    name = "default"
    dimension = 384

    def __init__(self, folder: Path, *, workers: int = 1, device: str = CPU) -> None:
        """Prepare the model; its weights load at the first text.

        Args:
            folder: holds ``model.onnx`` and ``tokenizer.json``.
            workers: batches inferred side by side, each in one thread. ONNX Runtime's own threads
                wait for each other within each operator, and spin while they do.
            device: where they are inferred.
        """
        self._folder = folder
        self.workers = workers
        self._device = device
        self._loading = threading.Lock()
        self._loaded: tuple[Any, Any] | None = None
        self.limits = ModelLimits(
            default_size_bytes=1024,
            max_tokens=MAX_TOKENS,
            tokenizer_file=str(folder / "tokenizer.json"),
        )

    def configuration(self) -> Mapping[str, Any]:
        """Return Chroma's own default, so that ``query_texts`` works with any client."""
        return {"type": "known", "name": self.name, "config": {}}

    def cache_key(self) -> str:
        """Return the model's name."""
        return "all-MiniLM-L6-v2"

    def infer(self, texts: Sequence[str]) -> Vectors:
        """Return normalised means of the last layer, one row per text."""
        import numpy as np

        tokenizer, session = self.load()
        tokens = encode(tokenizer, texts, self._device)
        rows = np.empty((len(texts), self.dimension), dtype=np.float32)

        def infer_batch(places: list[int]) -> None:
            rows[places] = _means(session, [tokens[place] for place in places])

        batches = make_batches(tokens, BATCH_SIZES[self._device])
        if self.workers == 1:
            for batch in batches:
                infer_batch(batch)
        else:
            with ThreadPoolExecutor(self.workers, thread_name_prefix="minilm") as pool:
                list(pool.map(infer_batch, batches))
        return rows

    def infer_query(self, text: str) -> Vector:
        """Return the same vector as for a document: the model has no prompts."""
        return self.infer([text])[0]

    def open_session(self, weights: Path) -> Any:
        """Return what runs the weights, by ``run`` as a session of ONNX Runtime has it."""
        return open_session(weights, self._device)

    def load(self) -> tuple[Any, Any]:
        """Return tokenizer and session, which are made once."""
        with self._loading:
            if self._loaded is None:
                self._loaded = (
                    _load_tokenizer(self._folder),
                    self.open_session(self._folder / "model.onnx"),
                )
            return self._loaded


def _means(session: Any, tokens: Sequence[Sequence[int]]) -> Vectors:
    """Return the normalised mean of the last layer for texts, the longest of them first."""
    import numpy as np

    ids = np.zeros((len(tokens), len(tokens[0])), dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, text in enumerate(tokens):
        ids[row, : len(text)] = text
        mask[row, : len(text)] = 1
    hidden = session.run(
        ["last_hidden_state"],
        {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)},
    )[0]
    weights = mask[:, :, None].astype(np.float32)
    means = (hidden * weights).sum(axis=1) / weights.sum(axis=1)
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def _load_tokenizer(folder: Path) -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    # The packaged file has padding and truncation to 128 tokens baked in.
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer


def open_model(_config: EmbeddingConfig, around: Surroundings) -> MiniLmModel:
    """Return the model. Raises ``MissingEngine`` where it is nowhere to be found."""
    folder = find_minilm(around.model_dir)
    return MiniLmModel(folder, workers=around.workers, device=around.device)
