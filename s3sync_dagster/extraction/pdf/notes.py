"""What readers wrote on a PDF's pages: notes, text boxes and comments at marked words."""

import ctypes
from collections.abc import Iterator
from typing import Any

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.tags import string_of

_MAX_NOTES = 1_000
"""Of one page."""
_CONTENTS = b"Contents"


def find_notes(page: Any, page_text: str) -> Iterator[Block]:
    """Yield the notes of a page, such as ``[Note: Which year is this?]``, each where it stands.

    Notes that are not shown are left out, and so are those without words of their own: some
    programs keep the marked words with the mark.
    """
    from pypdfium2 import raw

    count = raw.FPDFPage_GetAnnotCount(page)
    if not count:
        return
    kinds = (
        *(raw.FPDF_ANNOT_TEXT, raw.FPDF_ANNOT_FREETEXT, raw.FPDF_ANNOT_HIGHLIGHT),
        *(raw.FPDF_ANNOT_UNDERLINE, raw.FPDF_ANNOT_STRIKEOUT, raw.FPDF_ANNOT_SQUIGGLY),
        *(raw.FPDF_ANNOT_CARET, raw.FPDF_ANNOT_STAMP),
    )
    hidden = raw.FPDF_ANNOT_FLAG_HIDDEN | raw.FPDF_ANNOT_FLAG_NOVIEW
    words = " ".join(page_text.split())
    left, _, _, top = page.get_cropbox()
    for i in range(min(_MAX_NOTES, count)):
        note = raw.FPDFPage_GetAnnot(page, i)
        if not note:
            continue
        is_shown = not raw.FPDFAnnot_GetFlags(note) & hidden
        if is_shown and raw.FPDFAnnot_GetSubtype(note) in kinds:
            text = string_of(_contents, note)
            place = raw.FS_RECTF()
            is_own = text and text not in words
            if is_own and raw.FPDFAnnot_GetRect(note, place):
                yield Block(
                    kind="paragraph",
                    text=f"[Note: {text}]",
                    top=top - place.top,
                    height=place.top - place.bottom,
                    left=place.left - left,
                    width=place.right - place.left,
                )
        raw.FPDFPage_CloseAnnot(note)


def _contents(note: Any, buffer: Any, size: int) -> int:
    from pypdfium2 import raw

    units = ctypes.cast(buffer, ctypes.POINTER(ctypes.c_ushort)) if buffer else None
    return raw.FPDFAnnot_GetStringValue(note, _CONTENTS, units, size)
