"""What a reason means and what to do about it: the tables of docs/reasons.md, for pages."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from markupsafe import Markup, escape

from s3sync_dagster.api.console.rendering import FOLDER

_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")
_CODE = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True)
class Reason:
    """One word, as the documents explain it."""

    word: str
    kind: str
    """The heading of its table, such as ``Failed: the file``."""
    means: Markup
    way_out: Markup


@cache
def known_reasons() -> Mapping[str, Reason]:
    """Return all reasons by their words."""
    found: dict[str, Reason] = {}
    kind = ""
    # A link to the page itself, whose rows are held against the source by the tests.
    for line in (FOLDER / "reasons.md").read_text("utf-8").splitlines():
        if line.startswith("## "):
            kind = line[3:]
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| `") and len(cells) == 3:
            for word in _CODE.findall(cells[0]):
                found.setdefault(word, Reason(word, kind, _marked(cells[1]), _marked(cells[2])))
    return found


def _marked(text: str) -> Markup:
    plain = str(escape(_LINK.sub(r"\1", text.strip(" |"))))
    return Markup(_CODE.sub(r"<code>\1</code>", plain))
