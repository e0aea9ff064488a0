"""What a document's pictures say and show, put beside its text."""

import shutil
from dataclasses import replace
from itertools import pairwise

from s3sync_dagster.engine.ports import Content, WorkerPool, WorkLimits
from s3sync_dagster.extraction.answers import pictures_of
from s3sync_dagster.extraction.steps import Picture
from s3sync_dagster.extraction.vision import Describe
from s3sync_dagster.model.document import Document, Page
from s3sync_dagster.model.errors import FixInput, MissingEngine, S3SyncError
from s3sync_dagster.model.source import ExtractionConfig

_FUNCTION = "s3sync_dagster.extraction.pictures:look_at_pictures"
_LIMITS = WorkLimits(seconds=150, memory_bytes=900 * 1024**2)
_MAX_FAILURES = 2
"""Pictures in a row that the endpoint may refuse before it is left alone."""


def add_pictures(
    document: Document | None,
    content: Content,
    *,
    reader: str,
    config: ExtractionConfig,
    pool: WorkerPool,
    describe: Describe | None,
) -> Document | None:
    """Return the document with its pictures' texts and descriptions.

    Pictures of a PDF stand at the end of their page, others at the end of the document. What
    cannot be read or described is named in a warning; None stays None without any picture.

    Raises what ``describe`` raises where there is no document to put a warning on.
    """
    reads = config.ocr and reader != "image"
    has_tesseract = shutil.which("tesseract") is not None
    warnings: list[str] = []
    languages = config.ocr_languages if reads and has_tesseract else None
    if languages is None and describe is None and not reads:
        return document
    try:
        found = pool.submit(
            _FUNCTION,
            content,
            reader=reader,
            languages=languages,
            as_jpeg=describe is not None,
            limits=_LIMITS,
        ).result()
        pictures = pictures_of(found)
    except (FixInput, MissingEngine) as error:
        if document is None:
            return None
        warning = f"The pictures were not read: {error.message}"
        return replace(document, warnings=(*document.warnings, warning))
    if pictures and reads and not has_tesseract:
        warnings.append(f"{len(pictures)} pictures were not read: Tesseract is not installed.")
    shown: list[str] = []
    if describe is not None:
        shown, failure = _describe(pictures, describe)
        if failure is not None:
            if document is None:
                raise failure
            missing = len(pictures) - sum(map(bool, shown))
            warnings.append(f"{missing} pictures were not described: {failure.message}")
    return _join(document, pictures, shown, warnings)


def _describe(
    pictures: tuple[Picture, ...], describe: Describe
) -> tuple[list[str], S3SyncError | None]:
    """Return a description of each picture, empty where there is none, and the last failure."""
    shown = [""] * len(pictures)
    failure: S3SyncError | None = None
    failed = 0
    for number, picture in enumerate(pictures):
        if failed >= _MAX_FAILURES:
            break
        try:
            shown[number] = describe(picture.jpeg)
            failed = 0
        except S3SyncError as error:
            failure, failed = error, failed + 1
    return shown, failure


def _join(
    document: Document | None,
    pictures: tuple[Picture, ...],
    shown: list[str],
    warnings: list[str],
) -> Document | None:
    lines: dict[str | None, list[str]] = {}
    for number, picture in enumerate(pictures):
        texts = lines.setdefault(picture.page, [])
        if shown and shown[number]:
            texts.append(f"[Picture {picture.name}: {shown[number]}]")
        if picture.text:
            texts.append(f"[Text in picture {picture.name}: {picture.text}]")
    described = any(shown)
    read = any(picture.text for picture in pictures)
    engines = ["tesseract"] * read + ["vision"] * described
    if document is None:
        text = "\n\n".join(line for texts in lines.values() for line in texts)
        return (
            Document(text=text + "\n", format="markdown", engine="+".join(engines))
            if text
            else None
        )
    placed = _place(document, lines)
    return replace(
        placed,
        engine="+".join([document.engine, *engines]),
        warnings=(*document.warnings, *warnings),
    )


def _place(document: Document, lines: dict[str | None, list[str]]) -> Document:
    """Return the document with lines at the end of the page that they belong to, or of all."""
    left = dict(lines)
    pages: list[Page] = []
    first = document.pages[0].start if document.pages else len(document.text)
    text = _Growing(document.text[:first])
    for page, following in pairwise([*document.pages, Page(start=len(document.text), label="")]):
        pages.append(replace(page, start=text.length))
        text.add(document.text[page.start : following.start])
        if added := left.pop(page.label, []):
            text.end_with(added)
            text.add("\n" * (following.start < len(document.text)))
    if rest := [line for texts in left.values() for line in texts]:
        text.end_with(rest)
    return replace(document, text=text.whole(), pages=tuple(pages))


class _Growing:
    """A text that grows at its end and is put together once: its pages may be very many."""

    def __init__(self, text: str) -> None:
        self._parts = [text]
        self.length = len(text)

    def add(self, part: str) -> None:
        self._parts.append(part)
        self.length += len(part)

    def end_with(self, lines: list[str]) -> None:
        """Put lines below what there is, in place of the line feeds at its end."""
        kept = ""
        while self._parts and not kept:
            part = self._parts.pop()
            kept = part.rstrip("\n")
            self.length += len(kept) - len(part)
        self._parts.append(kept)
        self.add("\n\n".join(["", *lines]) + "\n")

    def whole(self) -> str:
        return "".join(self._parts)
