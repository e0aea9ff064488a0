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
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from s3sync_dagster.core.rights import SOURCE
from s3sync_dagster.ports.word_forms import match_pieces, match_words
from s3sync_dagster.ports.word_memory import Seen
from s3sync_dagster.ports.word_ranking import DIGITS, K1, LEAST_IDF, idf
from s3sync_dagster.ports.word_records import numbers_of

if TYPE_CHECKING:
    from s3sync_dagster.core.rights import Rights
    from s3sync_dagster.engine.hybrid import Scored
    from s3sync_dagster.ports.word_file import WordFile
    from s3sync_dagster.ports.word_memory import WordMemory

_LESS = 10.0**-DIGITS
APART = 3.0
"""Times that a word may count here what it counts in FTS5, before that says too little of it."""
_COUNT = "SELECT count(*) FROM words WHERE words MATCH :asked"
_SEEN = "substr(:seen, records.document + 1, 1) = x'01'"
"""A byte a document: half of what a function of Python's costs for each record."""
_COUNT_SEEN = f"""
SELECT count(*) FROM words CROSS JOIN records ON records.number = words.rowid
WHERE words MATCH :asked AND {_SEEN}
"""
_RECORDS = "SELECT count(*) FROM words_docsize"
_RECORDS_SEEN = f"""
SELECT count(*) FROM words_docsize CROSS JOIN records ON records.number = words_docsize.id
WHERE {_SEEN}
"""
_ALL = f"""
SELECT words.rowid, -rank FROM words CROSS JOIN records ON records.number = words.rowid
WHERE words MATCH :asked AND rank MATCH :bm25 AND {_SEEN}
"""
_ABOVE = f"{_ALL} AND -rank >= :least"
_SOME = """
SELECT rowid, -rank FROM words WHERE words MATCH :asked AND rank MATCH :bm25
AND +rowid IN (SELECT value FROM json_each(:only))
"""
"""The ``+`` keeps SQLite from asking FTS5 for one record after the other."""


@dataclass(frozen=True, slots=True)
class _Term:
    table: str
    expression: str
    rarity: float
    """Among the records that may be seen, times the weight of the term."""
    common: float
    """What FTS5 weighs it by."""


