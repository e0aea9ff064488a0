"""Terms of a reader's question, each with what it counts for this reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from s3sync_dagster.ports.word_ranking import K1

OFTEN = 4
"""Times that a word is in more records than another, and is left out beside it,"""
NEARLY = 0.8
"""where a record needs so much of the most that the other counts."""


@dataclass(frozen=True, slots=True)
class Term:
    """A word as FTS5 asks for it."""

    expression: str
    rarity: float
    """Among the records that may be seen."""
    factor: float
    """That over what FTS5 weighs it by."""
    number: int
    """Of the records that may be seen, those that have it."""


def most_of(terms: Sequence[Term]) -> float:
    """Return what a record counts that is full of some terms."""
    return sum((K1 + 1) * term.rarity for term in terms)


def beside(terms: Sequence[Term], reached: float) -> int:
    """Return how many terms are asked for beside the first: not those that lift it by little.

    They are in so many more records that it costs less to look at all that have the first.
    """
    end = len(terms)
    while (
        end > 1
        and terms[end - 1].number > OFTEN * terms[0].number
        and reached - most_of(terms[end - 1 :]) > NEARLY * most_of(terms[:1])
    ):
        end -= 1
    return end
