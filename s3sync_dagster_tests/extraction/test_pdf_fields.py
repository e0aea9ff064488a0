"""What people filled into the form of a PDF."""

import pytest

from s3sync_dagster.extraction.pdf.layout import read_with_liteparse
from s3sync_dagster.extraction.pdf.text_layer import read_with_pdfium
from s3sync_dagster.model.source import ExtractionConfig
from s3sync_dagster_tests.extraction.raw_pdf import FONT, build_pdf, stream, text_content

LINES = [f"Line {n} of the form asks for a word." for n in range(1, 4)]


def filled_pdf(*fields: bytes, lines: list[str] = LINES) -> bytes:
    """Return a page of lines with fields that nobody has drawn."""
    numbers = b" ".join(b"%d 0 R" % (6 + n) for n in range(len(fields)))
    return build_pdf(
        {
            1: b"<</Type/Catalog/Pages 2 0 R/AcroForm<</NeedAppearances true/Fields[%s]>>>>"
            % numbers,
            2: b"<</Type/Pages/Kids[4 0 R]/Count 1>>",
            3: FONT,
            4: b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Annots[%s]"
            b"/Resources<</Font<</F1 3 0 R>>>>/Contents 5 0 R>>" % numbers,
            5: stream(text_content(*lines)),
            **{
                6 + n: b"<</Type/Annot/Subtype/Widget/Rect[72 600 300 620]/T(name%d)%s>>"
                % (n, field)
                for n, field in enumerate(fields)
            },
        }
    )


def text_of(content: bytes, read=read_with_liteparse) -> str:
    return read(content, name="a.pdf", config=ExtractionConfig()).texts[0]


@pytest.mark.parametrize("read", [read_with_liteparse, read_with_pdfium])
def test_value_of_a_field_that_is_not_drawn_is_read_where_it_stands(read):
    text = text_of(filled_pdf(b"/FT/Tx/V(Ada Lovelace)/F 4"), read)
    assert text.endswith("asks for a word.\n\n[Field: Ada Lovelace]")
    chosen = filled_pdf(b"/FT/Ch/Ff 131072/V(Saturn)/Opt[(Mars)(Saturn)]/F 4")
    assert "[Field: Saturn]" in text_of(chosen, read)


@pytest.mark.parametrize(
    "field",
    [
        b"/FT/Tx/V(secret)/F 2",
        b"/FT/Tx/V(secret)/F 32",
        b"/FT/Tx/V(secret)/Ff 8192/F 4",
        b"/FT/Btn/V/secret/F 4",
        b"/FT/Tx/V()/F 4",
    ],
    ids=["hidden", "not shown", "password", "button", "empty"],
)
def test_what_is_hidden_secret_or_no_text_is_not(field: bytes):
    text = text_of(filled_pdf(field, b"/FT/Tx/V(Shown)/F 4"))
    assert "secret" not in text
    assert text.count("[Field: ") == text.count("[Field: Shown]") == 1


def test_words_that_the_page_has_are_not_said_again():
    text = text_of(filled_pdf(b"/FT/Tx/V(the form asks)/F 4", b"/FT/Tx/V(word form)/F 4"))
    assert "[Field: the form asks]" not in text
    assert "[Field: word form]" in text
    long = b"/FT/Tx/V(a word asks for the form of line 2)/F 4"
    assert "[Field" not in text_of(filled_pdf(long))
    assert "[Field: a new" in text_of(filled_pdf(long.replace(b"a word", b"a new word")))
    twice = filled_pdf(b"/FT/Tx/V(Ada)/F 4", b"/FT/Tx/V(Ada)/F 4")
    assert text_of(twice).count("Ada") == 1


def test_page_of_fields_alone_is_a_picture_with_their_values():
    content = filled_pdf(b"/FT/Tx/V(Ada Lovelace)/F 4", lines=[])
    pages = read_with_liteparse(content, name="a.pdf", config=ExtractionConfig())
    assert pages.texts == ("[Field: Ada Lovelace]",)
    assert pages.scans == (0,)
    assert pages.pictures == {0}
