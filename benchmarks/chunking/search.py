"""The product's three ways to search, over texts in memory: words, dense and both fused.

Words are ranked by ``FtsWordIndex`` and fused by ``core.fusion.fuse``; nearest neighbours are
exact, so that cuts are compared and not an index.
"""

from __future__ import annotations

import functools
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # peers cut in an environment without the product
    from s3sync_dagster.engine.hybrid import Scored

RETURNED_BYTES = 8192
"""What is handed to a reader or a language model at once."""

Ranking = list[int]


@dataclass(frozen=True)
class Piece:
    """A chunk as it is searched."""

    text: str
    """What is stored."""
    embedded: str
    """What the model reads: the text, after a context prefix where there is one."""
    start: int
    end: int
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What its record knows: key, headings, symbol."""


class _Stored:
    """Of a collection as much as the word index asks."""

    id = "in-memory"

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self.pieces = pieces

    def get(self, ids: Sequence[str], *, documents: bool) -> dict[str, Any]:
        from s3sync_dagster.engine.ports import StoredRecord

        found = {}
        for name in ids:
            piece = self.pieces[int(name.removeprefix("d-"))]
            found[name] = StoredRecord(id=name, metadata=piece.metadata, document=piece.text)
        return found


def score_words(
    pieces: Sequence[Piece], queries: Sequence[str]
) -> list[tuple[list[Scored], float]]:
    """Return the best by words of each query with their BM25, and what BM25 can be at most."""
    from s3sync_dagster.core.fusion import DEPTH
    from s3sync_dagster.engine.hybrid import DocumentVersion
    from s3sync_dagster.ports.word_index import FtsWordIndex

    with tempfile.TemporaryDirectory() as folder:
        index = FtsWordIndex(Path(folder) / "words.db")
        version = DocumentVersion(document_id="d", version="1", count=len(pieces))
        index.follow(_Stored(pieces), [version])
        found = [(index.search(query, limit=DEPTH), index.ceiling(query)) for query in queries]
        index.close()
    return found


def score_dense(
    pieces: Sequence[Piece], queries: Sequence[str], embedder: Any
) -> list[list[Scored]]:
    """Return the nearest of each query, with their cosines."""
    import numpy as np

    from s3sync_dagster.core.fusion import DEPTH

    matrix = embedder.embed_documents([piece.embedded for piece in pieces])
    cosines = embedder.embed_documents(list(queries)) @ matrix.T
    order = np.argsort(-cosines, axis=1, kind="stable")[:, :DEPTH]
    return [
        [(f"d-{number}", float(row[number])) for number in best]
        for row, best in zip(cosines, order, strict=True)
    ]


def rank_all(
    pieces: Sequence[Piece], queries: Sequence[str], embedder: Any | None
) -> dict[str, list[Ranking]]:
    """Return the rankings by each way; without an embedder by words alone."""
    from s3sync_dagster.core.fusion import fuse

    scored = score_words(pieces, queries)
    words = [found for found, _ in scored]
    if embedder is None:
        return {"words": [numbers(one) for one in words]}
    dense = score_dense(pieces, queries, embedder)
    fused = [
        fuse(nearest, found, ceiling=ceiling)
        for nearest, (found, ceiling) in zip(dense, scored, strict=True)
    ]
    return {
        name: [numbers(one) for one in found]
        for name, found in (("words", words), ("dense", dense), ("hybrid", fused))
    }


def numbers(scored: Sequence[Scored]) -> Ranking:
    """Return the numbers of the pieces, best first."""
    return [int(name.removeprefix("d-")) for name, _ in scored]


def folded(ranking: Ranking, pieces: Sequence[Piece]) -> Ranking:
    """Return a ranking without pieces that repeat the text of one before, as a search shows it."""
    seen: set[str] = set()
    kept: Ranking = []
    for number in ranking:
        text = _plain(pieces[number].text)
        if text not in seen:
            seen.add(text)
            kept.append(number)
    return kept


@functools.cache
def _plain(text: str) -> str:
    return " ".join(text.split())


def grade(
    rankings: list[Ranking], relevant: list[set[int]], sizes: Sequence[int]
) -> dict[str, tuple[float, float]]:
    """Return MRR, recall@10 and recall in 8 KB, in percent, each with its standard error.

    The last one asks how often what is wanted begins within the first 8 KB of what is returned:
    it does not grow when the same text is in fewer, larger chunks, as the other two do.
    """
    reciprocal, recalled, returned = [], [], []
    for ranking, wanted in zip(rankings, relevant, strict=True):
        rank = next((r for r, index in enumerate(ranking, 1) if index in wanted), None)
        before = sum(sizes[index] for index in ranking[: rank - 1]) if rank else RETURNED_BYTES
        reciprocal.append(1 / rank if rank else 0.0)
        recalled.append(1.0 if rank and rank <= 10 else 0.0)
        returned.append(1.0 if before < RETURNED_BYTES else 0.0)
    return {"MRR": mean(reciprocal), "R@10": mean(recalled), "8 KB": mean(returned)}


def mean(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and standard error in percent."""
    count = len(values)
    middle = sum(values) / count
    variance = sum((value - middle) ** 2 for value in values) / max(1, count - 1)
    return 100 * middle, 100 * math.sqrt(variance / count)
