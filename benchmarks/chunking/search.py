"""Three ways to search texts: BM25, dense (MiniLM) and both fused by reciprocal rank."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+")
_STOP = frozenset(
    ("a", "an", "and", "are", "as", "at", "be", "by", "for", "from", "has", "if", "in", "into",
     "is", "it", "its", "of", "on", "or", "that", "the", "this", "to", "was", "were", "which",
     "with")
)  # fmt: skip
K1, B, FUSION = 1.2, 0.75, 60
DEPTH = 100
"""Ranks looked at."""
RETURNED_BYTES = 8192
"""What is handed to a reader or a language model at once."""

Ranking = list[int]


def words(text: str) -> list[str]:
    """Return lower-case words; ``camelCase`` and ``snake_case`` are taken apart."""
    return [word for found in _WORD.findall(text) if (word := found.lower()) not in _STOP]


def rank_bm25(texts: Sequence[str], queries: Sequence[str]) -> list[Ranking]:
    counts = [Counter(words(text)) for text in texts]
    lengths = [sum(count.values()) for count in counts]
    mean = sum(lengths) / len(lengths)
    postings: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for index, count in enumerate(counts):
        for word, times in count.items():
            postings[word].append((index, times))
    rankings = []
    for query in queries:
        scores: dict[int, float] = defaultdict(float)
        for word in set(words(query)):
            found = postings.get(word, [])
            weight = math.log(1 + (len(texts) - len(found) + 0.5) / (len(found) + 0.5))
            for index, times in found:
                norm = times + K1 * (1 - B + B * lengths[index] / mean)
                scores[index] += weight * times * (K1 + 1) / norm
        rankings.append(sorted(scores, key=lambda i: (-scores[i], i))[:DEPTH])
    return rankings


def rank_dense(texts: Sequence[str], queries: Sequence[str], model, known: dict) -> list[Ranking]:
    """Rank by cosine; ``known`` keeps vectors: chunkers share many texts and all queries."""
    import numpy as np

    new = list(dict.fromkeys(text for text in (*texts, *queries) if text not in known))
    if new:
        known.update(zip(new, model.infer(new), strict=True))
    matrix = np.stack([known[text] for text in texts])
    scores = np.stack([known[text] for text in queries]) @ matrix.T
    return [list(map(int, row)) for row in np.argsort(-scores, axis=1, kind="stable")[:, :DEPTH]]


def fuse(first: list[Ranking], second: list[Ranking]) -> list[Ranking]:
    fused = []
    for pair in zip(first, second, strict=True):
        scores: dict[int, float] = defaultdict(float)
        for ranking in pair:
            for rank, index in enumerate(ranking):
                scores[index] += 1 / (FUSION + rank + 1)
        fused.append(sorted(scores, key=lambda i: (-scores[i], i))[:DEPTH])
    return fused


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
    return {"MRR": _mean(reciprocal), "R@10": _mean(recalled), "8 KB": _mean(returned)}


def _mean(values: list[float]) -> tuple[float, float]:
    count = len(values)
    mean = sum(values) / count
    variance = sum((value - mean) ** 2 for value in values) / max(1, count - 1)
    return 100 * mean, 100 * math.sqrt(variance / count)
