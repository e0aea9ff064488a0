"""Files with a known text: which of a repository's files say what another one holds."""

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from benchmarks.extraction.foreign import pdf_truths
from benchmarks.extraction.foreign import repositories as known
from benchmarks.extraction.foreign.native import native_to_markdown
from benchmarks.extraction.foreign.repositories import Files, Repository

MAX_BYTES = 20_000_000
GROUPS = {
    **dict.fromkeys(("docx", "docm", "dotx"), "docx"),
    **dict.fromkeys(("pptx", "pptm", "ppsx", "potx"), "pptx"),
    **dict.fromkeys(("xlsx", "xlsm", "xls", "xlsb", "ods", "xltx"), "sheets"),
    **dict.fromkeys(("html", "htm", "xhtml"), "html"),
    **dict.fromkeys(("odt", "odp", "ott", "otp"), "odt odp"),
    **dict.fromkeys(("doc", "ppt", "dot", "pps"), "doc ppt"),
    **dict.fromkeys(("tex", "latex", "adoc", "asciidoc"), "tex adoc"),
    **{kind: kind for kind in ("pdf", "epub", "rtf", "csv", "eml", "msg")},
    **dict.fromkeys(("png", "jpg", "jpeg", "tif", "tiff", "bmp", "webp", "gif"), "image"),
}
"""Rows of the table, by suffix."""


@dataclass(frozen=True, slots=True)
class Case:
    """A file, and where it is known what is in it."""

    repository: str
    path: str
    content: bytes
    truth: str
    """Markdown; empty where the file is only asked for at all."""
    only_words: bool = False
    """True where the truth has no headings or tables of its own."""
    is_part: bool = False
    """True where the file says more than the truth, such as a page around an article."""
    only: str = ""
    """``headings`` or ``cells`` where nothing else is known."""

    @property
    def group(self) -> str:
        """Row of the table."""
        return f"{GROUPS[suffix(self.path)]} {self.only}".strip()

    def knows(self, column: str) -> bool:
        """Return whether a score of this name says something."""
        if self.only:
            return column in (self.only, "recall" if self.only == "cells" else self.only)
        if column in ("cells", "headings"):
            return not self.only_words
        return column != "precision" or not self.is_part

    @property
    def half(self) -> str:
        """``tune`` or ``report``, by the path alone."""
        digest = hashlib.sha256(f"{self.repository}/{self.path}".encode()).digest()
        return "tune" if digest[0] % 2 else "report"


def suffix(path: str) -> str:
    return PurePosixPath(path).suffix.lower().lstrip(".")


def find_cases(folder: Path) -> Iterator[Case]:
    """Yield all files with a truth, of the repositories that are below the folder."""
    known_headings: set[str] = set()  # of PDFs that several projects have
    for repository, find in _FINDERS:
        files = repository.open(folder)
        for case in find(files) if files is not None else ():
            if case.only != "headings" or case.truth not in known_headings:
                yield case
            known_headings.add(case.truth)


def find_files(folder: Path) -> Iterator[Case]:
    """Yield all files of formats that are read, without a truth: for what is refused."""
    for repository, roots in _ROOTS.items():
        files = repository.open(folder)
        for root in roots if files is not None else ():
            for path in files.below(root) if files is not None else ():
                if suffix(path) in GROUPS:
                    content = files.read(path) if files is not None else None
                    if content and len(content) <= MAX_BYTES:
                        yield Case(repository.name, path, content, "")


def _case(
    repository: Repository, files: Files, path: str, truth: str | None, **of: Any
) -> Iterator[Case]:
    content = files.read(path) if suffix(path) in GROUPS else None
    if content and truth and truth.strip() and len(content) <= MAX_BYTES:
        yield Case(repository.name, path, content, truth, **of)


def _text(files: Files, path: str) -> str | None:
    content = files.read(path) if path in files else None
    return None if content is None else content.decode("utf-8-sig", "replace")


def _docling(files: Files) -> Iterator[Case]:
    """Yield files whose reviewed output stands beside them."""
    for path in files.below("tests/data/"):
        parts = path.split("/")
        printed = suffix(path) == "pdf" and parts[2] != "pdf"  # of an ODT: its truth says more
        if "sources" not in parts or "latex" in parts or printed:
            continue
        place = "/".join([*parts[:3], "groundtruth"])
        name, stem = parts[-1], PurePosixPath(path).stem
        truth = _text(files, f"{place}/{name}.md") or _text(files, f"{place}/{stem}.md")
        yield from _case(known.DOCLING, files, path, truth, only_words=suffix(path) == "csv")


def _pandoc(files: Files) -> Iterator[Case]:
    """Yield files whose document stands beside them in pandoc's notation."""
    for path in files.below("test/"):
        if suffix(path) not in ("docx", "odt", "rtf", "epub", "pptx"):
            continue
        beside = str(PurePosixPath(path).with_suffix(".native"))
        places = (
            beside,
            beside.replace("odt/odt/", "odt/native/"),
            beside.replace("/golden/", "/"),
            beside.replace(".native", "_accept.native"),  # tracked changes, accepted
        )
        native = next((text for place in places if (text := _text(files, place))), None)
        if native:
            try:
                truth = native_to_markdown(native)
            except (IndexError, ValueError, TypeError, RecursionError):
                continue
            yield from _case(known.PANDOC, files, path, truth)


