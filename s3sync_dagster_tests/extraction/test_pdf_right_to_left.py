"""Arabic in PDFs: letters of a ligature and lines in order."""

import pytest

from s3sync_dagster.extraction.pdf.layout import read_with_liteparse
from s3sync_dagster.extraction.pdf.right_to_left import is_right_to_left
from s3sync_dagster.extraction.pdf.text_layer import read_with_pdfium
from s3sync_dagster.model.source import ExtractionConfig
from s3sync_dagster_tests.extraction.raw_pdf import build_pdf, stream

LETTERS = {"A": "\u0644\u0627", "B": "\u0628", "C": "\u062a", "D": "\u0645"}
"""Glyph and what it stands for; A is the ligature of lam and alef."""


FORMS = {"A": "\ufefb", "B": "\ufe91", "C": "\ufe96", "D": "\ufee3"}
"""The same, as older programs write it: presentation forms, of which A is one letter."""


def pdf_of_glyphs(glyphs: str, letters: dict[str, str] = LETTERS) -> bytes:
    """Return a page on which glyphs stand from left to right."""
    codes = [
        f"<{ord(glyph):02X}> <{text.encode('utf-16-be').hex()}>" for glyph, text in letters.items()
    ]
    table = (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /A def "
        "/CMapType 2 def 1 begincodespacerange <00> <FF> endcodespacerange "
        f"{len(codes)} beginbfchar {' '.join(codes)} endbfchar endcmap end end"
    )
    return build_pdf(
        {
            1: b"<</Type/Catalog/Pages 2 0 R>>",
            2: b"<</Type/Pages/Kids[4 0 R]/Count 1>>",
            3: b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/ToUnicode 6 0 R>>",
            4: b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]"
            b"/Resources<</Font<</F1 3 0 R>>>>/Contents 5 0 R>>",
            5: stream(b"BT /F1 12 Tf 72 700 Td (%s) Tj ET" % glyphs.encode()),
            6: stream(table.encode()),
        }
    )


@pytest.mark.parametrize("read", [read_with_pdfium, read_with_liteparse])
@pytest.mark.parametrize("glyphs", ["BAC", "AB", "DBAC", "BCD", "CABAD"])
@pytest.mark.parametrize("letters", [LETTERS, FORMS], ids=["letters", "forms"])
def test_words_read_from_right_to_left(read, glyphs: str, letters: dict[str, str]):
    pages = read(pdf_of_glyphs(glyphs, letters), name="a.pdf", config=ExtractionConfig())
    assert pages.texts == ("".join(LETTERS[glyph] for glyph in reversed(glyphs)),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\u05d6\u05d4\u05d5 \u05d8\u05e7\u05e1\u05d8 12", True),
        ("\u0647\u0630\u0627 \u0646\u0635 and English", True),
        ("A page that quotes \u05d6\u05d4\u05d5 once", False),
        ("No such letters", False),
        ("", False),
    ],
)
def test_which_pages_run_from_right_to_left(text: str, expected: bool):
    assert is_right_to_left(text) is expected


@pytest.mark.parametrize(
    ("alef", "name", "turned"),
    [
        ("\ufefb", "\ufdf2", "\u0627\u0644\u0644\u0647"),
        ("\u0644\u0627", "\u0627\u0644\u0644\u0647", "\u0627\u0644\u0644\u0647"),
    ],
    ids=["forms", "letters"],
)
def test_a_glyph_of_other_letters_is_turned_as_those_of_lam_and_alef_are(
    alef: str, name: str, turned: str
):
    letters = {"A": alef, "B": "\u0628", "C": name}
    pages = read_with_pdfium(
        pdf_of_glyphs("ACBA", letters), name="a.pdf", config=ExtractionConfig()
    )
    assert pages.texts == (f"\u0644\u0627\u0628{turned}\u0644\u0627",)
