"""Word documents and OpenDocument texts through docling's backends."""

from typing import Any

from s3sync_dagster.engine.ports import Content
from s3sync_dagster.extraction.docling_reader import (
    TO_MARKDOWN,
    convert,
    fill_pictures,
    open_backend,
    to_markdown,
)
from s3sync_dagster.extraction.drawings import with_drawings
from s3sync_dagster.extraction.formulas import open_formulas
from s3sync_dagster.extraction.furniture import with_furniture
from s3sync_dagster.extraction.metadata import office_properties
from s3sync_dagster.extraction.office_shapes import open_text
from s3sync_dagster.extraction.templates import as_document
from s3sync_dagster.model.document import Document
from s3sync_dagster.model.source import ExtractionConfig

_BACKENDS = "docling.backend."
WORD_BACKEND = "s3sync_dagster.extraction.word_backend"
PRELOAD = {
    "read_docx": (WORD_BACKEND, "defusedxml.ElementTree", TO_MARKDOWN),
    "read_odt": (_BACKENDS + "opendocument_backend", "defusedxml.ElementTree", TO_MARKDOWN),
}
_DRAWING = "{http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing}docPr"


def read_docx(content: Content, *, name: str, config: ExtractionConfig) -> Document:
    """Return a Word document: body, notes and comments, then running heads and feet once."""
    from s3sync_dagster.extraction.word_backend import WordBackend  # noqa: PLC0415 (as docling)

    del config
    backend = open_backend(as_document(content), name=name, format_name="DOCX", backend=WordBackend)
    parsed = convert(backend)
    _keep_footnotes(parsed)
    _keep_formulas(parsed)
    texts = [drawing.get("descr") or "" for drawing in backend.docx_obj.element.body.iter(_DRAWING)]
    markdown = fill_pictures(to_markdown(parsed, layers=("BODY", "NOTES")), texts)
    main = str(backend.docx_obj.part.partname).lstrip("/")
    markdown = with_drawings(markdown, content, main)
    return _document(content, with_furniture(markdown, parsed, set()))


def read_odt(content: Content, *, name: str, config: ExtractionConfig) -> Document:
    """Return an OpenDocument text, its running heads and feet once at the end."""
    from docling.backend.opendocument_backend import OdtDocumentBackend

    del config

    class Backend(OdtDocumentBackend):
        _odf_type = ""  # templates too

    backend = open_backend(content, name=name, format_name="ODT", backend=Backend)
    body, heads = (
        part.root._xml_element for part in (backend.odf_obj.content, backend.odf_obj.styles)
    )
    open_formulas(body, backend.odf_obj.container.get_part)
    open_text(heads)
    texts = open_text(body)
    parsed = convert(backend)
    _keep_footnotes(parsed)
    markdown = fill_pictures(to_markdown(parsed, layers=("BODY", "NOTES")), texts)
    return _document(content, with_furniture(markdown, parsed, set()))


def _keep_footnotes(parsed: Any) -> None:
    """Move footnotes from the layer of running heads, where docling puts them, into the body."""
    from docling_core.types.doc.common.content_layer import ContentLayer
    from docling_core.types.doc.labels import DocItemLabel

    for item in parsed.texts:
        if item.label == DocItemLabel.FOOTNOTE:
            item.content_layer = ContentLayer.BODY


def _keep_formulas(parsed: Any) -> None:
    """Mark formulas of headings and titles as those of other text, not as docling does inside."""
    for item in parsed.texts:
        if "<eq>" in item.text:
            item.text = item.text.replace("<eq>", "$").replace("</eq>", "$")


def _document(content: Content, markdown: str) -> Document:
    properties = office_properties(content)
    return Document(
        text=markdown,
        format="markdown",
        title=properties.title,
        author=properties.author,
        created=properties.created,
        engine="docling",
    )
