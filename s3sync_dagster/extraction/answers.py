"""What workers give is looked at before it is worked on: they may have been taken over.

Places in a text that are in order, pages that are there: what is built on them in the caller would
otherwise fail, and with it the batch, or take a text many times.
"""

from itertools import pairwise
from typing import Any

from s3sync_dagster.extraction.beside_text import (
    HEADER_CHARACTERS,
    LABEL_CHARACTERS,
    NAME_CHARACTERS,
)
from s3sync_dagster.extraction.pdf.text_layer import MAX_PAGES
from s3sync_dagster.extraction.steps import Converted, Mail, PdfPages, Picture
from s3sync_dagster.model.document import Document
from s3sync_dagster.workers.refusals import broken_reply
from s3sync_dagster.workers.shapes import is_of

Answer = Document | Converted | Mail | PdfPages
MOST_ATTACHMENTS = 200
MOST_HEADERS = 10
MOST_PICTURES = 20
"""Readers return no more."""


def answer_of(found: Any) -> Answer:
    """Return what a reader gave. Raises ``LimitExceeded`` (``worker_crashed``) for others."""
    match found:
        case Document():
            good = _in_order(found)
        case Converted():
            good = found.plain is None or _in_order(found.plain)
        case Mail():
            good = _is_short(found)
        case PdfPages():
            good = _all_there(found)
        case _:
            good = False
    if not good:
        raise broken_reply()
    return found


def text_of(found: Any) -> str:
    """Return a text. Raises as ``answer_of`` does."""
    if not is_of(found, str):
        raise broken_reply()
    return found


def share_of(found: Any) -> float:
    """Return a share of a whole. Raises as ``answer_of`` does."""
    if not is_of(found, float) or not 0 <= found <= 1:
        raise broken_reply()
    return found


def texts_of(found: Any, count: int) -> list[str]:
    """Return the texts of so many pages. Raises as ``answer_of`` does."""
    if not is_of(found, list[str]) or len(found) != count:
        raise broken_reply()
    return found


def pictures_of(found: Any) -> tuple[Picture, ...]:
    """Return pictures. Raises as ``answer_of`` does."""
    if not is_of(found, tuple[Picture, ...]) or len(found) > MOST_PICTURES:
        raise broken_reply()
    return found


def _is_short(mail: Mail) -> bool:
    names = [len(one.name) for one in mail.attachments]
    said = [len(one) for pair in mail.headers for one in pair]
    labels = [len(one or "") for one in (mail.subject, mail.author, mail.created, mail.engine)]
    return (
        len(names) <= MOST_ATTACHMENTS
        and max(names, default=0) <= NAME_CHARACTERS
        and len(said) <= 2 * MOST_HEADERS
        and max(said, default=0) <= HEADER_CHARACTERS
        and max(labels) <= LABEL_CHARACTERS
    )


def _in_order(document: Document) -> bool:
    starts = [page.start for page in document.pages]
    return all(a <= b for a, b in pairwise(starts)) and starts[-1:] <= [len(document.text)]


def _all_there(pages: PdfPages) -> bool:
    count = len(pages.texts)
    named = (pages.scans, pages.hard, tuple(pages.plain), tuple(pages.continued))
    return count <= MAX_PAGES and all(
        len(set(some)) == len(some) and max(some, default=-1) < count for some in named
    )
