"""Words of PDFs beside those that ``pdftotext`` finds, of at most 30 pages a file.

A running head is said once by the product, and a page's number not at all: that is decided, and no
loss. Nor is a word lost that one of both writes with blanks in it (``D iscovery``) or without those
around it. So words are counted as they are, with such lines once, with such words found, and the
different ones alone. Which of both is right is not asked: what the product parts is found too.
"""

import shutil
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from benchmarks.extraction.foreign.cases import Case, find_files
from benchmarks.extraction.foreign.pdf_truths import MAX_PAGES, pages_of
from s3sync_dagster.extraction.words import in_order, word_recall, words_of

_MIN_WORDS = 50
"""Of a file; scans have no text layer to compare with, and of a drawing one label is a tenth."""
_TATWEEL = {0x640: None}
"""Draws Arabic words out, and no search asks for it."""
_EDGE_LINES = 3
"""Above and below on a page, in which running heads stand."""
_MIN_PAGES = 3
"""On which the same words make one."""
_MIN_LETTERS = 3
"""Of a word that may stand in the other text with blanks in it, or without those around it."""
_MAX_PARTS = 12
"""Of a word that is written apart."""
_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Recall:
    """What the product has of the words of one file, 0 to 1."""

    every: float
    heads_once: float
    """Of all but the repetitions of running heads, and page numbers."""
    spaced: float
    """Of the same, where a word may be written apart, or words together."""
    different: float
    """Of the different words; what is written together or apart is found."""


def pdfs_below(folder: Path) -> list[Case]:
    """Return the different PDFs, each cut to the pages that are compared."""
    found: dict[bytes, Case] = {}
    for case in find_files(folder):
        if case.group == "pdf":
            found.setdefault(case.content, case)
    return [replace(case, content=_cut(case.content)) for case in found.values()]


def _cut(content: bytes) -> bytes:
    import pypdfium2

    try:
        pdf = pypdfium2.PdfDocument(content)
        return content if len(pdf) <= MAX_PAGES else pages_of(pdf, list(range(MAX_PAGES)))
    except pypdfium2.PdfiumError:
        return content


def pdftotext(content: bytes) -> list[str]:
    """Return the text of each page, nothing of a file that is not read."""
    program = shutil.which("pdftotext")
    if program is None:
        raise SystemExit("There is no pdftotext to compare with: install poppler-utils.")
    done = subprocess.run(
        [program, "-enc", "UTF-8", "-l", str(MAX_PAGES), "-", "-"],
        input=content,
        capture_output=True,
        check=False,
        timeout=_SECONDS,
    )
    return done.stdout.decode("utf-8", "replace").split("\f") if done.returncode == 0 else []


def recall_of(pages: Sequence[str], text: str) -> Recall | None:
    """Return how much of the pages' words a text has, None where they have hardly a word."""
    text = text.translate(_TATWEEL)
    pages = [page.translate(_TATWEEL) for page in pages]
    whole = "\n".join(pages)
    wanted = words_of(whole)
    if wanted.total() < _MIN_WORDS:
        return None
    found = words_of(text)
    letters = in_order(text).replace(" ", "")
    there = [word in found or (len(word) >= _MIN_LETTERS and word in letters) for word in wanted]
    said_once = "\n".join(_with_heads_once(pages))
    return Recall(
        every=word_recall(whole, text),
        heads_once=word_recall(said_once, text),
        spaced=spaced_recall(said_once, text),
        different=sum(there) / len(there),
    )


def spaced_recall(wanted: str, found: str) -> float:
    """Return the share of words that a text has as often, also written apart or together.

    Words in a row are one where the other text has it once more than can be explained otherwise;
    each of its words proves one alone.
    """
    one, other = in_order(wanted).split(), in_order(found).split()
    lost, more = Counter(one) - Counter(other), Counter(other) - Counter(one)
    for words, apart, together in ((one, lost, more), (other, more, lost)):
        place = 0
        while place < len(words):
            place += _take_joined(words[place : place + _MAX_PARTS], apart, together)
    return 1.0 - lost.total() / len(one) if one else 1.0


def _take_joined(words: Sequence[str], apart: Counter[str], together: Counter[str]) -> int:
    """Take the first words that are one word of the other text out of both; return how many."""
    parts: Counter[str] = Counter()
    for count, word in enumerate(words, start=1):
        parts[word] += 1
        if parts[word] > apart[word]:
            break
        whole = "".join(words[:count])
        if count > 1 and together[whole] > 0:
            apart.subtract(parts)
            together[whole] -= 1
            return count
    return 1


def _with_heads_once(pages: Sequence[str]) -> Iterable[str]:
    """Yield the pages' lines without repetitions of running heads and without page numbers."""
    lines = [[line for line in page.splitlines() if line.strip()] for page in pages]
    on: dict[str, set[int]] = defaultdict(set)
    for page, found in enumerate(lines):
        for line in (*found[:_EDGE_LINES], *found[-_EDGE_LINES:]):
            on[_words_alone(line)].add(page)
    said: set[str] = set()
    for found in lines:
        for place, line in enumerate(found):
            words = _words_alone(line)
            is_edge = place < _EDGE_LINES or place >= len(found) - _EDGE_LINES
            if is_edge and len(on[words]) >= _MIN_PAGES:
                if not words or words in said:
                    continue
                said.add(words)
            yield line


def _words_alone(line: str) -> str:
    return " ".join(word for word in in_order(line).split() if not word.isdigit())


def print_recalls(found: Sequence[tuple[Case, Recall]], *, worst: int = 0) -> None:
    """Print median and tenth percentile of each way to count, and the files with least."""
    for name in ("every", "heads_once", "spaced", "different"):
        ranked = sorted(getattr(recall, name) for _, recall in found)
        tenth = ranked[len(ranked) // 10]
        print(f"{name:10} {len(ranked)} files, median {median(ranked):.3f}, tenth {tenth:.3f}")
        least = sorted(found, key=lambda one: getattr(one[1], name))[:worst]
        for case, recall in least:
            print(f"    {getattr(recall, name):.2f} {case.repository} {case.path}")
