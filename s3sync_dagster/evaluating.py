"""Questions with known answers: does a search of this collection find them?"""

import csv
import hashlib
import io
import json
import re
import statistics
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from s3sync_dagster.engine.hybrid import Ranking, Searcher, fetch_hits
from s3sync_dagster.engine.ports import RecordReader
from s3sync_dagster.model.document import Hit
from s3sync_dagster.model.errors import InvalidSetting

RANKINGS: tuple[Ranking, ...] = ("dense", "words", "hybrid")
REACH = 50
"""Hits that are looked at: what stands there and not among the first was in reach, and lost."""
MAX_BYTES = 16 * 1024**2
"""Of a file with questions."""
_FIELDS = ("question", "key", "excerpt")
_SHOWN = 100
"""Characters of a name that is not known, which people are shown."""
_READ = 200
"""Records whose texts are read at once."""
_EXCERPT_CHARACTERS = 200
_HALF_CHARACTERS = 20
"""Half of an excerpt that is cut in two chunks tells where it stands from that length on."""
_TELLING = re.compile(r"\w.*\w.*\w.*\w.*\w.*\w.*\w.*\w.*\w.*\w.*\w.*\w")
"""A line that is no rule, number or bullet alone: an excerpt to know a chunk by."""
_GENERAL = frozenset(("contents", "examples", "introduction", "notes", "overview", "references"))
_ASKED_FROM = frozenset(("heading_path", "symbol", "language"))
"""Metadata of a chunk with something to ask from."""
_HEADING = re.compile(r"^#{1,6}[ \t]+(\S.*?)[ \t#]*$", re.MULTILINE)
_DOC = re.compile(
    r"[ \t\r*]*\n?[ \t]*(?:\*[ \t]+)?([^\s*](?:(?!\n[ \t\r*]*(?:\n|@)).){24,}?)"
    r"(?:\.\s|\n[ \t\r*]*(?:\n|@)|\s*\Z)",
    re.DOTALL,
)
"""The first sentence or paragraph of what stands in a docstring, or a comment that documents."""
_COMMENT = re.compile(r'""".*?(?:"""|\Z)|/\*.*?(?:\*/|\Z)', re.DOTALL)
_DOCSTRING = re.compile(
    r'(?:\A(?:[ \t\r]*(?:#[^\n]*)?\n)*|:[ \t\r]*(?:#[^\n]*)?\n|@\w+)[ \t]*[rRuU]?"""(.*?)(?:"""|\Z)'
    r"|/\*\*(?!/)(.*?)(?:\*/|\Z)",
    re.DOTALL,
)
"""Docstrings stand at the beginning, behind a line that ends with a colon, or behind ``@doc``: any
other triple quote begins a text of the program, or ends a docstring that began elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question and what a hit has to be to answer it: all that is given has to hold."""

    question: str
    key: str | None = None
    """Object key, or its end behind a slash."""
    excerpt: str | None = None
    """Text of which the hit holds all, but for blanks; of a longer one a half is enough."""

    def answered_by(self, hit: Hit) -> bool:
        """Tell whether a hit, or another place of its text, is right."""
        return any(self._is(one) for one in (hit, *hit.copies))

    def names(self, key: str) -> bool:
        """Tell whether an object of that key may hold the answer."""
        return self.key is None or f"/{key}".endswith(f"/{self.key}")

    def _is(self, hit: Hit) -> bool:
        if not self.names(str(hit.metadata.get("document_key", hit.id))):
            return False
        if self.excerpt is None:
            return True
        return _holds(_one_line(hit.document), _one_line(self.excerpt))


@dataclass(frozen=True, slots=True)
class Measured:
    """At which rank each question's first right hit stands, by one ranking."""

    ranking: str
    """One of ``RANKINGS``, or ``reranked``: hybrid, ordered anew by the reranker."""
    ranks: tuple[int | None, ...]
    """From 1; None: not among the first ``REACH``."""

    def recall(self, k: int) -> float:
        """Return the share of questions answered among the first ``k``, 0 to 1."""
        return statistics.mean(rank is not None and rank <= k for rank in self.ranks)

    def mrr(self) -> float:
        """Return the mean reciprocal rank, 0 to 1."""
        return statistics.mean(1 / rank if rank else 0.0 for rank in self.ranks)

    def scores(self, k: int) -> dict[str, float]:
        """Return all figures by their names."""
        return {
            "recall_at_1": self.recall(1),
            "recall_at_k": self.recall(k),
            "in_reach": self.recall(REACH),
            "mrr": self.mrr(),
        }