def _sheets(files: Files) -> Iterator[Case]:
    """Yield workbooks whose sheets stand beside them as CSV, as Excel shows them."""
    for path in files.paths:
        if GROUPS.get(suffix(path)) != "sheets" or path.startswith("password"):
            continue
        for place in (path, f"2013/{path}", f"2011/{path}"):
            shown = [_text(files, f"{place}.{number}.csv") for number in range(60)]
            tables = [_csv_table(text) for text in shown if text and text.strip(", \r\n")]
            if tables:
                yield from _case(known.SHEETS, files, path, "\n\n".join(tables))
                break


def _csv_table(text: str) -> str:
    rows = [row for row in csv.reader(io.StringIO(text)) if any(cell.strip() for cell in row)]
    return "\n".join(
        "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in row) + " |"
        for row in rows
    )


def _kreuzberg(files: Files) -> Iterator[Case]:
    """Yield files whose text pandoc wrote beside them."""
    for path in files.below("test_documents/"):
        stem = str(PurePosixPath(path).with_suffix(""))
        for beside in (f"{stem}.pandoc.md", f"{stem}.md"):
            if suffix(path) != "md" and beside in files:
                yield from _case(known.KREUZBERG, files, path, _text(files, beside))
                break


def _markitdown(files: Files) -> Iterator[Case]:
    folder = "packages/markitdown/tests/test_files/"
    for path in files.below(folder):
        truth = _text(files, f"{folder}expected_outputs/{PurePosixPath(path).stem}.md")
        if suffix(path) == "pdf":
            yield from _case(known.MARKITDOWN, files, path, truth)


def _articles(files: Files) -> Iterator[Case]:
    """Yield news pages of which the article's words are known."""
    truths = json.loads(_text(files, "ground-truth.json") or "{}")
    for path in list(files.below("html/"))[::4]:
        content = files.read(path)
        name = PurePosixPath(path).name.removesuffix(".gz").removesuffix(".html")
        truth = truths.get(name, {}).get("articleBody")
        if content and truth:
            page = gzip.decompress(content) if path.endswith(".gz") else content
            yield Case(known.ARTICLES.name, f"{name}.html", page, truth, True, True)


def _readers(files: Files) -> Iterator[Case]:
    """Yield PDF pages with Markdown by hand; git holds the PDFs themselves as LFS pointers."""
    for path in files.below("pdfs/"):
        truth = _text(files, f"ground-truth/markdown/{PurePosixPath(path).stem}.md")
        yield from _case(known.READERS, files, path, truth)


def _annotated(files: Files) -> Iterator[Case]:
    """Yield PDFs of which people marked the titles and section headings."""
    for folder in ("case_01", "case_02"):
        root = f"tests/data/cvat_pdfs_dataset_e2e/{folder}"
        annotations = files.read(f"{root}_annotations.xml") or b"<none/>"
        boxes = pdf_truths.boxes_of(annotations, "title", "section_header")
        for stem, places in boxes.items():
            path = f"{root}/{stem}.pdf"
            content = files.read(path)
            if content:
                pages, found = pdf_truths.annotated_pages(content, places)
                yield from _headings(known.ANNOTATED, path, pages, found)


def _contests(files: Files) -> Iterator[Case]:
    """Yield the PDFs of ICDAR 2013's contest on tables."""
    for path in files.below("src/test/resources/technology/tabula/icdar2013-dataset/"):
        structure = files.read(path.removesuffix(".pdf") + "-str.xml")
        if suffix(path) == "pdf" and structure:
            truth = pdf_truths.tables_of(structure)
            yield from _case(known.TABLES, files, path, truth, is_part=True, only="cells")


def _named(repository: Repository) -> Callable[[Files], Iterator[Case]]:
    """Yield PDFs that name their headings themselves, with these names taken out."""

    def find(files: Files) -> Iterator[Case]:
        seen: set[bytes] = set()
        for path in files.paths:
            content = files.read(path) if suffix(path) == "pdf" else None
            if not content or len(content) > MAX_BYTES or content in seen:
                continue
            seen.add(content)
            nameless, headings = pdf_truths.without_names(content)
            yield from _headings(repository, path, nameless, headings)

    return find


def _headings(
    repository: Repository, path: str, content: bytes, headings: list[str]
) -> Iterator[Case]:
    if headings:
        truth = "\n\n".join(f"# {text}" for text in headings)
        yield Case(repository.name, path, content, truth, is_part=True, only="headings")


_FINDERS: tuple[tuple[Repository, Callable[[Files], Iterator[Case]]], ...] = (
    (known.DOCLING, _docling),
    (known.PANDOC, _pandoc),
    (known.SHEETS, _sheets),
    (known.KREUZBERG, _kreuzberg),
    (known.MARKITDOWN, _markitdown),
    (known.ARTICLES, _articles),
    (known.READERS, _readers),
    (known.ANNOTATED, _annotated),
    (known.TABLES, _contests),
    *(
        (repository, _named(repository))
        for repository in (
            *(known.DOCLING, known.KREUZBERG, known.TIKA, known.UNSTRUCTURED, known.OLMOCR),
            *(known.PAGES, known.VIEWER, *known.NAMED),
        )
    ),
)
_ROOTS = {
    known.DOCLING: ("tests/data/",),
    known.TIKA: ("",),
    known.UNSTRUCTURED: ("example-docs/",),
    known.KREUZBERG: ("test_documents/",),
    known.MARKITDOWN: ("packages/markitdown/tests/",),
    known.PANDOC: ("test/",),
    known.OLMOCR: ("tests/", "olmocr/bench/sample_data/"),
}
