"""AsciiDoc and LaTeX through docling, to Markdown."""

from typing import Any

from s3sync_dagster.engine.ports import Content
from s3sync_dagster.extraction.content import read_all
from s3sync_dagster.extraction.decoding import Decoded, decode
from s3sync_dagster.extraction.docling_reader import (
    TO_MARKDOWN,
    convert,
    fill_pictures,
    open_backend,
    to_markdown,
)
from s3sync_dagster.model.document import Document
from s3sync_dagster.model.source import ExtractionConfig

PRELOAD = {
    "read_asciidoc": ("docling.backend.asciidoc_backend", TO_MARKDOWN),
    "read_latex": ("docling.backend.latex_backend", TO_MARKDOWN),
}


def read_asciidoc(content: Content, *, name: str, config: ExtractionConfig) -> Document:
    """Return an AsciiDoc document as Markdown."""
    from docling.backend.asciidoc_backend import AsciiDocBackend

    del config
    return _read(content, name=name, format_name="ASCIIDOC", backend=AsciiDocBackend)


def read_latex(content: Content, *, name: str, config: ExtractionConfig) -> Document:
    """Return a LaTeX document as Markdown; files that it includes are not looked up."""
    from docling.backend.latex_backend import LatexDocumentBackend

    del config
    return _read(content, name=name, format_name="LATEX", backend=LatexDocumentBackend)


def _read(content: Content, *, name: str, format_name: str, backend: Any) -> Document:
    decoded = decode(read_all(content))
    opened = open_backend(
        decoded.text.encode(), name=name, format_name=format_name, backend=backend
    )
    text = fill_pictures(to_markdown(convert(opened)))
    return Document(
        text=text,
        format="markdown",
        encoding=decoded.encoding,
        encoding_guessed=decoded.guessed,
        engine="docling",
        warnings=_warnings(decoded),
    )


def _warnings(decoded: Decoded) -> tuple[str, ...]:
    return (f"The encoding was guessed: {decoded.encoding}.",) if decoded.guessed else ()
