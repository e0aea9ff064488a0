"""Which stage cuts a document: a grammar, a scanner of its format, or lines."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from s3sync_dagster.chunking.budget import Budget
from s3sync_dagster.chunking.cutting import cut_outline
from s3sync_dagster.chunking.indented import outline_indented
from s3sync_dagster.chunking.languages import GRAMMARS, language_of
from s3sync_dagster.chunking.large_markdown import cut_large_markdown
from s3sync_dagster.chunking.logs import outline_log
from s3sync_dagster.chunking.markdown import outline_markdown
from s3sync_dagster.chunking.nesting import json_positions, outline_json, outline_xml, xml_positions
from s3sync_dagster.chunking.outline import Outline, Piece
from s3sync_dagster.chunking.parsing import WINDOW_BYTES, cut_source, is_cut
from s3sync_dagster.chunking.rows import outline_csv, outline_json_lines, row_positions
from s3sync_dagster.chunking.titles import outline_titles
from s3sync_dagster.chunking.windows import behind_header, windows, windows_between
from s3sync_dagster.engine.ports import WorkerPool, WorkLimits
from s3sync_dagster.model.document import Document
from s3sync_dagster.model.errors import LimitExceeded
from s3sync_dagster.workers.refusals import broken_reply

_PARSE_MEMORY_BYTES = 1536 * 1024**2
"""Ordinary source needs up to 120 bytes of memory per byte: 500 MB for the largest window."""
_PARSE_SECONDS = 5.0
_PARSE_SECONDS_PER_MB = 15.0
"""Twenty times what ordinary source needs on a slow machine."""
TOO_LARGE_TO_PARSE = "too_large_to_parse"
SCANNED_BYTES = 8_000_000
"""Most that is scanned at once: what is all marks takes up to 185 bytes of memory per byte."""
_BINARY_CHECK_BYTES = 8192

Scanner = Callable[[bytes, int], Outline]
"""Data and size above which something does not fit -> possible cuts."""

_BY_FORMAT: dict[str, Scanner] = {
    "csv": outline_csv,
    "jsonl": outline_json_lines,
    "log": lambda data, _limit: outline_log(data),
    "text": lambda data, _limit: outline_titles(data),
    "code": lambda data, _limit: outline_indented(data),
}
_WITHOUT_GRAMMAR: dict[str, Scanner] = {"json": outline_json, "xml": outline_xml}


@dataclass(frozen=True, slots=True)
class Stage:
    """How one document is cut."""

    strategy: str
    """Contract ``chunk_strategy``."""
    language: str | None
    scanner: Scanner
    """What cuts without a grammar."""
    grammar: str | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """The pieces of a document, and why a simpler stage made them."""

    pieces: list[Piece]
    fallback: str | None = None


def stage_of(document: Document, object_key: str, data: bytes) -> Stage:
    """Return the stage for a document; binary data goes to lines."""
    if b"\0" in data[:_BINARY_CHECK_BYTES]:
        return Stage("lines", None, _BY_FORMAT["text"])
    if document.format == "markdown":
        return Stage("tree_sitter", "markdown", outline_markdown)
    if document.format in ("csv", "jsonl", "log"):
        return Stage("lines", None, _BY_FORMAT[document.format])
    language = document.language
    if document.format in ("json", "xml") and language not in GRAMMARS:
        language = document.format
    if language is None:
        language = language_of(object_key, document.text)
    if language == "markdown":
        return Stage("tree_sitter", language, outline_markdown)
    if language not in GRAMMARS:
        return Stage("lines", language, _BY_FORMAT[document.format])
    grammar = language
    if language == "ocaml" and object_key.lower().endswith(".mli"):
        grammar = "ocaml_interface"
    scanner = _WITHOUT_GRAMMAR.get(language, _BY_FORMAT["code"])
    return Stage("tree_sitter", language, scanner, grammar)


def cut_document(
    data: bytes, stage: Stage, budget: Budget, pool: WorkerPool | None, *, most: int
) -> Cut:
    """Return the pieces of a document; whatever a grammar does, pieces come back.

    The rest is not cut where there are more than ``most``.
    """
    if len(data) <= budget.max_bytes and budget.weights([data])[0] <= budget.max_bytes:
        return Cut([Piece(0, len(data))])
    if stage.grammar is None:
        return Cut(_scan_all(data, stage, budget, most=most))
    if stage.language in _WITHOUT_GRAMMAR and len(data) > WINDOW_BYTES:
        return Cut(_scan_all(data, stage, budget, most=most), TOO_LARGE_TO_PARSE)
    pieces: list[Piece] = []
    fallback: str | None = None
    for start, end in windows(data, WINDOW_BYTES):
        part = data[start:end]
        try:
            found = _parse(part, stage.grammar, budget, pool)
        except LimitExceeded as error:
            fallback = error.reason
            found = _scan(part, stage, budget)
        pieces.extend(piece.shifted(start) for piece in found)
        if len(pieces) > most:
            break
    return Cut(pieces, fallback)


def _parse(data: bytes, grammar: str, budget: Budget, pool: WorkerPool | None) -> list[Piece]:
    if pool is None:
        return cut_source(data, grammar, budget)
    function = f"{cut_source.__module__}:{cut_source.__name__}"
    limits = WorkLimits(
        seconds=_PARSE_SECONDS + _PARSE_SECONDS_PER_MB * len(data) / 1e6,
        memory_bytes=_PARSE_MEMORY_BYTES,
    )
    found = pool.submit(function, data, grammar, budget, limits=limits).result()
    if not is_cut(found, data):
        raise broken_reply()
    return found


def _scan_all(data: bytes, stage: Stage, budget: Budget, *, most: int) -> list[Piece]:
    """Scan a document, a large one window by window; each of CSV begins with the header row."""
    if len(data) <= SCANNED_BYTES:
        return _scan(data, stage, budget)
    if stage.scanner is outline_markdown:
        return cut_large_markdown(data, budget, size=SCANNED_BYTES, most=most)
    pieces: list[Piece] = []
    of_rows = stage.scanner is outline_csv
    header = (0, 0)
    for start, end in _windows_to_scan(data, stage, budget):
        size = header[1] - header[0]
        part = data[slice(*header)] + data[start:end]
        outline = _outline(part, stage, budget)
        if of_rows and start and not size:
            outline.headers.clear()  # what is the window's first row
        found = cut_outline(part, outline, budget)
        pieces.extend(behind_header(found, header, start))
        if len(pieces) > most:
            break
        if of_rows and start == 0:
            header = next((one.header for one in found if one.header is not None), header)
    return pieces


def _windows_to_scan(data: bytes, stage: Stage, budget: Budget) -> Iterator[tuple[int, int]]:
    """Yield windows; none begins inside a row, a line, a string or a tag that fits into one."""
    if stage.scanner is outline_csv:
        return windows_between(data, row_positions(data, budget.for_outline(data)), SCANNED_BYTES)
    if stage.scanner is outline_json:
        return windows_between(data, json_positions(data), SCANNED_BYTES)
    if stage.scanner is outline_xml:
        return windows_between(data, xml_positions(data), SCANNED_BYTES)
    if stage.scanner is outline_json_lines:
        ends = (match.end() for match in re.finditer(rb"\n", data))
        return windows_between(data, ends, SCANNED_BYTES)
    return windows(data, SCANNED_BYTES)


def _scan(data: bytes, stage: Stage, budget: Budget) -> list[Piece]:
    return cut_outline(data, _outline(data, stage, budget), budget)


def _outline(data: bytes, stage: Stage, budget: Budget) -> Outline:
    return stage.scanner(data, budget.for_outline(data))