def measure(searcher: Searcher, questions: Sequence[Question]) -> list[Measured]:
    """Return the ranks by each ranking, and reranked ones where there is a reranker.

    ``questions`` is not empty.
    """
    plain = replace(searcher, reranker=None)
    ways: list[tuple[str, Searcher, Ranking]] = [(name, plain, name) for name in RANKINGS]
    if searcher.reranker is not None:
        ways.append(("reranked", searcher, "hybrid"))
    measured: list[Measured] = []
    for name, asked, ranking in ways:
        ranks: list[int | None] = []
        for question in questions:
            hits = asked.search(question.question, ranking=ranking, limit=REACH)
            places = (place for place, hit in enumerate(hits, 1) if question.answered_by(hit))
            ranks.append(next(places, None))
        measured.append(Measured(name, tuple(ranks)))
    return measured


def unknown_keys(
    collection: RecordReader, questions: Sequence[Question], measured: Sequence[Measured]
) -> list[str]:
    """Return keys of questions that no record of the collection has: nothing can answer those.

    Only where a question was answered by no ranking are the records looked at, each once.
    """
    wanted = {
        question.key
        for place, question in enumerate(questions)
        if question.key is not None and not any(one.ranks[place] for one in measured)
    }
    if wanted:
        for page in collection.scan():
            for record in page:
                parts = f"/{record.metadata.get('document_key', record.id)}".split("/")
                wanted.difference_update("/".join(parts[n:]) for n in range(1, len(parts)))
    return sorted(wanted)


def unknown_excerpts(
    collection: RecordReader,
    questions: Sequence[Question],
    measured: Sequence[Measured],
    *,
    keys: Collection[str],
) -> list[str]:
    """Return excerpts of questions that no record holds: nothing can answer those.

    Only where a question was answered by no ranking are texts read, each once, of the records that
    its key allows.

    Args:
        collection: that was asked.
        questions: which were asked.
        measured: what became of them.
        keys: that no record has, which says enough of their questions.
    """
    wanted = [
        (question, question.excerpt, _one_line(question.excerpt))
        for place, question in enumerate(questions)
        if question.excerpt is not None
        and question.key not in keys
        and not any(one.ranks[place] for one in measured)
    ]
    for page in collection.scan() if wanted else ():
        named = {one.id: str(one.metadata.get("document_key", one.id)) for one in page}
        ids = [name for name, key in named.items() if any(one[0].names(key) for one in wanted)]
        for start in range(0, len(ids), _READ):
            found = fetch_hits(collection, ids[start : start + _READ])
            texts = [(named[name], _one_line(hit.document)) for name, hit in found.items()]
            wanted = [
                (question, excerpt, told)
                for question, excerpt, told in wanted
                if not any(question.names(key) and _holds(text, told) for key, text in texts)
            ]
        if not wanted:
            break
    return sorted({excerpt for _, excerpt, _ in wanted})


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _holds(text: str, excerpt: str) -> bool:
    """Tell whether a text has an excerpt or, of a longer one, a half; both are one line."""
    middle = len(excerpt) // 2
    if middle < _HALF_CHARACTERS:  # as much of many another text
        return excerpt in text
    return excerpt[:middle] in text or excerpt[middle:] in text


