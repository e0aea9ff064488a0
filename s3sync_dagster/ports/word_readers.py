"""Words of what one reader may see, ranked as if the collection had nothing else.

FTS5 counts how rare a word is over all records, and whoever knows a text sees by its score whether
others have the word. So each word is asked for alone: its score over its rarity is what it counts
in a record, and that is weighed by how rare it is among the records that the reader may see.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from s3sync_dagster.core.rights import SOURCE
from s3sync_dagster.ports.word_both import best_by_both
from s3sync_dagster.ports.word_forms import asked_by_pieces, match_words, voters
from s3sync_dagster.ports.word_memory import MAY, Seen
from s3sync_dagster.ports.word_pieces import PieceScores, piece_scores
from s3sync_dagster.ports.word_ranking import (
    DIGITS,
    FEW,
    LEAST_IDF,
    apart,
    groupings,
    halves_of,
    idf,
    score_of_all,
    those_it_takes,
)
from s3sync_dagster.ports.word_records import numbers_of
from s3sync_dagster.ports.word_terms import Term, beside, most_of
from s3sync_dagster.ports.word_votes import Voters

if TYPE_CHECKING:
    from s3sync_dagster.core.rights import Rights
    from s3sync_dagster.engine.hybrid import Scored
    from s3sync_dagster.ports.word_file import WordFile
    from s3sync_dagster.ports.word_memory import WordMemory

_LESS = 10.0**-DIGITS
_SEEN = "substr(:seen, {} + 1, 1) = x'01'"
"""A byte a record: a third of what a look at the record's document costs."""
_COUNT = "SELECT count(*) FROM words WHERE words MATCH :asked"
_COUNT_BOTH = f"""
SELECT count(*), count(*) FILTER (WHERE {_SEEN.format("rowid")}) FROM words WHERE words MATCH :asked
"""
_RECORDS = "SELECT count(*) FROM words_docsize"
_RECORDS_BOTH = f"""
SELECT (SELECT count(*) FROM records), (
    SELECT coalesce(sum(last + 1 - first), 0) FROM documents WHERE {_SEEN.format("first")}
) + (
    SELECT count(*) FROM records WHERE {_SEEN.format("number")}
    AND document IN (SELECT number FROM documents WHERE first IS NULL)
)
"""
"""By documents: who may see one of its records may see all."""
_ROWS = "SELECT rowid FROM words WHERE words MATCH {}"
_ALL = f"""
SELECT rowid, -rank FROM words WHERE words MATCH :asked AND rank MATCH :bm25
AND {_SEEN.format("rowid")}
"""
_SOME = """
SELECT rowid, -rank FROM words WHERE words MATCH :asked AND rank MATCH :bm25
AND substr(:only, rowid + 1, 1) = x'01'
"""
"""A byte a record here too: SQLite looks as long for a number in a list as FTS5 for the record."""
_ABOVE = f"{_ALL} AND -rank >= :least"
APART = 3.0
"""Times that a word may count here what it counts in FTS5, before that says too little of it."""
LEADING = 2
"""Times that a word has to be in more records than others, for these to lead to it."""
NEAR_BEST = 300
"""Records with half of a question's words that are scored first: FTS5's order is not quite ours."""


