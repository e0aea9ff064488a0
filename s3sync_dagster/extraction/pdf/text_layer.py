"""PDF text with pdfium, page by page. Runs in a worker: pdfium can hang and crash."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from s3sync_dagster.engine.ports import Content
from s3sync_dagster.extraction.metadata import Properties
from s3sync_dagster.extraction.pdf.accents import accented_words, compose
from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.fields import Fields, unsaid
from s3sync_dagster.extraction.pdf.figures import find_figures, with_figures
from s3sync_dagster.extraction.pdf.garbled import count_strange
from s3sync_dagster.extraction.pdf.notes import find_notes
from s3sync_dagster.extraction.pdf.open_pages import OpenPages
from s3sync_dagster.extraction.pdf.right_to_left import in_letter_order
from s3sync_dagster.extraction.pdf.tags import Name, is_tagged, tagged_headings
from s3sync_dagster.extraction.steps import PdfPages
from s3sync_dagster.model.errors import LimitExceeded, UnreadableFile
from s3sync_dagster.model.source import ExtractionConfig

PRELOAD = {"read_with_pdfium": ("pypdfium2",)}
MAX_PAGES = 7000
MAX_CHARACTERS = 200_000_000
_HALF = 180
MAX_PATHS = 8000
"""Lines and shapes of one page: 20,000 cost layout analysis 5 seconds, 50,000 cost it 25."""
_PROTECTED_ERRORS = (4, 5)
"""Of pdfium: a password that is not there, and a scheme such as certificates."""
_LINE_HYPHEN = re.compile("[\ufffe\x02]\r?\n?")
"""pdfium's mark for a hyphen that only the line's end made."""
_NO_CHARACTERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff\ufffe\uffff]+")
"""What a font without a table of characters leaves of its letters."""
_MIN_WORD_CHARACTERS = 4
"""A page with fewer is a scan, or empty."""


def read_with_pdfium(content: Content, *, name: str, config: ExtractionConfig) -> PdfPages:
    """Return the text layer of each page.

    Raises ``UnreadableFile`` (``encrypted``, ``damaged``) and ``LimitExceeded``
    (``too_many_pages``, ``output_too_large``).
    """
    del name, config
    pdf = open_pdf(content)
    pages = list(look_at_pages(pdf, OpenPages(pdf)))
    known = properties(pdf)
    return PdfPages(
        texts=tuple(
            with_figures(page.text, (*page.figures, *unsaid(page.fields, page.text)))
            for page in pages
        ),
        scans=tuple(number for number, page in enumerate(pages) if is_scan(page.text)),
        engine="pypdfium2",
        title=known.title,
        author=known.author,
        created=known.created,
    )


def open_pdf(content: Content) -> Any:
    """Return pdfium's document, its pages counted."""
    import pypdfium2

    try:
        pdf = pypdfium2.PdfDocument(content)  # bytes, which it reads without calling Python
    except pypdfium2.PdfiumError as error:
        if error.err_code in _PROTECTED_ERRORS:
            message = "The PDF is protected by a password or a certificate."
            raise UnreadableFile(message, reason="encrypted") from None
        raise UnreadableFile("The PDF is cut off or damaged.", reason="damaged") from None
    if len(pdf) > MAX_PAGES:
        raise LimitExceeded(
            f"The PDF has {len(pdf)} pages; at most {MAX_PAGES} are read.", reason="too_many_pages"
        )
    return pdf


@dataclass(frozen=True, slots=True)
class SeenPage:
    """What pdfium says of a page; nothing of one that cannot be loaded."""

    text: str = ""
    """With plain newlines."""
    figures: tuple[Block, ...] = ()
    """Alternative texts, and notes."""
    strange: int = 0
    """Characters of no script, as wrongly mapped fonts give them; the text is without most."""
    names: tuple[Name, ...] = ()
    """Headings that the file's tags name."""
    fields: tuple[Block, ...] = ()
    """Of a form, with what is filled in; no part of the text."""
    is_drawing: bool = False
    """Whether layout analysis would take quadratic time there."""
    is_upside_down: bool = False
    """Whether it is turned by half a circle to be shown, which layout analysis mixes up."""
    accented: Mapping[str, str] = field(default_factory=dict[str, str])
    """Words that have accents apart in the file, and how the text and the names have them."""


