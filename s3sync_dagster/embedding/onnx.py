"""``onnx``: any sentence-embedding model that lies in a folder, under ONNX Runtime."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3sync_dagster.embedding.device import encode
from s3sync_dagster.embedding.model_folder import (
    SHOWN_CHARACTERS,
    beside_weights,
    damaged,
    find_model,
    load_files,
    read_recipe,
    require_weights,
)
from s3sync_dagster.embedding.weights import WEIGHTS_REFUSE, fill_rows, run_weights
from s3sync_dagster.engine.ports import ModelLimits
from s3sync_dagster.model.embedding_kinds import CPU
from s3sync_dagster.model.errors import LimitExceeded, S3SyncError

if TYPE_CHECKING:
    from s3sync_dagster.embedding.embedder import Surroundings
    from s3sync_dagster.engine.ports import Vector, Vectors
    from s3sync_dagster.model.source import EmbeddingConfig

BYTES_PER_TOKEN = 4
"""Of English prose: a chunk is as large as what the model reads, at most ``LARGEST_BYTES``."""
LARGEST_BYTES = 2048
TRIAL_TOKENS = 512
"""Of the text that a model is tried with: what attention needs grows with the square of them."""
LEAST_LENGTH = 1e-12
"""That a vector is divided by, as sentence-transformers has it: one of zeros stays what it is."""


class OnnxModel:
    """One folder's model."""

    name = "sentence_transformer"

    def __init__(
        self,
        folder: Path,
        *,
        model: str,
        task: Mapping[str, str] | None = None,
        workers: int = 1,
        device: str = CPU,
    ) -> None:
        """Prepare the model; its weights load at the first text.

        Args:
            folder: as ``find_model`` returns it.
            model: the name that people gave, which the collection keeps.
            task: ``document_prompt`` and ``query_prompt`` in place of the folder's own.
            workers: batches inferred side by side, each in one thread.
            device: where they are inferred.

        Raises:
            MissingEngine: the folder cannot be used (``damaged_model``).
        """
        self._folder = folder
        self._model = model
        self._workers = workers
        self._device = device
        self._loading = threading.Lock()
        self._loaded: tuple[Any, Any] | None = None
        self._key: str | None = None
        self.recipe = recipe = read_recipe(folder)
        task = task or {}
        self._prompts = (
            task.get("document_prompt", recipe.document_prompt),
            task.get("query_prompt", recipe.query_prompt),
        )
        self.dimension = recipe.width * len(recipe.poolings)
        self.limits = ModelLimits(
            default_size_bytes=min(LARGEST_BYTES, BYTES_PER_TOKEN * recipe.max_tokens),
            max_tokens=recipe.max_tokens,
            tokenizer_file=str(folder / "tokenizer.json"),
        )

    def configuration(self) -> Mapping[str, Any]:
        """Return that of Chroma's sentence-transformers function.

        A stock client with that package makes the same vectors where the model has no prompts.
        """
        config = {
            "model_name": self._model,
            "device": "cpu",
            "normalize_embeddings": self.recipe.normalize,
            "kwargs": {},
        }
        return {"type": "known", "name": self.name, "config": config}

    def cache_key(self) -> str:
        """Return a digest of weights, tokenizer and recipe: a name alone proves nothing."""
        if self._key is None:
            digest = hashlib.sha256(repr((self.recipe, self._prompts)).encode())
            weights = require_weights(self._folder)
            for path in (weights, *beside_weights(weights), self._folder / "tokenizer.json"):
                with path.open("rb") as file:
                    while part := file.read(1 << 20):
                        digest.update(part)
            self._key = f"onnx:{digest.hexdigest()[:32]}"
        return self._key

    def infer(self, texts: Sequence[str]) -> Vectors:
        """Return one row per text: zeros for one of which the tokenizer leaves nothing.

        Raises:
            LimitExceeded: the weights make no finite numbers of a text, or refuse a token of it
                (``text_refused``).
        """
        return self._infer([self._prompts[0] + text for text in texts])

    def infer_query(self, text: str) -> Vector:
        """Return the query's vector, with its prompt."""
        return self._infer([self._prompts[1] + text])[0]

    def _infer(self, texts: Sequence[str]) -> Vectors:
        import numpy as np

        tokenizer, session = self._load()
        if self.recipe.lower_case:
            texts = [text.lower() for text in texts]
        tokens = encode(tokenizer, texts, self._device)
        # As sentence-transformers makes of a text without tokens, which it is given beside others.
        rows = np.zeros((len(texts), self.dimension), dtype=np.float32)

        def infer(places: list[int]) -> Vectors:
            return self._pooled(session, [tokens[place] for place in places])

        fill_rows(rows, tokens, infer, workers=self._workers, device=self._device)
        if not np.isfinite(rows).all():
            raise LimitExceeded(
                f"the model {self._model[:SHOWN_CHARACTERS]!r} makes no numbers of a text, as "
                "weights of sixteen bits do of some, and those that lack a token of the tokenizer: "
                "a smaller chunking.max_size_bytes, or weights of 32 bits, may help",
                reason="text_refused",
            )
        return rows

    def _pooled(self, session: Any, tokens: Sequence[Sequence[int]]) -> Vectors:
        """Return vectors for texts, the longest of them first; each has a token."""
        import numpy as np

        ids = np.full((len(tokens), len(tokens[0])), self.recipe.padding, dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, text in enumerate(tokens):
            ids[row, : len(text)] = text
            mask[row, : len(text)] = 1
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        output = _token_output(self._folder, session)
        # Of sixteen bits: the squares of a few hundreds would be infinite.
        hidden = run_weights(self._folder, session, output, given).astype(np.float32, copy=False)
        weights = mask[:, :, None].astype(np.float32)
        last = mask.sum(axis=1) - 1
        found = {
            "cls": lambda: hidden[:, 0],
            "max": lambda: np.where(weights > 0, hidden, -np.inf).max(axis=1),
            "mean": lambda: np.where(weights > 0, hidden, 0).sum(axis=1) / weights.sum(axis=1),
            "lasttoken": lambda: hidden[np.arange(len(tokens)), last],
        }
        with np.errstate(invalid="ignore"):  # what comes of no number is none, and looked for
            vectors = np.concatenate([found[name]() for name in self.recipe.poolings], axis=1)
            if self.recipe.normalize:
                length = np.linalg.norm(vectors, axis=1, keepdims=True)
                vectors = vectors / np.maximum(length, LEAST_LENGTH)
        return vectors

    def _load(self) -> tuple[Any, Any]:
        with self._loading:
            if self._loaded is None:
                tokenizer, session = load_files(self._folder, self.recipe.max_tokens, self._device)
                self._try(tokenizer, session)
                self._loaded = (tokenizer, session)
            return self._loaded

    def _try(self, tokenizer: Any, session: Any) -> None:
        """Hold what the folder says against its weights, with a long text beside a short one."""
        import numpy as np

        long = tokenizer.encode("word " * TRIAL_TOKENS).ids[:TRIAL_TOKENS]
        short = tokenizer.encode("word").ids
        if not short:
            raise damaged(self._folder, "its tokenizer makes nothing of a word")
        try:
            vectors = self._pooled(session, [long, short])
        except S3SyncError:
            raise
        except Exception:  # noqa: BLE001  (of ONNX Runtime, with classes of its own)
            raise damaged(self._folder, WEIGHTS_REFUSE) from None
        if vectors.shape[1] != self.dimension:
            raise damaged(
                self._folder,
                f"its vectors have {vectors.shape[1]} numbers, its files say {self.dimension}",
            )
        if not np.isfinite(vectors).all():
            raise damaged(self._folder, "it gives numbers that are none")


def _token_output(folder: Path, session: Any) -> str:
    """Return the name of the output with a row for each token."""
    for one in session.get_outputs():
        if len(one.shape) == 3:  # text, token, number
            return str(one.name)
    raise damaged(folder, "its ONNX file has no output with a row for each token")


def open_model(config: EmbeddingConfig, around: Surroundings) -> OnnxModel:
    """Return the model of a folder. Raises ``MissingEngine`` where there is none."""
    name = config.model or ""
    folder = find_model(name, around.model_dir)
    return OnnxModel(
        folder, model=name, task=config.task, workers=around.workers, device=around.device
    )
