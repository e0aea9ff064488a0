"""Accents that PDFs draw beside or above their letters."""

import pytest

from s3sync_dagster.extraction.pdf.layout import read_with_liteparse
from s3sync_dagster.extraction.pdf.text_layer import read_with_pdfium
from s3sync_dagster.model.source import ExtractionConfig
from s3sync_dagster_tests.extraction.raw_pdf import BOLD, build_pdf, stream

FONT = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>"


def page_of(*shown: str) -> bytes:
    """Return a page with lines of operators that show text, in codes of Windows' Latin."""
    lines = "".join(f"1 0 0 1 72 {700 - 20 * place} Tm {line} " for place, line in enumerate(shown))
    return build_pdf(
        {
            1: b"<</Type/Catalog/Pages 2 0 R>>",
            2: b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
            3: b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]"
            b"/Resources<</Font<</F1 %s/F2 %s>>>>/Contents 4 0 R>>" % (FONT, BOLD),
            4: stream(b"BT /F1 12 Tf " + lines.encode("cp1252") + b"ET"),
        }
    )


def text_of(read, *shown: str) -> str:
    return read(page_of(*shown), name="a.pdf", config=ExtractionConfig()).texts[0]


@pytest.mark.parametrize("read", [read_with_pdfium, read_with_liteparse])
@pytest.mark.parametrize(
    ("shown", "word"),
    [
        # TeX draws the accent first, then goes back to the letter's place.
        ("[(Schr) -50 (\xa8) 390 (odinger)] TJ", "Schrödinger"),
        # Others draw the letter first and go back with the accent.
        ("[(Ren) (e) 440 (\xb4) 107 ( wrote)] TJ", "René"),
        ("[(Fran) (c) 430 (\xb8) 100 (ois)] TJ", "François"),
    ],
)
def test_an_accent_belongs_to_the_letter_that_it_stands_over(read, shown: str, word: str):
    assert word in text_of(read, shown, "(Other words stand below it.) Tj")


@pytest.mark.parametrize("read", [read_with_pdfium, read_with_liteparse])
def test_a_mark_beside_a_letter_is_no_accent(read):
    text = text_of(read, "(Type ls` into a shell and a\xb4b is no word.) Tj")
    assert "ls`" in text
    assert "a\xb4b" in text