class ReaderWords:
    """A ``WordIndex`` of the records that a reader may see; one thread per object."""

    def __init__(self, file: WordFile, memory: WordMemory, rights: Rights, *, bm25: str) -> None:
        self._file = file
        self._memory = memory
        self._rights = rights
        self._bm25 = bm25
        groups = None if rights.reader.groups is None else sorted(rights.reader.groups)
        told = json.dumps(
            [
                *(groups, sorted(rights.restricted.items()), sorted(rights.open_sources)),
                sorted(rights.doubted.documents),
            ]
        )
        self._rights_name = hashlib.sha256(told.encode()).hexdigest()
        self._of_file = ""
        self._seen = b""
        self._touched = 0

    def search(self, text: str, *, limit: int, among: Sequence[str] | None = None) -> list[Scored]:
        """Return ids of records with words of ``text`` and their BM25; see ``WordIndex``."""
        with self._file.guarded(), self._file.snapshot():
            self._look()
            only = None if among is None else [number for _, number in self._numbers_of(among)]
            telling, rest = self._terms(text)
            found = self._best_with_pieces(text, telling, limit=limit, only=only)
            if len(found) < limit:
                scores = self._best(rest, limit=limit + len(found), only=only)
                found |= {number: score for number, score in scores.items() if number not in found}
            best = [*found.items()][:limit]
            return [(self._id_of(number), round(score, DIGITS)) for number, score in best]

    def scores(self, text: str, ids: Sequence[str]) -> list[Scored]:
        """Return those of these records that have words of ``text``, with their BM25."""
        with self._file.guarded(), self._file.snapshot():
            self._look()
            numbers = self._numbers_of(ids)
            telling, rest = self._terms(text)
            only = [one for _, one in numbers]
            found = self._best_with_pieces(text, telling, limit=len(ids), only=only)
            if not telling and not found:
                found = self._best(rest, limit=len(ids), only=only)
            known = [(name, number) for name, number in numbers if number in found]
            return [(name, round(found[number], DIGITS)) for name, number in known]

    def known(self, ids: Sequence[str]) -> set[str]:
        """Return those of these records whose words are indexed."""
        with self._file.guarded(), self._file.snapshot():
            self._look()
            return {name for name, _ in self._numbers_of(ids)}

    def ceiling(self, text: str) -> float:
        """Return the BM25 of a record that is full of all words of ``text``; 0 without words."""
        with self._file.guarded(), self._file.snapshot():
            self._look()
            records = self._count_seen(None)
            words = [(word, self._count_seen(word)) for word in match_words(text)]
        return score_of_all(words, records)

    def wake(self) -> bool:
        """Have the collection looked at before the next question; return whether that rested."""
        return self._memory.wake(time.monotonic())

    def _look(self) -> None:
        """Learn which records may be seen."""
        self._of_file = self._file.state("file")
        self._touched = self._file.state("touched") or 0
        reader = self._of_file + self._rights_name
        seen = self._memory.seen_by(reader)
        records = bytearray(seen.records)
        found = self._file.database.execute(
            "SELECT number, id, readers, first, last FROM documents WHERE number > ? "
            "ORDER BY number",
            (seen.upto,),
        ).fetchall()
        answers: dict[str, tuple[bool, str | None]] = {}
        doubted = self._rights.doubted.documents
        for number, document_id, readers, first, last in found:
            if readers not in answers:
                told = json.loads(readers)
                answers[readers] = (self._rights.allow_record(told), told.get(SOURCE))
            may, source_id = answers[readers]
            if not may or (source_id, document_id) in doubted:
                continue
            spans = [(first, last)]
            if first is None:
                query = "SELECT number, number FROM records WHERE document = ?"
                spans = self._file.database.execute(query, (number,)).fetchall()
            for begin, end in spans:
                records += bytes(max(0, end + 1 - len(records)))
                records[begin : end + 1] = MAY * (end + 1 - begin)
        self._seen = bytes(records) if found else seen.records
        upto = found[-1][0] if found else seen.upto
        self._memory.keep_seen(reader, Seen(upto, self._seen))

    def _terms(self, text: str) -> tuple[list[Term], list[Term]]:
        """Return what is asked for, rarest first: what tells records apart, and what most have."""
        telling: list[Term] = []
        rest: list[Term] = []
        for word in match_words(text):
            number = self._count_seen(word)
            if not number:
                continue
            rarity = idf(self._count_seen(None), number)
            factor = rarity / idf(self._count(None), self._count(word))
            (telling if rarity > LEAST_IDF else rest).append(Term(word, rarity, factor, number))
        return sorted(telling, key=lambda term: -term.rarity), rest

    def _best_with_pieces(
        self, text: str, words: Sequence[Term], *, limit: int, only: Collection[int] | None
    ) -> dict[int, float]:
        """Return the best records by words, and by the pieces of the question's words."""
        pieces = self._pieces_of(text)
        if pieces is None:
            return self._best(words, limit=limit, only=only)
        if only is not None:
            return _best_of(self._totals(words, only), pieces, only, limit=limit)
        best = best_by_both(
            lambda depth: [*self._best(words, limit=depth, only=None).items()],
            pieces,
            lambda numbers, _: self._totals(words, numbers),
            limit=limit,
        )
        return dict(best[:limit])

    def _pieces_of(self, text: str) -> PieceScores | None:
        """Return what the pieces of a question count; None: no record has one, or none is asked."""
        words, weight = asked_by_pieces(text)
        asked = Voters(
            database=self._file.database,
            memory=self._memory,
            name=f"{self._of_file}\n{self._rights_name}",
            touched=self._touched,
            records=self._count_seen(None),
            seen=self._seen,
            count=self._count_seen,
        )
        if not words or not asked.are_asked(voters(text)):
            return None
        return piece_scores(self._file.database, words, weight, seen=self._seen)

    def _best(
        self, terms: Sequence[Term], *, limit: int, only: Collection[int] | None
    ) -> dict[int, float]:
        """Return the best records by these terms, best first, equal ones by their numbers.

        Once one of the terms that are left lifts no record to the last of the best, of records that
        have none of the terms before those are looked for that have several; once all of them do
        not, none. Nor are those that stay behind whatever they have.
        """
        whole = self._totals(terms, only if only is not None else self._with_half(terms, limit))
        totals: dict[int, float] = {}
        before: dict[int, float] = {}  # what FTS5 scores them so far
        open_to_all = True
        for place, term in enumerate(terms if only is None else ()):
            scores = [*whole.values(), *totals.values()]
            left = most_of(terms[place:])
            if len(scores) >= limit:
                reached = heapq.nlargest(limit, scores)[-1] - _LESS
                if open_to_all:
                    several = self._with_several(terms[place:], reached)
                    open_to_all = several is None
                    totals |= {one: 0.0 for one in several or () if one not in totals}
                if left < reached or not open_to_all:
                    open_to_all = False
                    totals = {one: n for one, n in totals.items() if n + left >= reached}
                    if not totals:
                        break
            if open_to_all:
                found = self._asked(_ALL, term.expression)
            else:
                found = self._scored(
                    terms[: place + 1], {one: before.get(one, 0.0) for one in totals}
                )
            for number, score in found:
                if number not in whole:
                    totals[number] = totals.get(number, 0.0) + term.factor * score
                    before[number] = before.get(number, 0.0) + score
        ordered = sorted((whole | totals).items(), key=lambda one: (-round(one[1], DIGITS), one[0]))
        return dict(ordered[:limit])

    def _with_half(self, terms: Sequence[Term], limit: int) -> Collection[int]:
        """Return records with half of the terms, where none is rare: no term alone reaches them."""
        if len(terms) < 2 or terms[0].number < FEW:
            return ()
        query = f"{_ALL} ORDER BY rank LIMIT {max(limit, NEAR_BEST)}"
        found: list[int] = []
        for groups in halves_of(len(terms)):
            together = apart([[terms[place].expression for place in group] for group in groups])
            found = [number for number, _ in self._asked(query, together)]
            if len(found) >= limit:
                break
        return found

    def _totals(self, terms: Sequence[Term], only: Collection[int]) -> dict[int, float]:
        """Return those of these records that have any of the terms, with what these count."""
        totals: dict[int, float] = {}
        for term in terms if only else ():
            for number, score in self._scored([term], dict.fromkeys(only, 0.0)):
                totals[number] = totals.get(number, 0.0) + term.factor * score
        return totals

    def _with_several(self, terms: Sequence[Term], reached: float) -> set[int] | None:
        """Return records of which several of these terms may lift them so far; None: one may.

        What FTS5 scores a record by several terms, times what the terms count here at most for
        what they count there, is no less than what they count here.

        Args:
            terms: rarest first.
            reached: score of the last of the best.
        """
        if most_of(terms[:1]) >= reached:
            return None
        found: set[int] = set()
        for first in range(len(terms) - 1):  # the rarest that a record has of them
            if most_of(terms[first:]) < reached:
                break
            least, strong = those_it_takes(terms[first:], reached, most=most_of)
            factor = max(term.factor for term in strong)
            if factor > APART:
                return None
            if least == 1:
                together, above = apart([[one.expression for one in strong]]), reached / factor
                rows = self._asked(_ABOVE, together, least=above - _LESS)
                return found | {number for number, _ in rows}
            end = beside(strong, reached - most_of(terms[first + len(strong) :]))
            rest = most_of(terms[first + end :])
            behind = [term.expression for term in strong[1:end]]
            ways = (
                groupings(len(behind), least - 1) if end == len(strong) else [[[*range(end - 1)]]]
            )
            asked = [[[behind[n] for n in group] for group in groups if group] for groups in ways]
            if 1 < end < len(strong):
                asked.append([])  # what those behind lift alone has the first one often
            for groups in asked:
                together = apart([[strong[0].expression], *groups])
                above = (reached - rest) / factor - _LESS
                rows = self._asked(_ABOVE, together, least=above)
                found.update(number for number, _ in rows)
        return found

    def _scored(
        self, terms: Sequence[Term], known: Mapping[int, float]
    ) -> Iterable[tuple[int, float]]:
        """Return those of some records that have the last of some terms, with what FTS5 scores it.

        Where all of them have any of few others, these lead to them: what FTS5 scores all terms
        together is what it scored the others, and the last one.

        Args:
            terms: the last one is asked for; the others were, of all these records.
            known: the records, with what FTS5 scores the others.
        """
        *others, term = terms
        only = bytearray(max(known, default=0) + 1)
        for number in known:
            only[number] = 1
        few = LEADING * sum(one.number for one in others) < term.number
        if few and others and all(known.values()):
            asked = f"({' OR '.join(one.expression for one in others)}) AND {term.expression}"
            found = self._asked(_SOME, asked, only=only)
            return [(number, score - known[number]) for number, score in found]
        return self._asked(_SOME, term.expression, only=only)

    def _asked(
        self, query: str, expression: str, **values: float | bytearray
    ) -> list[tuple[Any, ...]]:
        named = {"asked": expression, "bm25": self._bm25, "seen": self._seen, **values}
        return self._file.database.execute(query, named).fetchall()

    def _numbers_of(self, ids: Sequence[str]) -> list[tuple[str, int]]:
        """Return those of these records that are indexed and may be seen."""
        found = numbers_of(self._file.database, ids)
        return [(name, number) for name, number in found if self._seen[number : number + 1] == MAY]

    def _id_of(self, number: int) -> str:
        found = self._file.database.execute("SELECT id FROM records WHERE number = ?", (number,))
        return found.fetchone()[0]

    def _count_seen(self, expression: str | None) -> int:
        """Return how many records have a term, of those that may be seen; None: how many there are.

        What is remembered may be of before, as for readers of everything.
        """
        name = "\n".join((self._of_file, self._rights_name, expression or ""))
        known = self._memory.count_of(name, self._touched)
        if known is None:
            looked_at, known = self._count_both(expression)
            self._memory.keep_count(name, known, self._touched, looked_at=looked_at)
        return known

    def _count(self, expression: str | None) -> int:
        """Return how many records of all have a term, as FTS5 counts them at this very moment."""
        name = self._of_all(expression)
        known = self._memory.count_of(name, self._touched)
        if known is None:
            query = _RECORDS if expression is None else _COUNT
            known = int(self._file.database.execute(query, {"asked": expression}).fetchone()[0])
            self._memory.keep_count(name, known, self._touched)
        return known

    def _count_both(self, expression: str | None) -> tuple[int, int]:
        """Return how many records have a term, and how many of them may be seen, by one look."""
        query = _RECORDS_BOTH if expression is None else _COUNT_BOTH
        values = {"asked": expression, "seen": self._seen}
        every, seen = self._file.database.execute(query, values).fetchone()
        self._memory.keep_count(self._of_all(expression), every, self._touched)
        return every, seen

    def _of_all(self, expression: str | None) -> str:
        return "\n".join((self._of_file, str(self._touched), expression or ""))


def _best_of(
    scores: Mapping[int, float], pieces: PieceScores, only: Collection[int], *, limit: int
) -> dict[int, float]:
    """Return the best of some records, with what words and pieces count."""
    both = {one: scores.get(one, 0.0) + pieces.of(one) for one in only}
    ordered = sorted(both.items(), key=lambda one: (-round(one[1], DIGITS), one[0]))
    return {number: score for number, score in ordered[:limit] if score}
