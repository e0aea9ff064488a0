"""``minilm-bf16``: MiniLM under OpenVINO in numbers of 16 bits (bfloat16).

Less than half of the processor's time where that multiplies them in tiles (AMX). The vectors differ
from those of ``minilm`` by a cosine of 0.9998 at least, far beyond the noise of floats: they have a
name of their own in collections and in the vector cache.
"""

from __future__ import annotations

import base64
import importlib
import queue
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3sync_dagster.embedding.minilm import MiniLmModel
from s3sync_dagster.embedding.minilm_files import MODEL_NAME, find_minilm
from s3sync_dagster.model.errors import MissingEngine, Unavailable

if TYPE_CHECKING:
    from s3sync_dagster.embedding.embedder import Surroundings
    from s3sync_dagster.model.source import EmbeddingConfig

_DEVICE = "CPU"
_CPUINFO = Path("/proc/cpuinfo")
_FLAGS = {"amx_bf16", "avx512_bf16"}
_PROVEN_BY = "Each key of the bucket has a document of its own, and nobody else writes it."
_PROOF = (
    "0CR1KB2gDaVUpgCpuazfGjgxZCvjJIYsbygDr4Gt/qwPsHKqzKtUrzGnA5iEKEMhliJpLlOsyycOIsmoG6i0qaYqSCdR"
    "LL0s1CwUnpEgpKzKpUmlAaouJvkfxyzqq4OqU6GFKGKp7Kb5qFQpuJ3wHT2e2yGqI1iilKynmtendSQ="
)
"""The first 64 numbers of that sentence's exact vector, which ``minilm`` makes, as float16."""
_LEAST_COSINE = 0.999


class Bf16MiniLm(MiniLmModel):
    """The weights of ``minilm``, and vectors that are almost its own."""

    name = "s3sync-minilm-bf16"
    _proven = False
    _proving = threading.RLock()

    def configuration(self) -> Mapping[str, Any]:
        """Return a name of our own (see ``chroma_functions``)."""
        config = {"model": MODEL_NAME, "precision": "bf16"}
        return {"type": "known", "name": self.name, "config": config}

    def cache_key(self) -> str:
        """Return the model's name and how it counts."""
        return f"{MODEL_NAME}:bf16"

    def open_session(self, weights: Path) -> Any:
        """Return what runs the weights. Raises ``MissingEngine`` without bfloat16."""
        openvino = import_openvino()
        core = openvino.Core()
        # Its own word is of every processor with AVX-512: it imitates bfloat16 there, slowly.
        if not has_bfloat16() or "BF16" not in core.get_property(
            _DEVICE, "OPTIMIZATION_CAPABILITIES"
        ):
            raise _no_bfloat16("this one does not")
        settings = {
            "INFERENCE_PRECISION_HINT": "bf16",
            "INFERENCE_NUM_THREADS": self.workers,
            "NUM_STREAMS": self.workers,
            "ENABLE_CPU_PINNING": False,  # several processes would be pinned to the same core
        }
        try:
            compiled = core.compile_model(str(weights), _DEVICE, settings)
        except RuntimeError as error:
            raise _no_bfloat16("OpenVINO does not make it of this one") from error
        return _Session(compiled, self.workers)

    def load(self) -> tuple[Any, Any]:
        """Return tokenizer and session, once the first text has the vector that it has to have.

        Raises:
            MissingEngine: it has another one, of numbers that are none of this model's.
        """
        import numpy as np

        loaded = super().load()
        with self._proving:
            if not self._proven:
                self._proven = True  # what infers below comes here again
                made = self.infer([_PROVEN_BY])[0][:64]
                told = np.frombuffer(base64.b64decode(_PROOF), dtype=np.float16).astype(np.float32)
                cosine = float(made @ told / np.linalg.norm(made) / np.linalg.norm(told))
                self._proven = cosine >= _LEAST_COSINE
            if not self._proven:
                raise _no_bfloat16("on this one OpenVINO makes other vectors")
        return loaded


class _Session:
    """As many requests as may be inferred side by side, behind the one call that MiniLM makes."""

    def __init__(self, compiled: Any, requests: int) -> None:
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(requests):
            self._idle.put(compiled.create_infer_request())

    def run(self, outputs: Sequence[str], given: Mapping[str, Any]) -> list[Any]:
        request = self._idle.get()
        try:
            found = request.infer(given)
            return [found[name] for name in outputs]
        except RuntimeError as error:
            raise Unavailable(
                "OpenVINO could not run the embedding model: its memory may be full",
                reason="embedding_unavailable",
            ) from error
        finally:
            self._idle.put(request)


def has_bfloat16() -> bool:
    """Return whether the processor has instructions for bfloat16; on Linux alone that is known."""
    with suppress(OSError):
        return not _FLAGS.isdisjoint(_CPUINFO.read_text().split())
    return False


def _no_bfloat16(why: str) -> MissingEngine:
    return MissingEngine(
        "embedding.kind 'minilm-bf16' needs a processor that counts with bfloat16 (AMX or AVX-512 "
        f"BF16: `lscpu` shows amx_bf16 or avx512_bf16), and {why}; take 'minilm', into a "
        "collection of its own",
        reason="missing_engine",
    )


def import_openvino() -> Any:
    """Return the package, without what reports to its makers.

    That is a package beside it, which sends each import and keeps an identifier in the home;
    without it, the same work is done.

    Raises:
        MissingEngine: openvino is not installed.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        return importlib.import_module("openvino")
    except ImportError:
        raise MissingEngine(
            "embedding.kind 'minilm-bf16' needs the package openvino: "
            "pip install 's3sync-dagster[openvino]'",
            reason="missing_engine",
        ) from None


def open_model(_config: EmbeddingConfig, around: Surroundings) -> Bf16MiniLm:
    """Return the model. Raises ``MissingEngine`` where MiniLM is nowhere to be found."""
    return Bf16MiniLm(find_minilm(around.model_dir), workers=around.workers)
