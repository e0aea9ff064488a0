"""Notes that readers wrote on a PDF's pages."""

import pytest

from s3sync_dagster_tests.extraction.conftest import Read
from s3sync_dagster_tests.extraction.raw_pdf import FONT, build_pdf, stream, text_content

LINES = [f"Line {n} of the page has words of its own." for n in range(1, 4)]


def noted_pdf(kind: bytes, words: bytes, flags: int = 4) -> bytes:
    """Return a page of three lines with a note beside the second one."""
    return build_pdf(
        {
            1: b"<</Type/Catalog/Pages 2 0 R>>",
            2: b"<</Type/Pages/Kids[4 0 R]/Count 1>>",
            3: FONT,
            4: b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Annots[6 0 R]"
            b"/Resources<</Font<</F1 3 0 R>>>>/Contents 5 0 R>>",
            5: stream(text_content(*LINES)),
            6: b"<</Type/Annot/Subtype/%s/Rect[72 600 300 620]/F %d/Contents%s>>"
            % (kind, flags, words),
        }
    )


@pytest.mark.parametrize("kind", [b"Text", b"FreeText", b"Highlight", b"StrikeOut"])
def test_note_of_a_reader_is_read(read: Read, kind: bytes):
    text = read(noted_pdf(kind, b"(Which year\nis this?)"), "a.pdf").text
    assert text.endswith("words of its own.\n\n[Note: Which year is this?]\n")


@pytest.mark.parametrize(
    ("kind", "words", "flags"),
    [
        (b"Text", b"(secret)", 2),
        (b"Text", b"(secret)", 32),
        (b"Text", b"()", 4),
        (b"Highlight", b"(has words of its own)", 4),
    ],
)
def test_note_that_is_hidden_or_has_no_words_of_its_own_is_not(
    read: Read, kind: bytes, words: bytes, flags: int
):
    assert "[Note" not in read(noted_pdf(kind, words, flags), "a.pdf").text


def test_words_of_a_link_or_a_field_are_no_note(read: Read):
    assert "[Note" not in read(noted_pdf(b"Link", b"(a link)"), "a.pdf").text
