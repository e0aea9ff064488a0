"""The structure tree of a tagged PDF, page by page, and the text that its elements mark."""

import ctypes
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

_HEADING = re.compile(r"H([1-6])?|Title")
_MAX_ELEMENTS = 50_000
"""Of one page; a table of 100 rows has some thousand."""
_MAX_CHARACTERS = 10_000


@dataclass(frozen=True, slots=True)
class Name:
    """A heading that the file itself names."""

    text: str
    level: int
    """1 to 6."""
    top: float | None = None
    """Points from the page's upper edge, where the file says it."""
    is_exact: bool = False
    """True for a tag: these very letters are a heading."""

    def below(self, height: float) -> "Name":
        """Return the name with its place measured from the upper edge of a page of this height.

        Bookmarks are measured from the lower one.
        """
        return self if self.top is None else replace(self, top=height - self.top)


def is_tagged(pdf: Any) -> bool:
    """Return whether a document says that it has a structure tree."""
    from pypdfium2 import raw

    return bool(raw.FPDFCatalog_IsTagged(pdf))


def elements_of(tree: Any) -> Iterator[Any]:
    """Yield the elements of a page in the document's order."""
    from pypdfium2 import raw

    count = raw.FPDF_StructTree_CountChildren(tree)
    waiting = [raw.FPDF_StructTree_GetChildAtIndex(tree, i) for i in reversed(range(count))]
    for _ in range(_MAX_ELEMENTS):
        if not waiting:
            return
        element = waiting.pop()
        if not element:
            continue  # content, not an element
        yield element
        children = min(_MAX_ELEMENTS, raw.FPDF_StructElement_CountChildren(element))
        waiting.extend(
            raw.FPDF_StructElement_GetChildAtIndex(element, i) for i in reversed(range(children))
        )


def string_of(get: Any, element: Any) -> str:
    """Return a string that pdfium writes as UTF-16, its blanks as single ones."""
    return " ".join(_string(get, element).split())


def _string(get: Any, element: Any) -> str:
    size = get(element, None, 0)
    if not 2 < size <= 2 * _MAX_CHARACTERS:
        return ""
    buffer = ctypes.create_string_buffer(size)
    get(element, buffer, size)
    return buffer.raw[: size - 2].decode("utf-16-le", errors="ignore")


def content_ids(element: Any) -> Iterator[int]:
    """Yield the numbers of the marked content that an element holds itself."""
    from pypdfium2 import raw

    for i in range(min(_MAX_ELEMENTS, raw.FPDF_StructElement_GetMarkedContentIdCount(element))):
        number = raw.FPDF_StructElement_GetMarkedContentIdAtIndex(element, i)
        if number >= 0:
            yield number


def tagged_headings(page: Any, layer: Any) -> list[Name]:
    """Return the headings of a page of a tagged document: ``H1`` to ``H6``, ``H`` and ``Title``.

    ``layer`` is the page's text.
    """
    from pypdfium2 import raw

    tree = raw.FPDF_StructTree_GetForPage(page)
    if not tree:
        return []
    found: list[tuple[int, list[int]]] = []
    for element in elements_of(tree):
        kind = _HEADING.fullmatch(string_of(raw.FPDF_StructElement_GetType, element))
        if kind:
            ids = [i for inner in (element, *_below(element)) for i in content_ids(inner)]
            found.append((int(kind[1] or 1), ids))
    raw.FPDF_StructTree_Close(tree)
    texts = _marked_texts(page, layer, {i for _, ids in found for i in ids}) if found else {}
    names = (
        Name(" ".join("".join(texts.get(i, "") for i in ids).split()), level, is_exact=True)
        for level, ids in found
    )
    return [name for name in names if name.text]


def _below(element: Any) -> Iterator[Any]:
    from pypdfium2 import raw

    waiting = [element]
    for _ in range(_MAX_ELEMENTS):
        if not waiting:
            return
        above = waiting.pop(0)
        if above is not element:
            yield above
        children = (
            raw.FPDF_StructElement_GetChildAtIndex(above, i)
            for i in range(min(_MAX_ELEMENTS, raw.FPDF_StructElement_CountChildren(above)))
        )
        waiting.extend(child for child in children if child)


def _marked_texts(page: Any, layer: Any, wanted: Collection[int]) -> dict[int, str]:
    """Return the text of marked content, as far as it stands on the page and not in a form."""
    from pypdfium2 import raw

    texts: dict[int, str] = {}

    def get(drawn: Any, buffer: Any, size: int) -> int:
        units = ctypes.cast(buffer, ctypes.POINTER(ctypes.c_ushort)) if buffer else None
        return raw.FPDFTextObj_GetText(drawn, layer, units, size)

    for i in range(raw.FPDFPage_CountObjects(page)):
        drawn = raw.FPDFPage_GetObject(page, i)
        number = raw.FPDFPageObj_GetMarkedContentID(drawn)
        if number in wanted and raw.FPDFPageObj_GetType(drawn) == raw.FPDF_PAGEOBJ_TEXT:
            texts[number] = texts.get(number, "") + _string(get, drawn)
    return texts
