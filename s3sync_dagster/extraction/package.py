"""The parts of an OOXML file and how they refer to each other."""

import posixpath
import zipfile
from collections.abc import Iterator
from typing import Any

MAX_PART_BYTES = 64 * 1024**2


def relations(archive: zipfile.ZipFile, part: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield id, kind and target of what a part refers to; targets inside the file as full paths."""
    folder, name = posixpath.split(part)
    path = f"{folder}/_rels/{name}.rels"
    if path not in archive.namelist():
        return
    for element in parse_part(archive, path):
        target = element.get("Target", "")
        kind = element.get("Type", "").rpartition("/")[2]
        if element.get("TargetMode") != "External":
            target = posixpath.normpath(posixpath.join(folder, target)).lstrip("/")
        yield element.get("Id", ""), (kind, target)


def parse_part(archive: zipfile.ZipFile, part: str) -> Any:
    """Return a part's root element; raises ``KeyError`` for one that cannot be parsed."""
    from defusedxml import DefusedXmlException  # noqa: PLC0415 (only in workers)
    from defusedxml.ElementTree import ParseError, fromstring  # noqa: PLC0415

    if archive.getinfo(part).file_size > MAX_PART_BYTES:
        raise KeyError(part)
    try:
        return fromstring(archive.read(part))
    except (ParseError, DefusedXmlException):
        raise KeyError(part) from None


def name_of(element: Any) -> str:
    """Return an element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]
