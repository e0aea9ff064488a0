"""Running heads and feet of Office documents and slides are read, each once."""

import copy
import io
from typing import Any

import docx
import pptx

from s3sync_dagster_tests.extraction.conftest import Read


def saved(document: Any) -> bytes:
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def test_letter_keeps_its_letterhead_once_after_the_text(read: Read):
    document = docx.Document()
    section = document.sections[0]
    section.header.paragraphs[0].text = "Acme Ltd, 12 Mill Lane"
    section.footer.paragraphs[0].text = "Page 1 of 3"
    for text in ("Phone 030 555 777", "030 555 888", "Yours, Ada"):
        section.footer.add_paragraph(text)
    document.add_section().header.is_linked_to_previous = False
    document.sections[1].header.paragraphs[0].text = "Annex of May 2024"
    document.add_paragraph("Dear Bo, many thanks. Yours, Ada")
    text = read(saved(document), "letter.docx").text
    body, *rest = text.strip().split("\n\n")
    assert body == "Dear Bo, many thanks. Yours, Ada"
    assert sorted(rest) == [
        "030 555 888",
        "Acme Ltd, 12 Mill Lane",
        "Annex of May 2024",
        "Phone 030 555 777",
    ]


def test_document_of_nothing_but_a_running_head_has_its_text(read: Read):
    document = docx.Document()
    document.sections[0].header.paragraphs[0].text = "Only this"
    assert read(saved(document), "a.docx").text == "Only this\n"


def test_feet_of_slides_are_read_once(read: Read):
    presentation = pptx.Presentation()
    for number in range(3):
        slide = presentation.slides.add_slide(presentation.slide_layouts[5])
        assert slide.shapes.title is not None
        slide.shapes.title.text = f"Slide {'abc'[number]}"
        for place in presentation.slide_layouts[5].placeholders:
            kind = str(place.placeholder_format.type)
            if "FOOTER" in kind or "SLIDE_NUMBER" in kind:
                element = copy.deepcopy(place._element)
                slide.shapes._spTree.append(element)
                frame: Any = slide.placeholders[place.placeholder_format.idx]
                frame.text = "Call 030 555 777" if "FOOTER" in kind else str(number + 1)
    text = read(saved(presentation), "a.pptx").text
    assert text.count("Call 030 555 777") == 1
    assert "# Slide a\n\nCall 030 555 777\n" in text
    assert [line for line in text.split("\n") if line.isdigit()] == []
