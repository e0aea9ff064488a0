"""The best records by words, by BM25, without a look at every record that has a common word.

FTS5 scores each record that has any word of a question, and most have a common one. Here the rare
words say first which records may be among the best; of the others only those are scored that have
so many common words that they may be better. What comes of it is what scoring all of them gives.
"""

from __future__ import annotations

import functools
import heapq
import itertools
import math
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from s3sync_dagster.ports.word_forms import is_pair

K1 = 1.2
"""Of FTS5's BM25: a word that fills a text counts ``K1 + 1`` times its rarity."""
LEAST_IDF = 1e-6
"""Likewise: rarity of a word that more than half of the records have."""
ROOM = 4
"""Records with a rare word, for each that is asked for, before common words are left to the end."""
DIGITS = 9
"""Of a score: what differs behind them is equal."""
COMMON = 20_000
"""Records with a word that are many to score."""
FEW = 2000
"""Records with any word of a question that are simply all scored."""
MANY = 6
"""Words of which it takes half to be among the best; of fewer, one more."""
MOST_TOGETHER = 100
"""Sets of words that are parted from each other, which costs us time."""
DEAR = 2.4
"""Ways to part words, for each that a record has to have beside another: more of them cost more
than a look at all records with any of them. The more it takes, the fewer records each finds."""

_BEST = """
SELECT rowid, -rank FROM words WHERE words MATCH ? AND rank MATCH ? ORDER BY rank, rowid LIMIT ?
"""

Scored = list[tuple[int, float]]
"""Rowids and scores, best first."""
_Word = TypeVar("_Word")
Counted = Sequence[tuple[str, int]]
"""Words as FTS5 asks for them, and how many records have each."""


def best_by_words(
    database: sqlite3.Connection, words: Counted, records: int, *, bm25: str, limit: int
) -> Scored:
    """Return rowids and scores of the best records, best first, equal ones by their rowids.

    So a shorter list is the beginning of a longer one.

    Args:
        database: has the table ``words``.
        words: of the question, at least one.
        records: in the table.
        bm25: the ranking function with its weights.
        limit: records at most.
    """

    @functools.cache
    def best(expression: str) -> Scored:
        return database.execute(_BEST, (expression, bm25, limit)).fetchall()

    def most(some: Counted) -> float:
        """The score of a record that is full of these words."""
        return sum((K1 + 1) * idf(records, number) for _, number in some)

    telling, rest = parted(words, records)
    found = _Found(limit)
    if telling:
        _add_best(found, telling, best=best, most=most)
    scored = found.ordered()
    if rest and len(scored) < limit:
        alone = f"({any_of(rest)}) NOT ({any_of(telling)})" if telling else any_of(rest)
        scored += [(number, round(score, DIGITS)) for number, score in best(alone)]
    return scored[:limit]


def parted(words: Counted, records: int) -> tuple[Counted, Counted]:
    """Return the words that tell records apart, rarest first, and those that most records have.

    FTS5 counts the latter a millionth. They are asked for alone, behind all that has any of the
    others: added to those, they would turn equal scores over, each limit in its own way.
    """
    ordered = sorted(words, key=lambda word: word[1])
    telling = [word for word in ordered if idf(records, word[1]) > LEAST_IDF]
    return telling, ordered[len(telling) :]


def _add_best(
    found: _Found,
    ordered: Counted,
    *,
    best: Callable[[str], Scored],
    most: Callable[[Counted], float],
) -> None:
    """Add the best by words of which the rarest stand first."""
    if len(ordered) > 1 and ordered[0][1] >= COMMON:
        # None is rare: what has half of them is soon found, and may leave no word alone a chance.
        # Asked for is what is asked for again below, and not what has all: of many words, too few.
        for groups in halves_of(len(ordered)):
            scored = best(apart([[ordered[place][0] for place in group] for group in groups]))
            found.add(scored)
            if len(scored) >= found.limit:
                break
        if most(ordered[:1]) < found.reached:
            _add_several(found, ordered, best=best, most=most)
            return
    chosen = _first_split(ordered, found.limit)
    found.add(best(any_of(ordered[:chosen])))
    # A record with one common word has to score less than the last one found, or that chooses too.
    alone = chosen
    while alone < len(ordered) and most(ordered[alone : alone + 1]) >= found.reached:
        alone += 1
    rare, common = any_of(ordered[:alone]), ordered[alone:]
    if alone > chosen:
        found.add(best(rare))
    if common:
        found.add(best(f"({rare}) AND ({any_of(common)})"))
        _add_several(found, common, best=best, most=most)


def _add_several(
    found: _Found,
    common: Counted,
    *,
    best: Callable[[str], Scored],
    most: Callable[[Counted], float],
) -> None:
    """Add the records that are among the best by common words alone, of which it takes several."""
    if len(common) < 2:
        return
    if most(common) < found.reached:
        return
    least, strong = those_it_takes(common, found.reached, most=most)
    if least == 1:
        found.add(best(any_of(common)))
        return
    weak = common[len(strong) :]
    for groups in groupings(len(strong), least):
        if most(common) < found.reached:
            return
        # It may take more of them by now; of many words no more than are parted from each other.
        if those_it_takes(common, found.reached, most=most)[0] > least:
            _add_several(found, common, best=best, most=most)
            return
        together = apart([[strong[place][0] for place in group] for group in groups])
        scored = best(together)
        found.add(scored)
        if weak and scored and scored[0][1] + most(weak) >= found.reached:
            found.add(best(f"({together}) AND ({any_of(weak)})"))