class ReaderWords:
    """A ``WordIndex`` of the records that a reader may see; one thread per object."""

    def __init__(self, file: WordFile, memory: WordMemory, rights: Rights, *, bm25: str) -> None:
        self._file = file
        self._memory = memory
        self._rights = rights
        self._bm25 = {"words": bm25, "pieces": "bm25()"}
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
            found = self._best(telling, limit=limit, only=only)
            if len(found) < limit:
                scores = self._best(rest, limit=limit + len(found), only=only)
                found |= {number: score for number, score in scores.items() if number not in found}
            return [(self._id_of(number), score) for number, score in found.items()][:limit]

    def scores(self, text: str, ids: Sequence[str]) -> list[Scored]:
        """Return those of these records that have words of ``text``, with their BM25."""
        with self._file.guarded(), self._file.snapshot():
            self._look()
            numbers = self._numbers_of(ids)
            telling, rest = self._terms(text)
            found = self._best(telling or rest, limit=len(ids), only=[one for _, one in numbers])
            return [(name, found[number]) for name, number in numbers if number in found]

    def known(self, ids: Sequence[str]) -> set[str]:
        """Return those of these records whose words are indexed."""
        with self._file.guarded(), self._file.snapshot():
            self._look()
            return {name for name, _ in self._numbers_of(ids)}

    def ceiling(self, text: str) -> float:
        """Return the BM25 of a record that is full of all words of ``text``; 0 without words."""
        with self._file.guarded(), self._file.snapshot():
            self._look()
            records = self._count_seen("words", None)
            counts = [self._count_seen("words", word) for word in match_words(text)]
        return sum((K1 + 1) * idf(records, number) for number in counts)

    def wake(self) -> bool:
        """Have the collection looked at before the next question; return whether that rested."""
        return self._memory.wake(time.monotonic())

    def _look(self) -> None:
        """Learn which documents may be seen."""
        self._of_file = self._file.state("file")
        self._touched = self._file.state("touched") or 0
        reader = self._of_file + self._rights_name
        seen = self._memory.seen_by(reader)
        upto, told_of = seen.upto, bytearray(seen.documents)
        found = self._file.database.execute(
            "SELECT number, id, readers FROM documents WHERE number > ? ORDER BY number",
            (upto,),
        ).fetchall()
        answers: dict[str, tuple[bool, str | None]] = {}
        doubted = self._rights.doubted.documents
        for number, document_id, readers in found:
            if readers not in answers:
                told = json.loads(readers)
                answers[readers] = (self._rights.allow_record(told), told.get(SOURCE))
            may, source_id = answers[readers]
            may = may and (source_id, document_id) not in doubted
            told_of += bytes(number - len(told_of)) + bytes([may])
            upto = number
        self._seen = bytes(told_of) if found else seen.documents
        self._memory.keep_seen(reader, Seen(upto, self._seen))

    def _terms(self, text: str) -> tuple[list[_Term], list[_Term]]:
        """Return what is asked for, rarest first: what tells records apart, and what most have."""
        pieces, weight = match_pieces(text)
        asked = [("words", word, 1.0) for word in match_words(text)]
        asked += [("pieces", piece, weight) for piece in pieces]
        telling: list[_Term] = []
        rest: list[_Term] = []
        for table, expression, weight in asked:
            number = self._count_seen(table, expression)
            if not number:
                continue
            rarity = idf(self._count_seen(table, None), number)
            common = idf(self._count(table, None), self._count(table, expression))
            term = _Term(table, expression, weight * rarity, common)
            (telling if rarity > LEAST_IDF else rest).append(term)
        return sorted(telling, key=lambda term: -term.rarity), rest

    def _best(
        self, terms: Sequence[_Term], *, limit: int, only: Collection[int] | None
    ) -> dict[int, float]:
        """Return the best records by these terms, best first, equal ones by their numbers.

        Once one of the terms that are left lifts no record to the last of the best, of records that
        have none of the terms before those are looked for that have several; once all of them do
        not, none. Nor are those that stay behind whatever they have.
        """
        totals: dict[int, float] = {}
        left = sum((K1 + 1) * term.rarity for term in terms)
        open_to_all = True
        for place, term in enumerate(terms):
            if totals and len(totals) >= limit:
                reached = heapq.nlargest(limit, totals.values())[-1] - _LESS
                if open_to_all and only is None:
                    several = self._with_several(terms[place:], reached)
                    open_to_all = several is None
                    totals |= {one: 0.0 for one in several or () if one not in totals}
                if left < reached or not open_to_all:
                    open_to_all = False
                    totals = {one: n for one, n in totals.items() if n + left >= reached}
            for number, score in self._scored(term, only if open_to_all else totals):
                totals[number] = totals.get(number, 0.0) + score
            left -= (K1 + 1) * term.rarity
        rounded = ((number, round(score, DIGITS)) for number, score in totals.items())
        return dict(sorted(rounded, key=lambda item: (-item[1], item[0]))[:limit])

    def _with_several(self, terms: Sequence[_Term], reached: float) -> set[int] | None:
        """Return records of which several of these terms may lift them so far; None: one may.

        What FTS5 scores a record by several terms, times what the terms count here at most for
        what they count there, is no less than what they count here.

        Args:
            terms: rarest first.
            reached: score of the last of the best.
        """
        most = [(K1 + 1) * term.rarity for term in terms]
        if most[0] >= reached or len({term.table for term in terms}) > 1:
            return None
        found: set[int] = set()
        for first in range(len(terms) - 1):  # the rarest that a record has of them
            if sum(most[first:]) < reached:
                break
            end = len(terms)
            while end > first + 2 and most[first] + sum(most[end - 1 :]) < reached:
                end -= 1  # it and those behind it are too little beside the rarest
            strong = terms[first:end]
            factor = max(term.rarity / term.common for term in strong)
            if factor > APART:
                return None
            others = " OR ".join(term.expression for term in strong[1:])
            asked = f"{strong[0].expression} AND ({others})"
            least = (reached - sum(most[end:])) / factor - _LESS
            found.update(one for one, _ in self._asked(_ABOVE, terms[0].table, asked, least=least))
        return found

    def _scored(self, term: _Term, only: Collection[int] | None) -> Iterable[tuple[int, float]]:
        """Return records that have a term, with what it counts in them."""
        if only is None:
            found = self._asked(_ALL, term.table, term.expression)
        else:
            known = json.dumps(list(only))
            found = self._asked(_SOME, term.table, term.expression, only=known)
        factor = term.rarity / term.common
        return [(number, factor * score) for number, score in found]

    def _asked(
        self, query: str, table: str, expression: str, **values: float | str
    ) -> list[tuple[int, float]]:
        named = {"asked": expression, "bm25": self._bm25[table], "seen": self._seen, **values}
        return self._file.database.execute(_of(query, table), named).fetchall()

    def _numbers_of(self, ids: Sequence[str]) -> list[tuple[str, int]]:
        """Return those of these records that are indexed and may be seen."""
        found = numbers_of(self._file.database, ids)
        query = "SELECT number FROM records WHERE number IN (SELECT value FROM json_each(:some)) "
        some = json.dumps([number for _, number in found])
        seen = self._file.database.execute(
            f"{query} AND {_SEEN}", {"some": some, "seen": self._seen}
        )
        numbers = {number for (number,) in seen}
        return [(name, number) for name, number in found if number in numbers]

    def _id_of(self, number: int) -> str:
        found = self._file.database.execute("SELECT id FROM records WHERE number = ?", (number,))
        return found.fetchone()[0]

    def _count_seen(self, table: str, expression: str | None) -> int:
        """Return how many records have a term, of those that may be seen; None: how many there are.

        What is remembered may be of before, as for readers of everything.
        """
        name = "\n".join((self._of_file, self._rights_name, table, expression or ""))
        query = _RECORDS_SEEN if expression is None else _COUNT_SEEN
        known = self._memory.count_of(name, self._touched)
        if known is None:
            known = self._number(_of(query, table), expression)
            looked_at = self._count(table, expression)
            self._memory.keep_count(name, known, self._touched, looked_at=looked_at)
        return known

    def _count(self, table: str, expression: str | None) -> int:
        """Return how many records of all have a term, as FTS5 counts them at this very moment."""
        name = "\n".join((self._of_file, str(self._touched), table, expression or ""))
        query = _RECORDS if expression is None else _COUNT
        known = self._memory.count_of(name, self._touched)
        if known is None:
            known = self._number(_of(query, table), expression)
            self._memory.keep_count(name, known, self._touched)
        return known

    def _number(self, query: str, expression: str | None) -> int:
        values = {"asked": expression, "seen": self._seen}
        return int(self._file.database.execute(query, values).fetchone()[0])


def _of(query: str, table: str) -> str:
    return query.replace("words", table)