def look_at_pages(pdf: Any, pages: OpenPages) -> Iterator[SeenPage]:
    """Yield what is seen of each page. Raises ``LimitExceeded`` (``output_too_large``).

    ``pages`` are the document's.
    """
    import pypdfium2

    total = 0
    tagged = is_tagged(pdf)
    form = Fields(pdf)
    for number in range(len(pdf)):
        try:
            page, layer = pages[number]
        except pypdfium2.PdfiumError:
            yield SeenPage()
            continue
        text = layer.get_text_range()
        accented = accented_words(text, layer)
        text = compose(in_letter_order(text, layer), accented)
        names = tuple(
            replace(name, text=compose(name.text, accented))
            for name in (tagged_headings(page, layer) if tagged else ())
        )
        total += len(text)
        if total > MAX_CHARACTERS:
            raise LimitExceeded(
                f"The PDF holds more than {MAX_CHARACTERS // 10**6} million characters.",
                reason="output_too_large",
            )
        figures = (*(find_figures(page) if tagged else ()), *find_notes(page, plain(text)))
        is_drawing = _has_many_paths(page)
        turned = page.get_rotation() == _HALF
        fields = tuple(form.of(page))
        if is_drawing:
            pages.drop(number)
        yield SeenPage(
            text=plain(text),
            figures=figures,
            strange=count_strange(text),
            names=names,
            fields=fields,
            is_drawing=is_drawing,
            is_upside_down=turned,
            accented=accented,
        )
    form.close()


def plain(text: str) -> str:
    """Return text without pdfium's marks and without characters that no store likes."""
    if text.isprintable():
        return text  # none of these is, and most texts are single words and lines
    return _NO_CHARACTERS.sub("", _LINE_HYPHEN.sub("", text).replace("\r\n", "\n"))


def is_scan(text: str) -> bool:
    """Return whether a page's text layer is as good as empty."""
    # Nearly every page that is none shows it at once.
    for part in (text[:100], text):
        words = "".join(part.split())[:1000]
        if sum(map(str.isalnum, words)) >= _MIN_WORD_CHARACTERS:
            return False
    return True


def _has_many_paths(page: Any) -> bool:
    from pypdfium2 import raw

    count = raw.FPDFPage_CountObjects(page)
    if count <= MAX_PATHS:
        return False
    kinds = (raw.FPDFPageObj_GetType(raw.FPDFPage_GetObject(page, i)) for i in range(count))
    return sum(kind == raw.FPDF_PAGEOBJ_PATH for kind in kinds) > MAX_PATHS


def properties(pdf: Any) -> Properties:
    """Return title, author and date as the PDF's own dictionary gives them."""
    metadata = pdf.get_metadata_dict(skip_empty=True)
    return Properties(
        title=_named(metadata.get("Title")),
        author=_named(metadata.get("Author")),
        created=iso_date(metadata.get("CreationDate", "")),
    )


def _named(value: str | None) -> str | None:
    """Return a title or author, None for what programs write where nobody gave one."""
    text = " ".join((value or "").split())
    return None if text.strip("()").lower() in ("", "anonymous", "untitled", "unknown") else text


def iso_date(text: str) -> str | None:
    """Return ``D:20240229120000+01'00'`` as ``2024-02-29T12:00:00+01:00``, None for anything else.

    Only the parts that are given are kept.
    """
    found = re.fullmatch(
        r"(?:D:)?(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?)?(Z|[+-]\d\d)?'?(\d\d)?'?.*", text
    )
    if not found:
        return None
    year, month, day, hour, minute, second, zone, zone_minutes = found.groups()
    date = f"{year}-{month}-{day}"
    if hour is None:
        return date
    offset = "" if zone is None else "Z" if zone == "Z" else f"{zone}:{zone_minutes or '00'}"
    return f"{date}T{hour}:{minute}:{second or '00'}{offset}"
