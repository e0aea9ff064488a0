"""Weights of a folder's model, run: batch by batch, and alone where they refuse one of a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from s3sync_dagster.embedding.device import BATCH_SIZES, make_batches
from s3sync_dagster.embedding.model_folder import damaged
from s3sync_dagster.model.embedding_kinds import CPU
from s3sync_dagster.model.errors import MissingEngine, S3SyncError

WEIGHTS_REFUSE = "its weights refuse what its files say"


def run_weights(folder: Path, session: Any, output: str, given: Mapping[str, Any]) -> Any:
    """Return one output of a model's weights for those of the inputs that they have.

    Raises:
        MissingEngine: they refuse them (``damaged_model``).
    """
    wanted = {one.name for one in session.get_inputs()}
    inputs = {name: value for name, value in given.items() if name in wanted}
    try:
        return session.run([output], inputs)[0]
    except S3SyncError:
        raise
    except Exception:  # noqa: BLE001  (of ONNX Runtime, with classes of its own)
        raise damaged(folder, WEIGHTS_REFUSE) from None


def fill_rows(
    rows: Any,
    tokens: Sequence[Sequence[int]],
    infer: Callable[[list[int]], Any],
    *,
    workers: int,
    device: str = CPU,
) -> list[MissingEngine]:
    """Fill the rows of texts, by batches of about one length; return what the weights refused.

    They may lack a token of one text. It is found by asking for each of its batch alone, and its
    row has no number (NaN). The row of a text without tokens stays as it is.

    Args:
        rows: an array with a row for each text.
        tokens: of the texts.
        infer: gives the rows of some texts by their places, the longest first.
        workers: batches that are inferred side by side.
        device: where they are; batches are as large as it has them.
    """
    refused: list[MissingEngine] = []
    some = [place for place, text in enumerate(tokens) if text]

    def fill(places: list[int]) -> None:
        try:
            rows[places] = infer(places)
        except MissingEngine as error:
            if len(places) > 1:
                for place in places:
                    fill([place])
            else:
                rows[places] = float("nan")
                refused.append(error)

    batches = make_batches([tokens[place] for place in some], BATCH_SIZES[device])
    with ThreadPoolExecutor(workers, thread_name_prefix="onnx") as pool:
        list(pool.map(fill, ([some[one] for one in batch] for batch in batches)))
    return refused
