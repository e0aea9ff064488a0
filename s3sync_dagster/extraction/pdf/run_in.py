"""Where a line's first font ends: headings that stand in the line of the text that they head."""

import ctypes
from collections.abc import Callable
from typing import Any

from s3sync_dagster.extraction.pdf.open_pages import OpenPages
from s3sync_dagster.extraction.pdf.styles import Piece, is_italic, weight_of

_MAX_LETTERS = 200
_NAME_BYTES = 128


class Runs:
    """The fonts of a page's letters, looked at only where they are asked for."""

    def __init__(self, pages: OpenPages, number: int) -> None:
        self._pages, self._number = pages, number

    def bold_start(self, line: Piece) -> str | None:
        """Return the letters with which a line begins in bold, None where they cannot be found.

        The whole line where all of it is bold. A number before them may be set in other letters.
        """
        return self._start(line, lambda font: weight_of(font) != 400)

    def italic_start(self, line: Piece) -> str | None:
        """Return the letters with which a line begins in italics, as ``bold_start`` does."""
        return self._start(line, is_italic)

    def _start(self, line: Piece, is_set: Callable[[str], bool]) -> str | None:
        import pypdfium2
        from pypdfium2 import raw

        try:
            page, layer = self._pages[self._number]
        except pypdfium2.PdfiumError:
            return None
        if page.get_rotation():
            return None
        left, _, _, top = page.get_cropbox()
        x, y = left + line.left + 1.5, top - line.middle
        start = raw.FPDFText_GetCharIndexAtPos(layer, x, y, 3.0, line.height / 2)
        if start < 0:
            return None
        wanted = len("".join(line.text.split()))
        letters: list[str] = []
        found, has_letter = 0, False
        end = min(start + _MAX_LETTERS, layer.count_chars())
        for index in range(start, end):
            letter = chr(raw.FPDFText_GetUnicode(layer, index))
            if letter.isspace() or letter < " ":
                letters.append(" ")
                continue
            if found >= wanted:
                break
            is_number = not has_letter and (letter.isdigit() or letter == ".")
            if not is_number and not is_set(_font_name(layer, index)):
                break
            letters.append(letter)
            found += 1
            has_letter = has_letter or letter.isalpha()
        return "".join(letters).strip()


def _font_name(layer: Any, index: int) -> str:
    from pypdfium2 import raw

    buffer = ctypes.create_string_buffer(_NAME_BYTES)
    flags = ctypes.c_int()
    size = raw.FPDFText_GetFontInfo(layer, index, buffer, _NAME_BYTES, flags)
    return buffer.raw[: max(0, min(size, _NAME_BYTES) - 1)].decode("latin-1") if size else ""
