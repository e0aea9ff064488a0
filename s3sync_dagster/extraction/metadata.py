"""Title, author and date from the small XML parts of office files and e-books."""

import io
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

from s3sync_dagster.engine.ports import Content
from s3sync_dagster.extraction.archives import BROKEN_ARCHIVE

_MAX_PART_BYTES = 1024**2
_PARTS = ("docProps/core.xml", "meta.xml")


@dataclass(frozen=True, slots=True)
class Properties:
    """What a file says of itself."""

    title: str | None = None
    author: str | None = None
    created: str | None = None


def office_properties(content: Content) -> Properties:
    """Return the properties of an OOXML, OpenDocument or EPUB file; empty where it has none."""
    source = content if isinstance(content, Path) else io.BytesIO(content)
    try:
        with zipfile.ZipFile(source) as archive:
            names = archive.namelist()
            part = next((name for name in _PARTS if name in names), None)
            part = part or next((name for name in names if name.endswith(".opf")), None)
            if part is None or archive.getinfo(part).file_size > _MAX_PART_BYTES:
                return Properties()
            xml = archive.read(part)
    except BROKEN_ARCHIVE:
        return Properties()
    return _parse(xml)


def _parse(xml: bytes) -> Properties:
    from defusedxml import DefusedXmlException  # noqa: PLC0415 (only in workers)
    from defusedxml.ElementTree import ParseError, fromstring  # noqa: PLC0415

    try:
        root = fromstring(xml)
    except (ParseError, DefusedXmlException, ValueError):
        return Properties()
    values: dict[str, str] = {}
    for element in root.iter():
        name = str(element.tag).rpartition("}")[2]
        text = " ".join((element.text or "").split())
        if text:
            values.setdefault(name, text)
    created = values.get("created") or values.get("creation-date") or values.get("date") or ""
    return Properties(
        title=values.get("title"),
        author=values.get("initial-creator") or values.get("creator"),
        created=created if re.match(r"\d{4}(-\d\d|$)", created) else None,
    )
