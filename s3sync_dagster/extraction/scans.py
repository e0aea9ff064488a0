"""Pages to one document, those that are scans read by Tesseract in between."""

import shutil
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait

from s3sync_dagster.core.interfaces import Content, WorkerPool, WorkLimits
from s3sync_dagster.extraction.pages import PageWriter
from s3sync_dagster.extraction.steps import PdfPages
from s3sync_dagster.extraction.words import word_recall
from s3sync_dagster.model.document import Document
from s3sync_dagster.model.errors import EmptyText, LimitExceeded, MissingEngine
from s3sync_dagster.model.source import ExtractionConfig

MAX_OCR_SECONDS = 600.0
"""Wall time for one document's scans; what is not read by then is named in a warning."""
_SECONDS_PER_PAGE = 90.0
_MEMORY_BYTES = 900 * 1024**2
_MIN_AGREEMENT = 0.5
"""Share of the words seen in the picture that a good text layer has."""
_AT_ONCE = 4
"""Pages that are queued ahead, so that other files get their turn."""
_FUNCTION = "s3sync_dagster.extraction.ocr:read_pdf_pages"


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
    empty = not any(texts)
    if pages.scans and config.ocr and shutil.which("tesseract"):
        read = _recognise(pages.scans, content, config=config, pool=pool, warnings=warnings)
        for number, text in read.items():
            # A text layer that was taken for garbled stays where the picture says the same.
            if word_recall(text, texts[number]) < _MIN_AGREEMENT:
                texts[number] = text
        engine = f"{engine}+tesseract" if read else engine
    elif pages.scans and empty and config.ocr:
        raise MissingEngine(
            "The PDF is a scan; reading it needs tesseract, which is not installed.",
            reason="missing_program",
        )
    elif pages.scans and not empty:
        why = "Tesseract is not installed" if config.ocr else "OCR is off"
        warnings.append(f"{len(pages.scans)} pages are pictures and were not read: {why}.")
    if not any(texts):
        raise EmptyText("The file has no text layer: it is a scan or empty.", reason="no_text")
    return join_pages(texts, pages, engine=engine, warnings=warnings)


def _recognise(
    numbers: tuple[int, ...],
    content: Content,
    *,
    config: ExtractionConfig,
    pool: WorkerPool,
    warnings: list[str],
) -> dict[int, str]:
    """Return the texts of pages that Tesseract could read; the others are named in a warning."""
    ends_at = time.monotonic() + MAX_OCR_SECONDS
    limits = WorkLimits(seconds=_SECONDS_PER_PAGE, memory_bytes=_MEMORY_BYTES)
    read: dict[int, str] = {}
    at_work: dict[Future[list[str]], int] = {}
    waiting: Iterator[int] = iter(numbers)
    while True:
        while len(at_work) < _AT_ONCE and time.monotonic() < ends_at:
            number = next(waiting, None)
            if number is None:
                break
            future = pool.submit(
                _FUNCTION, content, [number], languages=config.ocr_languages, limits=limits
            )
            at_work[future] = number
        if not at_work:
            break
        done, _ = wait(at_work, return_when=FIRST_COMPLETED)
        for future in done:
            number = at_work.pop(future)
            try:
                read[number] = future.result()[0]
            except LimitExceeded as error:
                warnings.append(f"Page {number + 1} was not read: {error.message}")
    late = sum(1 for _ in waiting)
    if late:
        warnings.append(
            f"{late} scanned pages were not read: {MAX_OCR_SECONDS:g} s were not enough."
        )
    return read


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
