"""Comma-separated values: encoding and dialect made plain, rows left alone."""

import csv
import io
from collections.abc import Iterator
from typing import Literal

from s3sync_dagster.engine.ports import Content
from s3sync_dagster.extraction.content import read_all
from s3sync_dagster.extraction.decoding import decode
from s3sync_dagster.model.document import Document
from s3sync_dagster.model.source import ExtractionConfig

_DELIMITERS = ",;\t|"
_SAMPLE_CHARACTERS = 64 * 1024


def read_csv(content: Content, *, name: str, config: ExtractionConfig) -> Document:
    """Return comma-separated text whose rows have one number of fields each.

    What is already so stays as it is, to the byte; other delimiters are rewritten. Rows of
    differing lengths leave the text as it is, with a warning.
    """
    del config
    decoded = decode(read_all(content))
    text = decoded.text
    warnings = [f"The encoding was guessed: {decoded.encoding}."] if decoded.guessed else []
    delimiter = _sniff_delimiter(text, name)
    if delimiter != ",":
        rewritten = _rewrite(text, delimiter)
        if rewritten is None:
            warnings.append("Rows have differing numbers of fields: left as they are.")
        else:
            text = rewritten
            warnings.append(f"Fields were separated by {delimiter!r}: rewritten with commas.")
    return Document(
        text=text,
        format="csv",
        encoding=decoded.encoding,
        encoding_guessed=decoded.guessed,
        engine="pandas",
        warnings=tuple(warnings),
    )


def table_of(text: str) -> str:
    """Return comma-separated text as a table of Markdown.

    Empty where there are no rows, or a field is longer than the library reads.
    """
    lines: list[str] = []
    try:
        for row in csv.reader(_lines(text)):
            if not row:
                continue
            lines.append("| " + " | ".join(map(_cell, row)) + " |")
            if len(lines) == 1:
                lines.append("|" + " - |" * len(row))
    except csv.Error:
        return ""
    return "\n".join(lines)


def _lines(text: str) -> Iterator[str]:
    """Yield lines one by one: a text's buffer takes four bytes for each of its characters."""
    start = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield text[start:end]
        start = end


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _sniff_delimiter(text: str, name: str) -> str:
    """Return the delimiter that gives the head's rows the same number of fields."""
    head = text[:_SAMPLE_CHARACTERS]
    if len(text) > len(head):
        head = head[: head.rfind("\n") + 1] or head
    scores = {delimiter: _evenness(head, delimiter) for delimiter in _DELIMITERS}
    best = max(scores, key=scores.__getitem__)
    if scores[best] > 0:
        return best
    return "\t" if name.lower().endswith((".tsv", ".tab")) else ","


def _evenness(head: str, delimiter: str) -> float:
    """Return the share of rows as wide as the first one, 0 when there is one column only."""
    try:
        widths = [len(row) for row in csv.reader(io.StringIO(head), delimiter=delimiter) if row]
    except csv.Error:
        return 0.0
    if not widths or widths[0] < 2:
        return 0.0
    return sum(width == widths[0] for width in widths) / len(widths)


def _rewrite(text: str, delimiter: str) -> str | None:
    import pandas

    engine: Literal["c"] = "c"
    try:
        chunks = pandas.read_csv(
            io.StringIO(text),
            sep=delimiter,
            header=None,
            dtype=str,
            keep_default_na=False,
            skip_blank_lines=False,
            engine=engine,
            chunksize=50_000,
        )
        out = io.StringIO()
        for chunk in chunks:
            chunk.to_csv(out, index=False, header=False, lineterminator="\n")
    except (pandas.errors.ParserError, pandas.errors.EmptyDataError, csv.Error):
        return None
    return out.getvalue()
