"""What a reason means and what to do about it: the tables of docs/reasons.md."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# A link to the page itself, whose rows are held against the source by the tests.
PAGE = Path(__file__).parent / "reasons.md"
NO_WAY_OUT = ("nothing", "–")
"""What stands there where nobody has to do anything."""
_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")
_CODE = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True)
class Reason:
    """One word, as the documents explain it; code stands between backticks."""

    word: str
    kind: str
    """The heading of its table, such as ``Failed: the file``."""
    means: str
    way_out: str


@cache
def known_reasons() -> Mapping[str, Reason]:
    """Return all reasons by their words."""
    found: dict[str, Reason] = {}
    kind = ""
    for line in PAGE.read_text("utf-8").splitlines():
        if line.startswith("## "):
            kind = line[3:]
        cells = [_LINK.sub(r"\1", cell.strip(" |")) for cell in line.strip("|").split(" | ")]
        if line.startswith("| `") and len(cells) == 3:
            for word in _CODE.findall(cells[0]):
                found.setdefault(word, Reason(word, kind, cells[1], cells[2]))
    return found


def way_out(word: str | None) -> str | None:
    """Return what a person can do about a reason; None: nothing, or nobody knows it."""
    reason = known_reasons().get(word or "")
    return None if reason is None or reason.way_out in NO_WAY_OUT else reason.way_out