def read_questions(path: Path) -> list[Question]:
    """Read questions: a JSON object a line, or CSV with a header of the same names.

    Raises:
        InvalidSetting: the file cannot be read, holds no question, or one without an answer.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InvalidSetting(f"{path} is larger than {MAX_BYTES:,} bytes.")
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise InvalidSetting(f"{path} cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise InvalidSetting(f"{path} cannot be read as UTF-8 text.") from None
    rows = _csv_rows(text, path) if path.suffix.lower() == ".csv" else _json_rows(text, path)
    questions = [_question(row, f"{path}, line {line}") for line, row in rows]
    if not questions:
        raise InvalidSetting(f"{path} holds no question.")
    return questions


def _csv_rows(text: str, path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        for row in reader:
            if None in row:
                raise InvalidSetting(
                    f"{path}, line {reader.line_num} has more columns than the first line names: "
                    "put what has a comma in double quotes."
                )
            yield reader.line_num, {key: value or None for key, value in row.items() if key}
    except csv.Error:  # such as a field without an end
        raise InvalidSetting(f"{path}, line {reader.line_num} is no CSV.") from None


def _json_rows(text: str, path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise InvalidSetting(
                f'{path}, line {number} is no JSON object such as {{"question": "...", '
                '"key": "docs/a.md"}.'
            )
        yield number, row


def _question(row: Mapping[str, Any], where: str) -> Question:
    unknown = next((name for name in row if name not in _FIELDS), None)
    if unknown is not None:  # misspelt, it would ask for less, and the figures would be better
        raise InvalidSetting(f"{where}: {unknown[:_SHOWN]!r} is none of {', '.join(_FIELDS)}.")
    values: dict[str, str] = {}
    for name in _FIELDS:
        value = row.get(name)
        if value is None:
            continue
        if not isinstance(value, str) or not value.strip():
            raise InvalidSetting(f"{where}: {name!r} is no text.")
        if any("\ud800" <= one <= "\udfff" for one in value):
            raise InvalidSetting(f"{where}: {name!r} holds half of a surrogate pair.")
        values[name] = value
    if "key" in values:  # as a shell completes it
        values["key"] = re.sub(r"\A(?:\.?/+)+", "", values["key"]) or values["key"]
    if "question" not in values or len(values) == 1:
        raise InvalidSetting(f"{where} needs 'question', and 'key' or 'excerpt'.")
    return Question(**values)


def propose(collection: RecordReader, count: int) -> list[Question]:
    """Return up to ``count`` questions made from headings and docstrings, spread over all chunks.

    The same collection gives the same questions.
    """
    candidates: list[tuple[bytes, str]] = []
    for page in collection.scan():
        for record in page:
            if _ASKED_FROM & record.metadata.keys():
                candidates.append((hashlib.sha256(record.id.encode()).digest(), record.id))
    candidates.sort()
    found: dict[str, Question] = {}
    for start in range(0, len(candidates), _READ):
        ids = [name for _, name in candidates[start : start + _READ]]
        hits = fetch_hits(collection, ids)
        for name in ids:
            question = _proposed(hits[name]) if name in hits else None
            if question is not None:
                found.setdefault(question.question, question)
            if len(found) == count:
                return list(found.values())
    return list(found.values())


def _proposed(hit: Hit) -> Question | None:
    """Return a question that this chunk answers, without the words that ask it in the excerpt."""
    key = hit.metadata.get("document_key")
    key = key if isinstance(key, str) else None
    headings = hit.metadata.get("heading_path")
    steps = headings.split(" > ") if isinstance(headings, str) else []
    if not steps and hit.metadata.get("language") == "markdown":
        steps = _HEADING.findall(hit.document)[:2]  # a document of one chunk
    if steps:
        lines = [line.strip() for line in hit.document.splitlines()]
        body = [line for line in lines if line.strip("#=*_ ") not in steps]
        body = [line for line in body if _TELLING.search(line)]
        if steps[-1].lower() in _GENERAL or len(steps[-1]) < 4 or not body:
            return None
        words = ": ".join(steps[-2:])
        return Question(question=words, key=key, excerpt=body[0][:_EXCERPT_CHARACTERS])
    told = (_DOC.match(one[1] or one[2] or "") for one in _DOCSTRING.finditer(hit.document))
    documented = next((one[1] for one in told if one is not None), None)
    if documented is None:
        return None
    code = [line.strip() for line in _COMMENT.sub("\n", hit.document).splitlines() if line.strip()]
    if not code:
        return None
    words = " ".join(documented.replace("*", " ").split())
    return Question(question=words, key=key, excerpt=max(code, key=len)[:_EXCERPT_CHARACTERS])
