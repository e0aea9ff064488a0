"""Pages to one document; docling's models and Tesseract read the hard ones in between."""

import shutil
from collections.abc import Collection
from dataclasses import replace

from s3sync_dagster.engine.ports import Content, WorkerPool, WorkLimits
from s3sync_dagster.extraction.counting import WordCounter
from s3sync_dagster.extraction.pages import PageWriter, page_ranges
from s3sync_dagster.extraction.pdf.second_look import PageReader, read_again
from s3sync_dagster.extraction.pdf.text_layer import is_scan
from s3sync_dagster.extraction.steps import PdfPages
from s3sync_dagster.model.document import Document
from s3sync_dagster.model.errors import EmptyText, MissingEngine
from s3sync_dagster.model.source import ExtractionConfig

_MIB = 1024**2
_TESSERACT = PageReader(
    function="s3sync_dagster.extraction.ocr:read_pdf_pages",
    pages_at_once=1,
    limits=WorkLimits(seconds=90, memory_bytes=900 * _MIB),
    total_seconds=600,
    kind="scanned",
)
_MODELS = PageReader(
    function="s3sync_dagster.extraction.models:read_pages",
    pages_at_once=8,  # the models are loaded for each call
    limits=WorkLimits(seconds=240, memory_bytes=4096 * _MIB),
    total_seconds=1800,
    kind="hard",
)
_MIN_AGREEMENT = 0.5
"""Share of the words seen in the picture that a good text layer has."""
_MIN_RECALL = 0.9
"""Share of a page's own words that the models have to keep."""


def read_scans(
    pages: PdfPages, content: Content, *, config: ExtractionConfig, pool: WorkerPool
) -> Document:
    """Return the document of a PDF or picture.

    Raises ``EmptyText`` (``no_text``) for a scan where OCR is off or finds nothing, and
    ``MissingEngine`` (``missing_program``) for one where Tesseract is not installed.
    """
    texts = list(pages.texts)
    warnings = list(pages.warnings)
    engine = pages.engine
    seen = _look_with_models(
        pages, content, texts=texts, config=config, pool=pool, warnings=warnings
    )
    if seen:
        engine += "+docling-models"
    by_reason: dict[str, set[int]] = {}
    for number, reason in pages.plain.items():  # in one walk: a worker may name as many as pages
        if number not in seen:
            by_reason.setdefault(reason, set()).add(number)
    for reason, plain in by_reason.items():
        shown = page_ranges(plain)
        warnings.append(f"Pages read as plain text, without layout: {shown} ({reason}).")
    pages = replace(
        pages,
        scans=tuple(number for number in pages.scans if number not in seen),
        continued=pages.continued - seen,
    )
    empty = not any(texts)
    if pages.scans and config.ocr and shutil.which("tesseract"):
        read = read_again(
            pages.scans, content, reader=_TESSERACT, config=config, pool=pool, warnings=warnings
        )
        if garbled := _take(read, texts, words=WordCounter(pool), pictures=pages.pictures):
            warnings.append(
                f"Pages whose text layer is garbled were read from their pictures: "
                f"{page_ranges(garbled)}."
            )
        engine = f"{engine}+tesseract" if read else engine
    elif pages.scans and empty and config.ocr:
        raise MissingEngine(
            "The PDF is a scan; reading it needs tesseract, which is not installed.",
            reason="missing_program",
        )
    elif pages.scans and not empty:
        why = "Tesseract is not installed" if config.ocr else "OCR is off"
        garbled = [
            number
            for number in pages.scans
            if number not in pages.pictures and not is_scan(texts[number])
        ]
        if garbled:
            warnings.append(f"Pages with a garbled text layer: {page_ranges(garbled)} ({why}).")
        if pictures := len(pages.scans) - len(garbled):
            warnings.append(f"{pictures} pages are pictures and were not read: {why}.")
    if not any(texts):
        raise EmptyText("The file has no text layer: it is a scan or empty.", reason="no_text")
    return join_pages(texts, pages, engine=engine, warnings=warnings)


def _take(
    read: dict[int, str], texts: list[str], *, words: WordCounter, pictures: Collection[int] = ()
) -> list[int]:
    """Put what Tesseract reads in place of texts; return the pages that had a text of their own.

    A text layer that was taken for garbled stays where the picture says the same, or nothing. On a
    page without one, what stands on its picture stays too: the fields of a form that was scanned.
    """
    replaced: list[int] = []
    for number, text in read.items():
        had = texts[number]
        if is_scan(had) or (number in pictures and words.recall(had, text) == 1):
            texts[number] = text
        elif number in pictures:
            texts[number] = "\n\n".join(part for part in (text.strip(), had) if part)
        elif words.is_text(text) and words.recall(text, had) < _MIN_AGREEMENT:
            texts[number] = text
            replaced.append(number)
    return replaced


def _look_with_models(
    pages: PdfPages,
    content: Content,
    *,
    texts: list[str],
    config: ExtractionConfig,
    pool: WorkerPool,
    warnings: list[str],
) -> set[int]:
    """Put what docling's models read in place of texts, and return where.

    A page whose words they lose keeps the text that it had.
    """
    if not pages.hard:
        return set()
    taken: set[int] = set()
    words = WordCounter(pool)
    read = read_again(
        pages.hard, content, reader=_MODELS, config=config, pool=pool, warnings=warnings
    )
    for number, text in read.items():
        had = "" if number in pages.scans else texts[number]
        if text.strip() and words.recall(had, text) >= _MIN_RECALL:
            texts[number] = text
            taken.add(number)
    return taken


def join_pages(texts: list[str], pages: PdfPages, *, engine: str, warnings: list[str]) -> Document:
    """Return the document of page texts, with the place of each page."""
    writer = PageWriter()
    for number, text in enumerate(texts, start=1):
        gap = "\n" if number in pages.continued else "\n\n"  # the next page's index
        writer.add(str(number), text, gap=gap)
    return Document(
        text=writer.text,
        format="markdown",
        pages=writer.pages,
        page_count=len(texts),
        title=pages.title,
        author=pages.author,
        created=pages.created,
        engine=engine,
        warnings=tuple(warnings),
    )
