"""From an object's bytes to what Chroma stores: Document, Chunk, Record."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Scalar = str | int | float | bool
MetadataValue = Scalar | list[str] | list[int] | list[float] | list[bool] | None
Metadata = Mapping[str, MetadataValue]

DocumentFormat = Literal["markdown", "code", "text", "csv", "json", "jsonl", "xml", "log"]


@dataclass(frozen=True, slots=True)
class Page:
    """Where a page, slide, sheet or chapter begins in the document's text."""

    start: int
    """Offset in characters of the page's first character."""
    label: str
    """What people call it: ``12``, ``Sheet1!A2:F900``, ``Chapter 3``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The text extracted from one object."""

    text: str
    """Markdown or source text. Newlines are as the file has them."""
    format: DocumentFormat
    """What the chunker may expect of the text."""
    language: str | None = None
    """Name of the programming language where one was recognised, such as ``python``."""
    pages: tuple[Page, ...] = ()
    """In order of ``start``; empty for what has no pages."""
    page_count: int = 0
    """Pages, slides or sheets of the file, also when ``pages`` is empty."""
    encoding: str = "utf-8"
    encoding_guessed: bool = False
    """True when nothing in the bytes proves the encoding."""
    title: str | None = None
    author: str | None = None
    created: str | None = None
    """ISO-8601 date or time that the file itself gives."""
    engine: str = "text"
    """What read the bytes: ``text``, ``docling``, ``pypdfium2``, ``tesseract`` ..."""
    warnings: tuple[str, ...] = ()
    """Sentences for people: what was guessed, dropped or cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A piece of a document with its position."""

    index: int
    text: str
    """What is stored and searched; at most the configured number of bytes."""
    start_line: int
    """1-based, first line of the chunk in the document's text."""
    end_line: int
    """1-based, last line, inclusive."""
    start_col: int
    """1-based column in characters of the first character."""
    end_col: int
    """1-based column in characters of the last character."""
    start_byte: int
    """Offset in the UTF-8 form of the document's text."""
    end_byte: int
    """Exclusive."""
    strategy: str
    """Contract ``chunk_strategy``: the stage that made it, ``tree_sitter`` or ``lines``."""
    language: str | None = None
    symbol: str | None = None
    """Enclosing definitions, such as ``Class.method``."""
    heading_path: str | None = None
    """Enclosing headings, joined with `` > ``."""
    page: str | None = None
    """Label of the page on which the chunk begins."""
    context: str = ""
    """Prefix that is embedded before the text and not stored."""
    repeated_header: bool = False
    """True when ``text`` begins with a table's header row that stands elsewhere in the document."""
    fallback: str | None = None
    """Why a simpler stage made the chunk: ``parse_timeout``, ``worker_died`` ..."""
    truncated_tokens: int = 0
    """Tokens at the end that the embedding model does not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A chunk as Chroma stores it, before its vector is known."""

    id: str
    document: str
    embedding_text: str
    """What the model reads: context prefix and document."""
    metadata: Metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One answer to a query."""

    id: str
    document: str
    metadata: Mapping[str, object] = field(default_factory=dict[str, object])
    score: float = 0.0
    """Greater is better: by which the hits are ordered, see ``dense`` and ``words``."""
    dense: float | None = None
    """1 - cosine distance; None: not among the nearest that were asked for."""
    words: float | None = None
    """BM25, 0 and more; None: not among the best by words that were asked for."""
    reranked: float | None = None
    """How well the reranker finds that it answers, 0 to 1; None: there is no reranker."""
    copies: tuple["Hit", ...] = ()
    """Other records with the same text, best first."""
    before: tuple["Hit", ...] = ()
    """Neighbours in the document, in its order, where they were asked for."""
    after: tuple["Hit", ...] = ()
