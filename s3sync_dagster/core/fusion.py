"""Two rankings made one: by their scores, and by how well the question's words fit."""

from collections.abc import Collection, Sequence

Scored = tuple[str, float]
"""A record's id, and how well it fits; greater is better."""

WORDS_LEAST = 0.3
"""Share of the words in a fused score where none of the question's fit. It grows with how near the
best comes to a text with all of them: then words are right; else the answer has others, and what
vectors say counts. Chosen by measurement (docs/chroma.md)."""
DEPTH = 50
"""Hits of each ranking whose scores are spread over 0 to 1."""


def fuse(
    nearest: Sequence[Scored],
    words: Sequence[Scored],
    *,
    ceiling: float,
    alone: Collection[str] = (),
) -> list[Scored]:
    """Return ids and fused scores (0 to 1), best first; equal ones as ``nearest`` has them.

    The scores of each ranking are spread over 0 to 1 between its first and its ``DEPTH``-th, and
    an id scores the weighted sum of both. So one that leads by far in one ranking keeps its lead
    over those between which the other sees hardly a difference, which their ranks do not tell.

    Args:
        nearest: ids and similarities, best first.
        words: ids and BM25, best first.
        ceiling: BM25 of a record that is full of all words.
        alone: ids of which no words are known: others wrote them. Their similarity counts for both
            rankings, since they would stand behind all others else.
    """
    share = words_share(words, ceiling)
    scores: dict[str, float] = {}
    best: dict[str, int] = {}
    for ranking, weight in ((nearest, 1 - share), (words, share)):
        rank, before = 0, None
        for place, ((name, told), (_, score)) in enumerate(
            zip(ranking, _spread(ranking), strict=True)
        ):
            if told != before:  # equal ones have one rank, whatever stands between them elsewhere
                rank, before = place, told
            part = 1.0 if name in alone else weight
            scores[name] = scores.get(name, 0.0) + part * score
            best[name] = min(best.get(name, rank), rank)
    return sorted(scores.items(), key=lambda item: (-item[1], best[item[0]]))


def words_share(words: Sequence[Scored], ceiling: float) -> float:
    """Return the weight of the words; that of the vectors is the rest of 1."""
    if not words:
        return 0.0
    reached = words[0][1] / ceiling if ceiling > 0 else 0.0
    return min(1.0, WORDS_LEAST + reached)


def ties(ranking: Sequence[Scored]) -> bool:
    """Tell whether those whose scores are spread are all equal: others may equal them too."""
    return len(ranking) >= DEPTH and ranking[0][1] <= ranking[DEPTH - 1][1]


def _spread(ranking: Sequence[Scored]) -> list[Scored]:
    """Return the scores from 1, the first, to 0, the ``DEPTH``-th and what follows it."""
    if not ranking:
        return []
    highest, lowest = ranking[0][1], ranking[:DEPTH][-1][1]
    if highest <= lowest:
        return [(name, float(score >= highest)) for name, score in ranking]
    return [(name, max(0.0, (score - lowest) / (highest - lowest))) for name, score in ranking]
