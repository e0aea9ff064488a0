"""A cross-encoder: reads a question and a text together and says how well one answers the other.

It lies in a folder as a model of kind ``onnx`` does, and is found in the same places. It costs an
inference for each text of each question, so only the first hits of a search are given to it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from s3sync_dagster.embedding.model_folder import (
    damaged,
    find_model,
    load_files,
    read_length,
    read_padding,
    read_part,
)
from s3sync_dagster.embedding.weights import fill_rows, run_weights
from s3sync_dagster.model.embedding_kinds import CPU
from s3sync_dagster.model.errors import MissingEngine


class CrossEncoder:
    """One folder's model. Safe for several threads."""

    def __init__(self, folder: Path, *, workers: int = 1, device: str = CPU) -> None:
        """Prepare the model; its weights load at the first question.

        Args:
            folder: as ``model_folder.find_model`` returns it.
            workers: batches inferred side by side, each in one thread.
            device: where they are inferred.

        Raises:
            MissingEngine: the folder says that it is no model of this kind (``damaged_model``).
        """
        self._folder = folder
        self._workers = workers
        self._device = device
        self._loading = threading.Lock()
        self._loaded: tuple[Any, Any, str] | None = None
        labels = read_part(folder, "config.json", {}).get("id2label")
        if isinstance(labels, dict) and len(labels) != 1:
            raise damaged(
                folder, f"it tells {len(labels)} labels apart; a reranker gives one number"
            )
        self.max_tokens = read_length(folder)
        self._padding = read_padding(folder)

    def score(self, question: str, texts: Sequence[str]) -> list[float]:
        """Return how well each text answers the question, 0 to 1.

        Question and text together are cut to what the model reads, the longer one first. A text of
        which the model makes no number (weights of 16 bits overflow) answers nothing: whoever can
        store one would end the search of all others.

        Raises:
            MissingEngine: the weights are no cross-encoder's (``damaged_model``).
        """
        import numpy as np

        if not texts:
            return []
        tokenizer, session, output = self._load()
        # One by one: encode_batch starts a thread per core.
        pairs = [tokenizer.encode(question, text) for text in texts]
        logits = np.full(len(pairs), np.nan, dtype=np.float64)

        def infer(places: list[int]) -> Any:
            return self._infer(session, output, [pairs[place] for place in places])

        refused = fill_rows(
            logits,
            [pair.ids for pair in pairs],
            infer,
            workers=self._workers,
            device=self._device,
        )
        told = np.isfinite(logits)
        if not told.any():
            raise refused[0] if refused else damaged(self._folder, "it gives numbers that are none")
        scores = 1 / (1 + np.exp(-np.clip(np.where(told, logits, 0.0), -30, 30)))
        return [float(one) for one in np.where(told, scores, 0.0)]

    def _infer(self, session: Any, output: str, pairs: Sequence[Any]) -> Any:
        """Return a number for each pair, the longest of them first."""
        import numpy as np

        ids = np.full((len(pairs), len(pairs[0].ids)), self._padding, dtype=np.int64)
        mask, types = np.zeros_like(ids), np.zeros_like(ids)
        for row, pair in enumerate(pairs):
            ids[row, : len(pair.ids)] = pair.ids
            types[row, : len(pair.ids)] = pair.type_ids
            mask[row, : len(pair.ids)] = 1
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
        found = run_weights(self._folder, session, output, given)
        if found.size != len(pairs):
            raise damaged(self._folder, "it gives more than one number for a text")
        return found.reshape(-1)

    def _load(self) -> tuple[Any, Any, str]:
        with self._loading:
            if self._loaded is None:
                tokenizer, session = load_files(self._folder, self.max_tokens, self._device)
                output = session.get_outputs()[0]
                inputs = {one.name for one in session.get_inputs()}
                if len(output.shape) > 2 or "input_ids" not in inputs:
                    raise damaged(self._folder, "it gives no single number for a text")
                self._loaded = (tokenizer, session, str(output.name))
            return self._loaded


def open_reranker(
    name: str, *, model_dir: Path | None, workers: int = 1, device: str = CPU
) -> CrossEncoder:
    """Return the cross-encoder of a folder or a name.

    Raises:
        MissingEngine: it is nowhere to be found, or cannot be used; says which setting names it.
    """
    try:
        return CrossEncoder(find_model(name, model_dir), workers=workers, device=device)
    except MissingEngine as error:
        raise MissingEngine(
            f"S3SYNC_RERANKER names a model that cannot be used: {error.message}",
            reason=error.reason,
        ) from None
