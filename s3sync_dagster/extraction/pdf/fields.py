"""What people filled into a PDF's form: layout analysis reads only what a field shows."""

import ctypes
from collections.abc import Iterator, Sequence
from typing import Any

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.tags import string_of
from s3sync_dagster.extraction.words import in_order

_MAX_FIELDS = 2_000
"""Of one page."""
_MIN_LONG = 5
"""Blanks in a value of several lines."""
_IS_PASSWORD = 1 << 13


class Fields:
    """The text fields and choices of a document that has a form, nothing of others.

    Close it before the document. It runs none of the form's own scripts.
    """

    def __init__(self, pdf: Any) -> None:
        from pypdfium2 import raw

        self._form: Any = None
        if raw.FPDF_GetFormType(pdf) != raw.FORMTYPE_NONE:
            self._settings = raw.FPDF_FORMFILLINFO(version=2)  # pdfium keeps pointing at it
            self._form = raw.FPDFDOC_InitFormFillEnvironment(pdf, self._settings)

    def of(self, page: Any) -> Iterator[Block]:
        """Yield the values of a page's fields where they stand, such as ``[Field: Ada Lovelace]``.

        Hidden fields and passwords are left out; boxes and buttons say nothing of their own.
        """
        from pypdfium2 import raw

        if not self._form:
            return
        kinds = (
            *(raw.FPDF_FORMFIELD_TEXTFIELD, raw.FPDF_FORMFIELD_COMBOBOX),
            raw.FPDF_FORMFIELD_LISTBOX,
        )
        hidden = raw.FPDF_ANNOT_FLAG_HIDDEN | raw.FPDF_ANNOT_FLAG_NOVIEW
        left, _, _, top = page.get_cropbox()
        for i in range(min(_MAX_FIELDS, raw.FPDFPage_GetAnnotCount(page))):
            field = raw.FPDFPage_GetAnnot(page, i)
            if not field:
                continue
            is_field = raw.FPDFAnnot_GetFormFieldType(self._form, field) in kinds
            is_shown = not raw.FPDFAnnot_GetFlags(field) & hidden
            place = raw.FS_RECTF()
            if is_field and is_shown and raw.FPDFAnnot_GetRect(field, place):
                is_secret = raw.FPDFAnnot_GetFormFieldFlags(self._form, field) & _IS_PASSWORD
                value = "" if is_secret else string_of(self._value, field)
                if value:
                    yield Block(
                        kind="paragraph",
                        text=f"[Field: {value}]",
                        top=top - place.top,
                        height=place.top - place.bottom,
                        left=place.left - left,
                        width=place.right - place.left,
                    )
            raw.FPDFPage_CloseAnnot(field)

    def close(self) -> None:
        """Give the form back."""
        from pypdfium2 import raw

        if self._form:
            raw.FPDFDOC_ExitFormFillEnvironment(self._form)
            self._form = None

    def _value(self, field: Any, buffer: Any, size: int) -> int:
        from pypdfium2 import raw

        units = ctypes.cast(buffer, ctypes.POINTER(ctypes.c_ushort)) if buffer else None
        return raw.FPDFAnnot_GetFormFieldValue(self._form, field, units, size)


def unsaid(fields: Sequence[Block], text: str) -> Iterator[Block]:
    """Yield the fields whose words a page's text has not, each value once.

    The words of a short one stand in a row; those of a long one may be parted by what is beside it.
    """
    said = f" {in_order(text)} " if fields else ""
    known = set(said.split())
    for field in fields:
        words = in_order(field.text.removeprefix("[Field:"))
        is_long = words.count(" ") >= _MIN_LONG
        if words and not (known.issuperset(words.split()) if is_long else f" {words} " in said):
            said += f"{words} "
            known.update(words.split())
            yield field
