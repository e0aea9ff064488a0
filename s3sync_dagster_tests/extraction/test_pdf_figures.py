"""Alternative texts in tagged PDFs, by both readers of PDF."""

import pytest

from s3sync_dagster.extraction.pdf.layout import read_with_liteparse
from s3sync_dagster.extraction.pdf.text_layer import read_with_pdfium
from s3sync_dagster.model.source import ExtractionConfig
from s3sync_dagster_tests.extraction.raw_pdf import FONT, build_pdf, stream

CONTENT = b"""/P <</MCID 0>> BDC BT /F1 12 Tf 72 700 Td (Words above the picture.) Tj ET EMC
/Figure <</MCID 1>> BDC q 200 0 0 100 72 560 cm 1 0 0 rg 0 0 1 1 re f Q EMC
/P <</MCID 2>> BDC BT /F1 12 Tf 72 500 Td (Words below the picture.) Tj ET EMC"""
ALT = "A cod on ice, \u00fcber"


def tagged_pdf(*, alt: bytes, kind: bytes = b"Figure", marked: bool = True) -> bytes:
    """Return a page of a paragraph, a figure and a paragraph, with its structure tree."""

    def element(name: bytes, number: int, more: bytes = b"") -> bytes:
        return b"<</Type/StructElem/S/%s/P 7 0 R/Pg 4 0 R/K %d%s>>" % (name, number, more)

    return build_pdf(
        {
            1: b"<</Type/Catalog/Pages 2 0 R/StructTreeRoot 6 0 R%s>>"
            % (b"/MarkInfo<</Marked true>>" if marked else b""),
            2: b"<</Type/Pages/Kids[4 0 R]/Count 1>>",
            3: FONT,
            4: b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/StructParents 0"
            b"/Resources<</Font<</F1 3 0 R>>>>/Contents 5 0 R>>",
            5: stream(CONTENT),
            6: b"<</Type/StructTreeRoot/K 7 0 R/ParentTree 11 0 R>>",
            7: b"<</Type/StructElem/S/Document/P 6 0 R/K[8 0 R 9 0 R 10 0 R]>>",
            8: element(b"P", 0),
            9: element(kind, 1, b"/Alt" + alt),
            10: element(b"P", 2),
            11: b"<</Nums[0[8 0 R 9 0 R 10 0 R]]>>",
        }
    )


def as_hex(text: str) -> bytes:
    return b"<FEFF%s>" % text.encode("utf-16-be").hex().encode()


def read(content: bytes) -> str:
    (text,) = read_with_liteparse(content, name="a.pdf", config=ExtractionConfig()).texts
    return text


def test_alternative_text_stands_where_the_picture_is():
    assert read(tagged_pdf(alt=as_hex(ALT))) == (
        f"Words above the picture.\n\n[Picture: {ALT}]\n\nWords below the picture."
    )


def test_plain_reader_has_it_below_the_page():
    content = tagged_pdf(alt=as_hex(ALT))
    (text,) = read_with_pdfium(content, name="a.pdf", config=ExtractionConfig()).texts
    assert text.endswith(f"Words below the picture.\n\n[Picture: {ALT}]")


@pytest.mark.parametrize(
    ("pdf", "shown"),
    [
        (tagged_pdf(alt=b"(x squared)", kind=b"Formula"), "[Formula: x squared]"),
        (tagged_pdf(alt=b"( two\\n lines )"), "[Picture: two lines]"),
        (tagged_pdf(alt=b"()"), None),
        (tagged_pdf(alt=b"(%s)" % (b"x" * 20_000)), None),
        (tagged_pdf(alt=b"(a link)", kind=b"Link"), None),
        (tagged_pdf(alt=b"(not tagged)", marked=False), None),
    ],
)
def test_what_is_shown(pdf: bytes, shown: str | None):
    text = read(pdf)
    assert (shown in text) if shown else ("[" not in text and "xxx" not in text)
