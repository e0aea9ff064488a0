"""Comments and links of XLSX sheets, which the fast reader does not give."""

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from s3sync_dagster.engine.ports import Content
from s3sync_dagster.extraction.archives import BROKEN_ARCHIVE
from s3sync_dagster.extraction.drawings import drawing_texts
from s3sync_dagster.extraction.package import name_of, parse_part, relations

MAX_NOTES = 5000
"""Of one sheet."""
_RELATED = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"


def sheet_drawings(content: Content) -> dict[str, list[str]]:
    """Return the texts of boxes, charts and diagrams by sheet name; empty for other formats."""
    source = content if isinstance(content, Path) else io.BytesIO(content)
    if not zipfile.is_zipfile(source):
        return {}
    try:
        with zipfile.ZipFile(source) as archive:
            if not any(name.startswith("xl/drawings/") for name in archive.namelist()):
                return {}
            sheets = list(_sheets(archive))
    except (*BROKEN_ARCHIVE, KeyError):
        return {}
    return {name: drawing_texts(content, part) for name, part in sheets if part}


def sheet_notes(content: Content) -> dict[str, list[str]]:
    """Return ``A2: words of a comment`` and ``B3: https://…`` by sheet name, in the file's order.

    Empty for files of other formats, and for a workbook whose parts cannot be followed: its cells
    are what counts.
    """
    source = content if isinstance(content, Path) else io.BytesIO(content)
    if not zipfile.is_zipfile(source):
        return {}
    try:
        with zipfile.ZipFile(source) as archive:
            if "xl/workbook.xml" not in archive.namelist():
                return {}
            return {name: list(_notes(archive, part)) for name, part in _sheets(archive)}
    except (*BROKEN_ARCHIVE, KeyError):
        return {}


def _sheets(archive: zipfile.ZipFile) -> Iterator[tuple[str, str]]:
    targets = dict(relations(archive, "xl/workbook.xml"))
    for element in parse_part(archive, "xl/workbook.xml").iter():
        if name_of(element) == "sheet":
            _, part = targets.get(element.get(_RELATED, ""), ("", ""))
            yield element.get("name", ""), part


def _notes(archive: zipfile.ZipFile, sheet: str) -> Iterator[str]:
    related = dict(relations(archive, sheet)) if sheet else {}
    shown = 0
    for kind, part in related.values():
        if kind in ("comments", "threadedComment"):
            for element in _comments(parse_part(archive, part)):
                if shown < MAX_NOTES:
                    shown += 1
                    yield f"{element.get('ref', '')}: {_words(element)}"
    links = {key: target for key, (kind, target) in related.items() if kind == "hyperlink"}
    if links:
        for place, key in _link_places(archive, sheet):
            if key in links and shown < MAX_NOTES:
                shown += 1
                yield f"{place}: {links[key]}"


def _comments(part: Any) -> Iterator[Any]:
    """Yield comments, without the copies of threads that old programs are to show."""
    authors = [element.text or "" for element in part.iter() if name_of(element) == "author"]
    for element in part.iter():
        number = element.get("authorId", "")
        author = authors[int(number)] if number.isdigit() and int(number) < len(authors) else ""
        is_copy = author.startswith("tc={")
        if name_of(element) in ("comment", "threadedComment") and not is_copy:
            yield element


def _link_places(archive: zipfile.ZipFile, sheet: str) -> Iterator[tuple[str, str]]:
    """Yield cell and relation of each link; they stand after all cells, at the part's end."""
    rest = b""
    with archive.open(sheet) as part:
        while block := part.read(1024**2):
            data = rest + block
            for tag in re.findall(rb"<(?:\w+:)?hyperlink [^>]*>", data):
                place = re.search(rb'\bref="([^"]+)"', tag)
                key = re.search(rb':id="([^"]+)"', tag)
                if place and key:
                    yield place[1].decode("ascii", "replace"), key[1].decode("ascii", "replace")
            rest = data[data.rfind(b"<") :] if data.rfind(b"<") > data.rfind(b">") else b""


def _words(element: Any) -> str:
    texts = (part.text or "" for part in element.iter() if name_of(part) in ("t", "text"))
    return " ".join(" ".join(texts).split())
