"""What docling's reader stumbles over in the parts of a Word document, mended before it sees it.

The text stays as Word shows it:

* comments and processing instructions of XML, which docling takes for damage, go;
* text that was moved with tracked changes stands where it was moved to, and only there;
* what stands round runs, paragraphs and rows (a direction of writing, an element of a schema, a
  control, a tracked insertion) goes, and its text stays; a reading above a word (ruby) stands
  behind it, in brackets;
* signs, choices in forms and WordArt are text, and formulas have all that docling asks for.
"""

import io
import re
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lxml.etree

from s3sync_dagster.engine.ports import Content
from s3sync_dagster.extraction.office_shapes import replace
from s3sync_dagster.extraction.word_formulas import mend_formulas
from s3sync_dagster.extraction.word_runs import open_runs

etree: Any = lxml.etree
_MAX_PART_BYTES = 256 * 1024**2
_WORD_PART = re.compile(r"word/[^/]+\.xml")
_REMARK = re.compile(rb"<!--.*?-->|<\?(?!xml\s).*?\?>", re.DOTALL)
_MOVED_FROM = re.compile(
    rb"<(\w+:)moveFrom(?:\s[^>]*)?/>|<(\w+:)moveFrom(?:\s[^>]*)?>.*?</\2moveFrom\s*>", re.DOTALL
)
_MOVED_TO = re.compile(rb"</?\w+:moveTo(?:\s[^>]*)?>")
_ROUND_TEXT = re.compile(
    rb"<\w+:(?:dir|bdo|customXml|ruby|sdt|ins|smartTag|fldSimple|sym|ffData|textpath|oMath|AlternateContent)[\s>]"
    rb"|\xef\x80[\x80-\xbf]|\xef\x81[\x80-\xbf]|\xef\x82[\x80-\xbf]|\xef\x83[\x80-\xbf]"
)
_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_OF_TABLES = {f"{_WORD}tr", f"{_WORD}tc"}


def repair_word_part(xml: bytes) -> bytes:
    """Return a part of a Word document as docling takes it."""
    xml = _REMARK.sub(b"", xml) if b"<!--" in xml or xml.count(b"<?") > 1 else xml
    if b":move" in xml:
        xml = _MOVED_TO.sub(b"", _MOVED_FROM.sub(b"", xml))
    return _opened(xml) if _ROUND_TEXT.search(xml) else xml


def _opened(xml: bytes) -> bytes:
    """Return a part without what stands round text; as it is where it cannot be read."""
    try:
        root = etree.fromstring(xml, etree.XMLParser(resolve_entities=False, huge_tree=True))
    except etree.XMLSyntaxError:
        return xml  # whoever reads it says so
    for ruby in [*root.iter(f"{_WORD}ruby")]:
        _stand_behind(ruby)
    for element in [*root.iter(f"{_WORD}dir", f"{_WORD}bdo", f"{_WORD}customXml")]:
        for properties in element.findall(f"{_WORD}customXmlPr"):
            element.remove(properties)
        replace(element, [*element])
    for control in reversed([*root.iter(f"{_WORD}sdt")]):  # one may stand in another
        content = control.find(f"{_WORD}sdtContent")
        if content is not None and any(child.tag in _OF_TABLES for child in content):
            replace(control, [*content])
    open_runs(root)
    mend_formulas(root)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", standalone=True)


def _stand_behind(ruby: Any) -> None:
    """Put a word and its reading, each in runs of its own, behind the run that they stand in."""
    run, (base, reading) = ruby.getparent(), map(ruby.find, (f"{_WORD}rubyBase", f"{_WORD}rt"))
    rest = [*ruby.itersiblings()]
    runs = [] if base is None else [*base]
    if reading is not None and "".join(reading.itertext()).strip():
        runs += [_run_of("("), *reading, _run_of(")")]
    if rest:
        runs.append(etree.Element(f"{_WORD}r"))
        runs[-1].extend(rest)
    run.remove(ruby)
    for one in reversed(runs):
        run.addnext(one)


def _run_of(words: str) -> Any:
    run = etree.Element(f"{_WORD}r")
    etree.SubElement(run, f"{_WORD}t").text = words
    return run


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
