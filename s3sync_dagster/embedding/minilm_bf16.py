"""``minilm-bf16``: MiniLM under OpenVINO in numbers of 16 bits (bfloat16).

A third of the processor's time where that counts with them (AMX, AVX-512 BF16). The vectors differ
from those of ``minilm`` by a cosine of 0.9998 at least, far beyond the noise of floats: they have a
name of their own in collections and in the vector cache.
"""

from __future__ import annotations

import importlib
import queue
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3sync_dagster.embedding.minilm import MiniLmModel
from s3sync_dagster.embedding.minilm_files import MODEL_NAME, find_minilm
from s3sync_dagster.model.errors import MissingEngine

if TYPE_CHECKING:
    from s3sync_dagster.embedding.embedder import Surroundings
    from s3sync_dagster.model.source import EmbeddingConfig

_DEVICE = "CPU"


class Bf16MiniLm(MiniLmModel):
    """The weights of ``minilm``, and vectors that are almost its own."""

    name = "s3sync-minilm-bf16"

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
        if "BF16" not in core.get_property(_DEVICE, "OPTIMIZATION_CAPABILITIES"):
            # It would count with whole floats, and say nothing.
            raise MissingEngine(
                "embedding.kind 'minilm-bf16' needs a processor that counts with bfloat16 (AMX or "
                "AVX-512 BF16: `lscpu` shows amx_bf16 or avx512_bf16), and this one does not; take "
                "'minilm', into a collection of its own",
                reason="missing_engine",
            )
        settings = {
            "INFERENCE_PRECISION_HINT": "bf16",
            "INFERENCE_NUM_THREADS": self.workers,
            "NUM_STREAMS": self.workers,
            "ENABLE_CPU_PINNING": False,  # several processes would be pinned to the same core
        }
        return _Session(core.compile_model(str(weights), _DEVICE, settings), self.workers)


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
        finally:
            self._idle.put(request)


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
