"""Comments and links of XLSX sheets, which the fast reader does not give."""

import io
import posixpath
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from s3sync_dagster.engine.ports import Content
from s3sync_dagster.extraction.archives import BROKEN_ARCHIVE

MAX_NOTES = 5000
"""Of one sheet."""
_MAX_PART_BYTES = 64 * 1024**2
_RELATED = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"


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
    targets = dict(_relations(archive, "xl/workbook.xml"))
    for element in _parse(archive, "xl/workbook.xml").iter():
        if _name(element) == "sheet":
            _, part = targets.get(element.get(_RELATED, ""), ("", ""))
            yield element.get("name", ""), part


def _notes(archive: zipfile.ZipFile, sheet: str) -> Iterator[str]:
    relations = dict(_relations(archive, sheet)) if sheet else {}
    shown = 0
    for kind, part in relations.values():
        if kind in ("comments", "threadedComment"):
            for element in _comments(_parse(archive, part)):
                if shown < MAX_NOTES:
                    shown += 1
                    yield f"{element.get('ref', '')}: {_words(element)}"
    links = {key: target for key, (kind, target) in relations.items() if kind == "hyperlink"}
    if links:
        for place, key in _link_places(archive, sheet):
            if key in links and shown < MAX_NOTES:
                shown += 1
                yield f"{place}: {links[key]}"


def _comments(part: Any) -> Iterator[Any]:
    """Yield comments, without the copies of threads that old programs are to show."""
    authors = [element.text or "" for element in part.iter() if _name(element) == "author"]
    for element in part.iter():
        number = element.get("authorId", "")
        author = authors[int(number)] if number.isdigit() and int(number) < len(authors) else ""
        is_copy = author.startswith("tc={")
        if _name(element) in ("comment", "threadedComment") and not is_copy:
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


def _relations(archive: zipfile.ZipFile, part: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield id, kind and target of what a part refers to; targets inside the file as full paths."""
    folder, name = posixpath.split(part)
    path = f"{folder}/_rels/{name}.rels"
    if path not in archive.namelist():
        return
    for element in _parse(archive, path):
        target = element.get("Target", "")
        kind = element.get("Type", "").rpartition("/")[2]
        if element.get("TargetMode") != "External":
            target = posixpath.normpath(posixpath.join(folder, target)).lstrip("/")
        yield element.get("Id", ""), (kind, target)


def _parse(archive: zipfile.ZipFile, part: str) -> Any:
    from defusedxml import DefusedXmlException  # noqa: PLC0415 (only in workers)
    from defusedxml.ElementTree import ParseError, fromstring  # noqa: PLC0415

    if archive.getinfo(part).file_size > _MAX_PART_BYTES:
        raise KeyError(part)
    try:
        return fromstring(archive.read(part))
    except (ParseError, DefusedXmlException):
        raise KeyError(part) from None


def _name(element: Any) -> str:
    return str(element.tag).rpartition("}")[2]


def _words(element: Any) -> str:
    texts = (part.text or "" for part in element.iter() if _name(part) in ("t", "text"))
    return " ".join(" ".join(texts).split())