def those_it_takes(
    common: Sequence[_Word], reached: float, *, most: Callable[[Sequence[_Word]], float]
) -> tuple[int, Sequence[_Word]]:
    """Return how many words it takes to reach a score, two at least, and which may be the ones.

    Whatever reaches it has so many of those: its best ones are among them. One, and all words:
    there are so many ways to have several that a look at all that has any costs less.

    Args:
        common: words, rarest first.
        reached: the score.
        most: the score of a record that is full of some words.
    """
    least = 2
    while least < len(common) and most(common[:least]) < reached:
        least += 1
    while least > 2 and math.comb(len(common), least) > MOST_TOGETHER:
        least -= 1
    strong = len(common)
    while strong > least and most(common[: least - 1]) + most(common[strong - 1 :]) < reached:
        strong -= 1  # it and those behind it are too little beside the rarest
    if len(groupings(strong, least)) > DEAR * (least - 1):
        return 1, common
    return least, common[:strong]


@functools.lru_cache
def groupings(words: int, together: int) -> list[list[list[int]]]:
    """Return ways to part words in groups, so that any ``together`` of them are apart in one way.

    A word stands once in a question: FTS5 would count it twice. So what has several of many words
    is found by asking for one of each group, in as many ways as it takes to part them all.
    """
    places = range(words)
    if words <= together:
        return [[[place] for place in places]]
    if together == 1:
        return [[list(places)]]
    if together == 2:
        return [
            [[n for n in places if n >> bit & 1], [n for n in places if not n >> bit & 1]]
            for bit in range((words - 1).bit_length())
        ]
    left: set[tuple[int, ...]] = {*itertools.combinations(places, together)}
    ways: list[list[list[int]]] = []
    while left:
        group_of: dict[int, int] = {place: group for group, place in enumerate(min(left))}
        for place in places:
            if place not in group_of:
                group_of[place] = max(
                    range(together),
                    key=lambda group, new=place: sum(
                        new in some and _are_apart(some, {**group_of, new: group}) for some in left
                    ),
                )
        left = {some for some in left if not _are_apart(some, group_of)}
        ways.append([[n for n in places if group_of[n] == group] for group in range(together)])
    return ways


def halves_of(words: int) -> Iterator[list[list[int]]]:
    """Yield ways to part words in groups: half as many as words, half of that, and so on, then two.

    What has one of each group has as many of the words. Of many words, where all ways to part them
    cost too much to find, they are dealt out, so that each group has common ones and rarer ones.
    """
    together = max(2, words // 2 + (words < MANY))
    while True:
        if together == 2 or math.comb(words, together) <= MOST_TOGETHER:
            yield groupings(words, together)[0]
        else:
            yield [[*range(group, words, together)] for group in range(together)]
        if together == 2:
            return
        together = max(2, together // 2)


def _are_apart(some: Sequence[int], group_of: Mapping[int, int]) -> bool:
    """Tell whether words are in groups of their own, as far as they are in any."""
    known = [group_of[place] for place in some if place in group_of]
    return len(set(known)) == len(known)


def apart(groups: Sequence[Sequence[str]]) -> str:
    """Return the FTS5 query for one word of each group."""
    return " AND ".join(f"({' OR '.join(group)})" for group in groups)


class _Found:
    """The records found so far; each record's greatest score is its own."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._scores: dict[int, float] = {}
        self.reached = 0.0
        """Score that a record needs to be among the best."""

    def add(self, scored: Scored) -> None:
        for number, score in scored:
            # What was added up in another order differs in the last bit.
            score = round(score, DIGITS)
            self._scores[number] = max(score, self._scores.get(number, 0.0))
        if len(self._scores) >= self.limit:
            self.reached = heapq.nlargest(self.limit, self._scores.values())[-1]

    def ordered(self) -> Scored:
        found = sorted(self._scores.items(), key=lambda item: (-item[1], item[0]))
        return found[: self.limit]


def idf(records: int, number: int) -> float:
    """Return the rarity of a word that ``number`` of the records have, as FTS5 counts it."""
    if 2 * number >= records:  # counts of two moments may even contradict each other
        return LEAST_IDF
    return math.log((records - number + 0.5) / (number + 0.5))


def score_of_all(words: Counted, records: int) -> float:
    """Return what a record scores that is full of all these words.

    Of the pairs in a run of characters every second one is a word; those between two words are
    rare, and would be most of it.
    """
    return sum(
        (0.5 if is_pair(word) else 1.0) * (K1 + 1) * idf(records, number) for word, number in words
    )


def _first_split(ordered: Counted, limit: int) -> int:
    """Return how many of the rarest words choose the records at first."""
    total = sum(number for _, number in ordered)
    if total <= FEW:
        return len(ordered)
    chosen = 0
    for place, (_, number) in enumerate(ordered):
        chosen += number
        if chosen >= ROOM * limit:
            return place + 1
    return len(ordered)


def any_of(words: Counted) -> str:
    """Return the FTS5 query for any of these words."""
    return " OR ".join(word for word, _ in words)
