"""Words in the drawings of an office file that its reader leaves out.

Text boxes of sheets, charts with their series, the texts of SmartArt, and documents that Word
would take in when it opens the file (``altChunk``).
"""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from s3sync_dagster.engine.ports import Content
from s3sync_dagster.extraction.archives import BROKEN_ARCHIVE
from s3sync_dagster.extraction.decoding import decode
from s3sync_dagster.extraction.mail import page_of
from s3sync_dagster.extraction.package import name_of, parse_part, relations
from s3sync_dagster.extraction.web import plain_text
from s3sync_dagster.extraction.words import word_recall
from s3sync_dagster.model.errors import UnsupportedFile

_MAX_POINTS = 200
"""Of one chart."""
_MAX_DEPTH = 3
_MAX_KNOWN = 0.5
"""Share of a drawing's words above which the reader has given it already."""


def drawing_texts(content: Content, part: str, *, known: str = "") -> list[str]:
    """Return the texts of what a part of a file shows, but those that ``known`` has.

    Nothing for what cannot be followed: the part itself is what counts.
    """
    source = content if isinstance(content, Path) else io.BytesIO(content)
    try:
        with zipfile.ZipFile(source) as archive:
            texts = [text.strip() for text in _texts(archive, part, depth=0)]
    except (*BROKEN_ARCHIVE, KeyError):
        return []
    return [text for text in texts if text and word_recall(text, known) <= _MAX_KNOWN]


def with_drawings(markdown: str, content: Content, part: str) -> str:
    """Return a text with the words of its drawings behind it."""
    texts = drawing_texts(content, part, known=markdown)
    return "\n\n".join([markdown.rstrip("\n"), *texts]).lstrip("\n") + "\n" if texts else markdown


def _texts(archive: zipfile.ZipFile, part: str, *, depth: int) -> Iterator[str]:
    for kind, target in dict(relations(archive, part)).values():
        if target not in archive.namelist() or depth > _MAX_DEPTH:
            continue
        if kind == "drawing":
            yield from _boxes(parse_part(archive, target))
            yield from _texts(archive, target, depth=depth + 1)
        elif kind == "chart":
            yield _chart(parse_part(archive, target))
        elif kind == "diagramData":
            yield "\n".join(f"- {text}" for text in _points(parse_part(archive, target)))
        elif kind == "aFChunk":
            yield _chunk(target, archive.read(target))


def _boxes(drawing: Any) -> Iterator[str]:
    for body in drawing.iter():
        if name_of(body) == "txBody":
            yield "\n\n".join(_paragraphs(body))


def _points(diagram: Any) -> Iterator[str]:
    for point in diagram.iter():
        if name_of(point) == "pt":
            yield from _paragraphs(point)


def _paragraphs(element: Any) -> Iterator[str]:
    for paragraph in element.iter():
        if name_of(paragraph) == "p":
            text = "".join(run.text or "" for run in paragraph.iter() if name_of(run) == "t")
            if text.strip():
                yield " ".join(text.split())


def _chart(chart: Any) -> str:
    """Return title, titles of the axes, and a table of the series."""
    titles = [
        " ".join(_paragraphs(element)) for element in chart.iter() if name_of(element) == "title"
    ]
    series = [element for element in chart.iter() if name_of(element) == "ser"]
    names = [" ".join(_values(one, "tx")) for one in series]
    columns = [_values(one, "val") or _values(one, "yVal") for one in series]
    labels = next((found for one in series if (found := _values(one, "cat", "xVal"))), [])
    length = min(_MAX_POINTS, max(map(len, columns), default=0))
    rows = [
        [labels[i] if i < len(labels) else "", *(c[i] if i < len(c) else "" for c in columns)]
        for i in range(length)
    ]
    table = [["", *names], ["-"] * (len(names) + 1), *rows] if rows else [names] if names else []
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in table]
    return "\n\n".join([*(title for title in titles if title), "\n".join(lines)]).strip()


def _values(series: Any, *kinds: str) -> list[str]:
    """Return what a chart remembers of the cells that it shows."""
    return [
        " ".join((value.text or "").split())
        for part in series
        if name_of(part) in kinds
        for value in part.iter()
        if name_of(value) == "v"
    ]


def _chunk(name: str, body: bytes) -> str:
    suffix = name.lower().rpartition(".")[2]
    try:
        if suffix in ("mht", "mhtml"):
            body = page_of(body) or b""
        text = decode(body).text
    except UnsupportedFile:
        return ""
    if suffix == "txt":
        return text
    return plain_text(text) if suffix in ("htm", "html", "xhtml", "mht", "mhtml") else ""
