"""Alternative texts of pictures and formulas in tagged PDFs, with their places."""

import ctypes
from collections.abc import Sequence
from typing import Any

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.tags import content_ids, elements_of, string_of

_KINDS = {"Figure": "Picture", "Formula": "Formula"}


def find_figures(page: Any) -> list[Block]:
    """Return what a tagged document's author wrote about the pictures of a page, in its order.

    A block for each, such as ``[Picture: A cod on ice]``; those whose place is not known have no
    height.
    """
    from pypdfium2 import raw

    tree = raw.FPDF_StructTree_GetForPage(page)
    found: list[tuple[str, set[int]]] = []
    if tree:
        for element in elements_of(tree):
            text = string_of(raw.FPDF_StructElement_GetAltText, element)
            kind = _KINDS.get(string_of(raw.FPDF_StructElement_GetType, element)) if text else None
            if kind:
                found.append((f"[{kind}: {text}]", set(content_ids(element))))
        raw.FPDF_StructTree_Close(tree)
    places = _places(page, set().union(*(ids for _, ids in found))) if found else {}
    height = page.get_height()
    return [_block(text, [places[i] for i in ids if i in places], height) for text, ids in found]


def with_figures(text: str, figures: Sequence[Block]) -> str:
    """Return a page's plain text and below it what is written about its pictures."""
    return "\n\n".join(part for part in (text.strip(), *(one.text for one in figures)) if part)


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
