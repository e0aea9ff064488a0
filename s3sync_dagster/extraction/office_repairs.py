"""What docling's reader stumbles over in the parts of a Word document, mended before it sees it.

The text stays as Word shows it:

* comments and processing instructions of XML, which docling takes for damage, go;
* text that was moved with tracked changes stands where it was moved to, and only there;
* what stands round runs and paragraphs (a direction of writing, an element of a schema) goes, and
  its text stays; a reading above a word (ruby) stands behind it, in brackets.
"""

import io
import re
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

from s3sync_dagster.engine.ports import Content

_MAX_PART_BYTES = 256 * 1024**2
_WORD_PART = re.compile(r"word/[^/]+\.xml")
_REMARK = re.compile(rb"<!--.*?-->|<\?(?!xml\s).*?\?>", re.DOTALL)
_MOVED_FROM = re.compile(
    rb"<(\w+:)moveFrom(?:\s[^>]*)?/>|<(\w+:)moveFrom(?:\s[^>]*)?>.*?</\2moveFrom\s*>", re.DOTALL
)
_MOVED_TO = re.compile(rb"</?\w+:moveTo(?:\s[^>]*)?>")
_ROUND_TEXT = re.compile(
    rb"</?(\w+:)(?:dir|bdo|customXml)(?:\s[^>]*)?>|<(\w+:)customXmlPr(?:\s[^>]*)?/>"
    rb"|<(\w+:)customXmlPr(?:\s[^>]*)?>.*?</\3customXmlPr\s*>",
    re.DOTALL,
)
_RUBY = re.compile(
    rb"<(\w+:)ruby(?:\s[^>]*)?>.*?<\1rt(?:\s[^>]*)?>(?P<reading>.*?)</\1rt\s*>\s*"
    rb"<\1rubyBase(?:\s[^>]*)?>(?P<base>.*?)</\1rubyBase\s*>\s*</\1ruby\s*>",
    re.DOTALL,
)
"""Stands in a run, and has runs of its own: Office Open XML, 17.3.3.25."""
_WITH_READING = rb"</\1r>\g<base><\1r><\1t>(</\1t></\1r>\g<reading><\1r><\1t>)</\1t></\1r><\1r>"


def repair_word_part(xml: bytes) -> bytes:
    """Return a part of a Word document as docling takes it."""
    xml = _REMARK.sub(b"", xml) if b"<!--" in xml or xml.count(b"<?") > 1 else xml
    if b":move" in xml:
        xml = _MOVED_TO.sub(b"", _MOVED_FROM.sub(b"", xml))
    if any(name in xml for name in (b":dir", b":bdo", b":customXml")):
        xml = _ROUND_TEXT.sub(b"", xml)
    return _RUBY.sub(_WITH_READING, xml) if b":ruby" in xml else xml


def changed_word_parts(archive: zipfile.ZipFile) -> dict[str, bytes]:
    """Return the repaired parts of a Word document that were not right."""
    changed: dict[str, bytes] = {}
    for name in filter(_WORD_PART.fullmatch, archive.namelist()):
        if archive.getinfo(name).file_size > _MAX_PART_BYTES:
            continue
        before = archive.read(name)
        after = repair_word_part(before)
        if after != before:
            changed[name] = after
    return changed


def with_parts(content: Content, parts: Mapping[str, bytes]) -> Content:
    """Return a copy of an archive in which some parts stand anew; as it is where there are none.

    A second part of the same name stands for the first one, so that nothing is packed again.
    """
    if not parts:
        return content
    if isinstance(content, Path):
        copy = Path(tempfile.mkdtemp()) / "document"  # goes with the worker's own folder
        shutil.copyfile(content, copy)
        _append(copy, parts)
        return copy
    stream = io.BytesIO(content)
    _append(stream, parts)
    return stream.getvalue()


def _append(file: Path | io.BytesIO, parts: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the name is there twice, as it should
        for name, body in parts.items():
            archive.writestr(name, body)
