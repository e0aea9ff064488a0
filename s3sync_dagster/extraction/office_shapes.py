"""What docling's readers pass by in shapes, groups, boxes and indexes, put where they look.

Changes the trees of files that are loaded. The words stay in the order of the file; those of a box
stand before the paragraph that holds the box, as in Word documents.
"""

from collections.abc import Iterable
from itertools import takewhile
from typing import Any

_MARKUP = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_PRESENTATION = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_SHAPES = {f"{_PRESENTATION}{name}" for name in ("sp", "grpSp", "graphicFrame", "cxnSp", "pic")}
_DRAW = "{urn:oasis:names:tc:opendocument:xmlns:drawing:1.0}"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}table"
_ITEM = f"{_TEXT}list-item"
_CELL = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}table-cell"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_SVG = "{urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0}"
_DESCRIPTIONS = (f"{_SVG}title", f"{_SVG}desc")
_PARAGRAPHS = (f"{_TEXT}p", f"{_TEXT}h")
_BLOCKS = (*_PARAGRAPHS, f"{_TEXT}list", _TABLE)
_ROUND_BLOCKS = (f"{_TEXT}index-title", f"{_TEXT}numbered-paragraph")
_ROUND_SHAPES = (f"{_DRAW}g", f"{_DRAW}a")


def open_slide(tree: Any) -> None:
    """Put one of the ways in which a slide gives a shape in place of all (``AlternateContent``).

    The first one with a shape that is known counts: its words are words, where the last one mostly
    has a picture of them (ECMA-376, part 3, 9.3).
    """
    for alternatives in list(tree.iter(f"{_MARKUP}AlternateContent")):
        ways = (list(way) for way in alternatives)
        shapes = next((way for way in ways if any(shape.tag in _SHAPES for shape in way)), None)
        if shapes is not None:
            replace(alternatives, shapes)


def open_groups(tree: Any) -> None:
    """Put the shapes of groups and links of OpenDocument slides in place of these."""
    for group in list(tree.iter(*_ROUND_SHAPES)):
        replace(group, list(group.iterchildren(f"{_DRAW}*")))
    _part_paragraphs(tree)


def open_text(tree: Any) -> list[str]:
    """Make blocks of a text of what stands in boxes, indexes and other elements round blocks.

    A reading above a word (ruby) stands behind it, in brackets; the head of a list is an item; a
    number in a cell is as it is shown (``1.234,50 €``, which docling gives as ``1234.5``).
    Returns the alternative text of each picture, and those of shapes that have one.
    """
    for head in tree.iter(f"{_TEXT}list-header"):
        head.tag = _ITEM
    for cell in tree.iter(_CELL):
        if cell.get(f"{_OFFICE}value-type") is not None and cell.find(f"{_TEXT}p") is not None:
            for name in [name for name in cell.attrib if name.startswith(_OFFICE)]:
                del cell.attrib[name]
            cell.set(f"{_OFFICE}value-type", "string")
    for note in reversed(list(tree.iter(f"{_TEXT}note"))):
        _take_out_of_tables(note)
    for reading in tree.iter(f"{_TEXT}ruby-text"):
        reading.text = f"({reading.text or ''})"
    for body in list(tree.iterdescendants(f"{_TEXT}index-body")):
        replace(body.getparent(), list(body))
    for element in list(tree.iter(*_ROUND_BLOCKS)):
        replace(element, list(element))
    descriptions: list[str] = []
    for box in list(tree.iter(f"{_DRAW}*")):
        words = [child for child in box if child.tag in _DESCRIPTIONS]
        if words or box.find(f"{_DRAW}image") is not None:
            descriptions.append(": ".join(word.text for word in words if word.text))
        for word in words:
            box.remove(word)
        holder = _holder(box)
        in_item = holder.getparent() is not None and holder.getparent().tag == _ITEM
        blocks = _PARAGRAPHS if in_item else _BLOCKS  # docling reads no tables in items
        _put_before(holder, [child for child in box if child.tag in blocks])
    _part_paragraphs(tree)
    return descriptions


def _take_out_of_tables(note: Any) -> None:
    """Put a note of a cell behind its table: docling reads it at the text's end and in the cell."""
    tables = [*note.iterancestors(_TABLE)]
    if not tables or tables[-1].getparent() is None:
        return
    holder, before = note.getparent(), note.getprevious()
    if before is None:
        holder.text = (holder.text or "") + (note.tail or "")
    else:
        before.tail = (before.tail or "") + (note.tail or "")
    note.tail = None
    paragraph = note.makeelement(f"{_TEXT}p")
    paragraph.append(note)
    tables[-1].addnext(paragraph)


def _part_paragraphs(tree: Any) -> None:
    """Put a blank between the paragraphs of an item, which docling makes one of."""
    for item in tree.iter(_ITEM):
        for paragraph in [child for child in item if child.tag in _PARAGRAPHS][1:]:
            paragraph.text = f" {paragraph.text or ''}"


def _holder(box: Any) -> Any:
    """Return the paragraph that holds a box, or the outermost shape where none does."""
    paragraph = next(box.iterancestors(*_PARAGRAPHS), None)
    if paragraph is not None:
        return paragraph
    return [box, *takewhile(_is_drawn, box.iterancestors())][-1]


def _is_drawn(element: Any) -> bool:
    return element.tag.startswith(_DRAW)


def replace(element: Any, children: Iterable[Any]) -> None:
    """Put some of what an element holds in its place."""
    _put_before(element, children)
    if element.getparent() is not None:
        element.getparent().remove(element)


def _put_before(element: Any, moved: Iterable[Any]) -> None:
    if element.getparent() is None:
        return  # a root: the reader says what is wrong
    for child in moved:
        child.tail = None
        element.addprevious(child)
