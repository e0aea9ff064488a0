"""Presentations: a page for each slide, with its notes and comments."""

import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from s3sync_dagster.engine.ports import Content
from s3sync_dagster.extraction.archives import BROKEN_ARCHIVE
from s3sync_dagster.extraction.docling_reader import (
    TO_MARKDOWN,
    convert,
    fill_pictures,
    open_backend,
    to_markdown,
)
from s3sync_dagster.extraction.drawings import with_drawings
from s3sync_dagster.extraction.formulas import open_formulas, open_slide_formulas
from s3sync_dagster.extraction.furniture import with_furniture
from s3sync_dagster.extraction.metadata import office_properties
from s3sync_dagster.extraction.office_shapes import open_groups, open_slide
from s3sync_dagster.extraction.pages import PageWriter
from s3sync_dagster.extraction.templates import as_document
from s3sync_dagster.model.document import Document
from s3sync_dagster.model.source import ExtractionConfig

PRELOAD = {
    "read_pptx": ("docling.backend.mspowerpoint_backend", "defusedxml.ElementTree", TO_MARKDOWN),
    "read_odp": ("docling.backend.opendocument_backend", "defusedxml.ElementTree", TO_MARKDOWN),
}


def read_pptx(content: Content, *, name: str, config: ExtractionConfig) -> Document:
    """Return a PowerPoint presentation; hidden slides are left out with a warning."""
    del config
    if not _has_slides(content):
        return _document(content, iter(()), [])
    backend = open_backend(
        as_document(content), name=name, format_name="PPTX", backend=_backend_without_boxes()
    )
    slides = list(backend.pptx_obj.slides)
    for slide in slides:
        for shown in (slide, slide.notes_slide) if slide.has_notes_slide else (slide,):
            open_slide(shown._element)
            open_slide_formulas(shown._element)
    warnings = [
        f"Slide {number} is hidden and was left out."
        for number, slide in enumerate(slides, start=1)
        if slide._element.get("show") in ("0", "false")
    ]
    feet: set[str] = set()
    return _document(
        content,
        (
            with_drawings(
                _slide(backend, number, list(_descriptions(slide.shapes)), feet=feet),
                content,
                str(slide.part.partname).lstrip("/"),
            )
            for number, slide in enumerate(slides, start=1)
        ),
        warnings,
    )


def _has_slides(content: Content) -> bool:
    """Return whether there is a slide: docling takes a presentation without one for damaged."""
    try:
        with zipfile.ZipFile(content if isinstance(content, Path) else io.BytesIO(content)) as file:
            return any(name.startswith("ppt/slides/slide") for name in file.namelist())
    except BROKEN_ARCHIVE:
        return True  # docling says what is wrong


def read_odp(content: Content, *, name: str, config: ExtractionConfig) -> Document:
    """Return an OpenDocument presentation."""
    from docling.backend.opendocument_backend import OdpDocumentBackend

    del config

    class Backend(OdpDocumentBackend):
        _odf_type = ""  # templates too

    backend = open_backend(content, name=name, format_name="ODP", backend=Backend)
    body = backend.odf_obj.content.root._xml_element
    open_formulas(body, backend.odf_obj.container.get_part)
    open_groups(body)
    count = backend.page_count()
    feet: set[str] = set()
    numbers = range(1, count + 1)
    return _document(content, (_slide(backend, number, feet=feet) for number in numbers), [])


def _slide(backend: Any, number: int, descriptions: Sequence[str] = (), *, feet: set[str]) -> str:
    """Return a slide with its notes, and with those feet that no slide before it has."""
    # One slide at a time: docling puts the breaks of a whole export in wrong places, or nowhere.
    backend.page_range = (number, number)
    parsed = convert(backend)
    body = with_furniture(fill_pictures(to_markdown(parsed), descriptions), parsed, feet)
    notes = fill_pictures(to_markdown(parsed, layers=("NOTES",)))
    return f"{body}\nNotes:\n\n{notes}" if notes.strip() else body


def _descriptions(shapes: Any) -> Iterator[str]:
    """Yield the alternative text of each picture in docling's order."""
    from pptx.shapes.picture import Picture  # noqa: PLC0415 (only in workers)
    from pptx.shapes.placeholder import PlaceholderPicture  # noqa: PLC0415

    for shape in shapes:
        if hasattr(shape, "shapes"):
            yield from _descriptions(shape.shapes)
        elif isinstance(shape, (Picture, PlaceholderPicture)):  # its image may be elsewhere
            yield shape._element._nvXxPr.cNvPr.get("descr") or ""


def _backend_without_boxes() -> type:
    """Return docling's backend without bounding boxes, which take nine tenths of its time.

    A placeholder's box is inherited from layout and master, each looked up anew for each
    paragraph, and nothing here reads it.
    """
    from docling.backend.mspowerpoint_backend import MsPowerpointDocumentBackend
    from docling_core.types.doc.base import BoundingBox
    from docling_core.types.doc.common.reference import ProvenanceItem

    nowhere = BoundingBox(l=0, t=0, r=0, b=0)
    make: Callable[..., Any] = ProvenanceItem

    class Backend(MsPowerpointDocumentBackend):
        def _generate_prov(
            self, shape: Any, slide_ind: int, text: str = "", slide_size: Any = None
        ) -> Any:
            del shape, slide_size
            return make(page_no=slide_ind + 1, charspan=(0, len(text)), bbox=nowhere)

        def _get_libreoffice_converter(self) -> None:
            """Start no LibreOffice for pictures that nobody sees."""

    return Backend


def _document(content: Content, slides: Iterator[str], warnings: list[str]) -> Document:
    writer = PageWriter()
    count = 0
    for count, text in enumerate(slides, start=1):
        if text.strip():
            writer.add(str(count), text)
    properties = office_properties(content)
    return Document(
        text=writer.text,
        format="markdown",
        pages=writer.pages,
        page_count=count,
        title=properties.title,
        author=properties.author,
        created=properties.created,
        engine="docling",
        warnings=tuple(warnings),
    )
