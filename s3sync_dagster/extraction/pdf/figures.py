"""Alternative texts of pictures and formulas in tagged PDFs, with their places."""

import ctypes
from collections.abc import Iterator, Sequence
from typing import Any

from s3sync_dagster.extraction.pdf.blocks import Block

_KINDS = {"Figure": "Picture", "Formula": "Formula"}
_MAX_ELEMENTS = 50_000
"""Of one page; a table of 100 rows has some thousand."""
_MAX_CHARACTERS = 10_000


def is_tagged(pdf: Any) -> bool:
    """Return whether a document says that it has a structure tree."""
    from pypdfium2 import raw

    return bool(raw.FPDFCatalog_IsTagged(pdf))


def find_figures(page: Any) -> list[Block]:
    """Return what a tagged document's author wrote about the pictures of a page, in its order.

    A block for each, such as ``[Picture: A cod on ice]``; those whose place is not known have no
    height.
    """
    from pypdfium2 import raw

    tree = raw.FPDF_StructTree_GetForPage(page)
    found: list[tuple[str, set[int]]] = []
    if tree:
        for element in _elements(tree):
            text = _string(raw.FPDF_StructElement_GetAltText, element)
            kind = _KINDS.get(_string(raw.FPDF_StructElement_GetType, element)) if text else None
            if kind:
                found.append((f"[{kind}: {text}]", set(_content_ids(element))))
        raw.FPDF_StructTree_Close(tree)
    places = _places(page, set().union(*(ids for _, ids in found))) if found else {}
    height = page.get_height()
    return [_block(text, [places[i] for i in ids if i in places], height) for text, ids in found]


def with_figures(text: str, figures: Sequence[Block]) -> str:
    """Return a page's plain text and below it what is written about its pictures."""
    return "\n\n".join(part for part in (text.strip(), *(one.text for one in figures)) if part)


def _elements(tree: Any) -> Iterator[Any]:
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


def _string(get: Any, element: Any) -> str:
    """Return a string that pdfium writes as UTF-16, its blanks as single ones."""
    size = get(element, None, 0)
    if not 2 < size <= 2 * _MAX_CHARACTERS:
        return ""
    buffer = ctypes.create_string_buffer(size)
    get(element, buffer, size)
    return " ".join(buffer.raw[: size - 2].decode("utf-16-le", errors="ignore").split())


def _content_ids(element: Any) -> Iterator[int]:
    from pypdfium2 import raw

    for i in range(min(_MAX_ELEMENTS, raw.FPDF_StructElement_GetMarkedContentIdCount(element))):
        number = raw.FPDF_StructElement_GetMarkedContentIdAtIndex(element, i)
        if number >= 0:
            yield number


def _places(page: Any, wanted: set[int]) -> dict[int, tuple[float, float, float, float]]:
    """Return left, bottom, right and top of marked content."""
    from pypdfium2 import raw

    places: dict[int, tuple[float, float, float, float]] = {}
    if not wanted:
        return places
    for i in range(raw.FPDFPage_CountObjects(page)):
        drawn = raw.FPDFPage_GetObject(page, i)
        number = raw.FPDFPageObj_GetMarkedContentID(drawn)
        if number not in wanted:
            continue
        edges = [ctypes.c_float() for _ in range(4)]
        if raw.FPDFPageObj_GetBounds(drawn, *map(ctypes.byref, edges)):
            left, bottom, right, top = (edge.value for edge in edges)
            if number in places:
                before = places[number]
                left, bottom = min(left, before[0]), min(bottom, before[1])
                right, top = max(right, before[2]), max(top, before[3])
            places[number] = (left, bottom, right, top)
    return places


def _block(text: str, places: list[tuple[float, float, float, float]], height: float) -> Block:
    if not places:
        return Block(kind="paragraph", text=text)
    left, right = min(place[0] for place in places), max(place[2] for place in places)
    bottom, top = min(place[1] for place in places), max(place[3] for place in places)
    return Block(
        kind="paragraph",
        text=text,
        top=height - top,
        height=top - bottom,
        left=left,
        width=right - left,
    )
