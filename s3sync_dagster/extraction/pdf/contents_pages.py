"""Tables of contents: pages whose lines name headings of other pages, and are none."""

import re
import string
from collections.abc import Sequence

from s3sync_dagster.extraction.pdf.styles import Piece

_PAGE_NUMBER = re.compile(r"(?:.*\.\s?\.\s?\.[\s.]*)?(?:\d{1,4}|[ivxl]{1,6}|[A-Z]{1,2}-\d{1,3})")
_NUMBER = re.compile(r"\d{1,4}|[ivxl]{1,6}|[A-Z]{1,2}-\d{1,3}")
_IN_NUMBERS = "0123456789ivxl-" + string.ascii_uppercase
_LEADERS = re.compile(r"(?:\.\s?){4}")
_FILLS = re.compile(r"[\s.]*")
_MIN_DOTS = 4
_LAST = frozenset("0123456789.ivxl")
_MIN_GAP = 1.0
"""Between an entry and its page's number, in heights of the line; leaders fill wider ones."""
_MIN_LINES = 5
_MIN_SHARE = 0.4
"""Of a page's lines that are entries."""


def is_entry(line: Sequence[Piece]) -> bool:
    """Return whether a line ends with the number of a page, far from its words."""
    last = line[-1]
    if last.text.count(".") >= _MIN_DOTS and _ends_with_leaders(last.text.rstrip()):
        return True
    end = last.text.strip()
    if len(line) < 2 or end[-1:] not in _LAST or not _PAGE_NUMBER.fullmatch(end):
        return False
    words = line[-2]
    if not any(map(str.isalpha, "".join(piece.text for piece in line[:-1]))):
        return False
    if words.text.strip(" .").isdigit() and len(line) > 2:
        return False  # cells of a table
    return last.left - words.left - words.width > _MIN_GAP * last.height or words.text.endswith(
        ("..", ". .")
    )


def _ends_with_leaders(text: str) -> bool:
    """Return whether dots lead to the end of a text, or to a number there.

    One pattern for all of it would try each dot as the first for each end.
    """
    words = text.rstrip(_IN_NUMBERS)
    number = text[len(words) :]
    fills = _FILLS.match(words[::-1])
    is_number = not number or _NUMBER.fullmatch(number) is not None
    return is_number and fills is not None and _LEADERS.search(fills[0][::-1]) is not None


def may_be_contents(pieces: Sequence[Piece]) -> bool:
    """Return whether some pieces of a page end as entries do; without it no line need be made."""
    ends = sum(piece.text.rstrip()[-1:] in _LAST for piece in pieces if piece.text.strip())
    return ends >= _MIN_LINES


def contents_area(
    lines: Sequence[Sequence[Piece]],
) -> tuple[float, float, float, float] | None:
    """Return left, top, right and bottom of a table of contents; None on other pages."""
    entries = [line for line in lines if is_entry(line)]
    if len(entries) < max(_MIN_LINES, _MIN_SHARE * len(lines)):
        return None
    return (
        min(line[-2:][0].left for line in entries),
        min(line[0].top for line in entries),
        max(line[-1].left + line[-1].width for line in entries),
        max(line[0].top + line[0].height for line in entries),
    )
