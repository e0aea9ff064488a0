"""Where local models run, and sessions of ONNX Runtime there: the processor, or a graphics card.

Both give the same vectors: a card counts with whole floats (no TF32), so one cache and one
collection hold what either has made.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s3sync_dagster.model.embedding_kinds import CPU, CUDA
from s3sync_dagster.model.errors import MissingEngine, Unavailable

_PROVIDER = "CUDAExecutionProvider"
_SILENCE = "ORT_DISABLE_TELEMETRY"


@dataclass(frozen=True, slots=True)
class BatchSize:
    """How much is inferred at once."""

    texts: int
    tokens: int
    """With padding."""


BATCH_SIZES = {CPU: BatchSize(8, 512), CUDA: BatchSize(32, 4096)}
"""Of a processor: larger ones leave its cache (+10 to 50 % time). Of a card (H100): larger ones are
no faster."""


def encode(tokenizer: Any, texts: Sequence[str], device: str) -> list[list[int]]:
    """Return the tokens of texts.

    On the processor one text after the other, since a thread for each core would take what infers;
    where a card infers it would wait for them half of the time.
    """
    if device == CUDA:
        return [one.ids for one in tokenizer.encode_batch(list(texts))]
    return [tokenizer.encode(text).ids for text in texts]


def make_batches(
    tokens: Sequence[Sequence[int]], size: BatchSize = BATCH_SIZES[CPU]
) -> Iterator[list[int]]:
    """Yield indices of texts of similar length, longest first."""
    batch: list[int] = []
    for place in sorted(range(len(tokens)), key=lambda i: -len(tokens[i])):
        longest = len(tokens[batch[0]]) if batch else 0
        if batch and (len(batch) == size.texts or (len(batch) + 1) * longest > size.tokens):
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


def import_onnxruntime() -> Any:
    """Return the package, told to report nothing to its maker.

    From 1.31 on it keeps an identifier of the machine and what each process did in the home, and
    sends them; only a variable that is set while it is imported hinders that.
    """
    asked = os.environ.get(_SILENCE)
    os.environ[_SILENCE] = "1" if asked is None else asked
    import onnxruntime

    if asked is None:
        os.environ.pop(_SILENCE, None)  # another thread may have been here
    return onnxruntime


def open_session(weights: Path, device: str = CPU) -> Any:
    """Return a session of ONNX Runtime; on the processor it uses one thread for each call.

    Raises:
        MissingEngine: ONNX Runtime has no CUDA here, or it does not start.
    """
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if device != CUDA:
        providers = ["CPUExecutionProvider"]
        return onnxruntime.InferenceSession(str(weights), options, providers=providers)
    if _PROVIDER not in onnxruntime.get_available_providers():
        raise MissingEngine(
            "S3SYNC_EMBEDDING_DEVICE is 'cuda', but the onnxruntime that is installed cannot use "
            "it: put onnxruntime-gpu in its place (pip uninstall onnxruntime, then pip install "
            "'onnxruntime-gpu[cuda,cudnn]'), or leave the variable away",
            reason="missing_engine",
        )
    if preload := getattr(onnxruntime, "preload_dlls", None):
        preload()  # CUDA's libraries that came as wheels, which no loader finds by itself
    given, session = [(_PROVIDER, {"use_tf32": "0"})], None
    with suppress(RuntimeError):  # of CUDA: it sees no card
        session = onnxruntime.InferenceSession(
            str(weights), options, providers=given, enable_fallback=0
        )
    # Where its libraries are not found it takes the processor, and tells the terminal alone.
    if session is None or _PROVIDER not in session.get_providers():
        raise MissingEngine(
            "S3SYNC_EMBEDDING_DEVICE is 'cuda', but CUDA does not start: `nvidia-smi` has to show "
            "a card, and the libraries have to be those that onnxruntime-gpu wants (pip install "
            "'onnxruntime-gpu[cuda,cudnn]'); or leave the variable away",
            reason="missing_engine",
        )
    return _CudaSession(session)


class _CudaSession:
    """A session whose failures are the card's, which others may fill, and never a text's."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.get_inputs, self.get_outputs = session.get_inputs, session.get_outputs

    def run(self, outputs: Sequence[str], given: Any) -> Any:
        errors: Any = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
        try:
            return self._session.run(outputs, given)
        except (errors.EPFail, errors.Fail, errors.RuntimeException) as problem:
            raise Unavailable(
                f"the graphics card could not run the embedding model ({type(problem).__name__}): "
                "its memory may be full",
                reason="embedding_unavailable",
            ) from None
