"""Running heads and feet of Office documents and slides, which docling sets apart as furniture.

They may be the only place of an address or a telephone's number, so each is read once.
"""

import re
from typing import Any

from s3sync_dagster.extraction.docling_reader import fill_pictures, to_markdown
from s3sync_dagster.extraction.pdf.running_heads import is_page_number
from s3sync_dagster.extraction.words import in_order

_LONG_NUMBER = re.compile(r"\d{4}|\d\D+\d+\D+\d")
"""A year, a date or a telephone's number, not the page's."""


def with_furniture(markdown: str, parsed: Any, known: set[str]) -> str:
    """Return a text with what only its running heads and feet say, as paragraphs at its end.

    At the beginning they would pass for the title. What is ``known`` is not said again: it is that
    of the pages before, and is added to.
    """
    said = f" {in_order(markdown)} "
    for part in fill_pictures(to_markdown(parsed, layers=("FURNITURE",))).split("\n\n"):
        text = part.strip().lstrip("#").strip()
        words = in_order(text)
        is_number = is_page_number(text) and not _LONG_NUMBER.search(text)
        if not is_number and words not in known and f" {words} " not in said:
            markdown = f"{markdown.rstrip()}\n\n{text}\n".lstrip("\n")
            known.add(words)
    return markdown
