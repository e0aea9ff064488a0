"""Headings that a PDF names itself, by bookmarks and tags."""

import cProfile
import time

import pytest

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.layout import read_with_liteparse
from s3sync_dagster.extraction.pdf.names import with_names
from s3sync_dagster.extraction.pdf.open_pages import OpenPages
from s3sync_dagster.extraction.pdf.plain_pages import with_headings
from s3sync_dagster.extraction.pdf.tags import Name
from s3sync_dagster.extraction.pdf.text_layer import look_at_pages, open_pdf
from s3sync_dagster.model.source import ExtractionConfig
from s3sync_dagster_tests.extraction import raw_pdf
from s3sync_dagster_tests.extraction.raw_pdf import FONT, build_pdf, stream

TEXT = "Some words of the body that say what became of the harvest in that year."
LINES = ("Harvest", *[TEXT] * 4, "The Harvest of others was better than ours, which is well known.")


def outlined_pdf(title: str, *, top: int, lines: tuple[str, ...] = LINES) -> bytes:
    """Return a page of lines in one size, and a bookmark that leads to a height of it."""
    shown = b"".join(b"(%s)Tj 0 -14 Td " % line.encode() for line in lines)
    return build_pdf(
        {
            1: b"<</Type/Catalog/Pages 2 0 R/Outlines 6 0 R>>",
            2: b"<</Type/Pages/Kids[4 0 R]/Count 1>>",
            3: FONT,
            4: b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]"
            b"/Resources<</Font<</F1 3 0 R>>>>/Contents 5 0 R>>",
            5: stream(b"BT /F1 12 Tf 72 700 Td " + shown + b"ET"),
            6: b"<</Type/Outlines/First 7 0 R/Last 7 0 R/Count 1>>",
            7: b"<</Title(Part)/Parent 6 0 R/First 8 0 R/Last 8 0 R/Count 1"
            b"/Dest[4 0 R/XYZ 0 792 0]>>",
            8: b"<</Title(%s)/Parent 7 0 R/Dest[4 0 R/XYZ 72 %d 0]>>" % (title.encode(), top),
        }
    )


def read(content: bytes) -> str:
    (text,) = read_with_liteparse(content, name="a.pdf", config=ExtractionConfig()).texts
    return text


def test_bookmark_makes_a_line_in_the_body_s_letters_a_heading_of_its_level():
    text = read(outlined_pdf("Harvest", top=714))
    assert text.startswith("## Harvest\n\nSome words of the body")
    assert text.count("#") == 2


def test_number_before_a_heading_that_its_bookmark_lacks_is_kept():
    text = read(outlined_pdf("Harvest", top=714, lines=("1.2 Harvest", *LINES[1:])))
    assert text.startswith("## 1.2 Harvest\n\n")


def test_bookmark_that_leads_elsewhere_cuts_no_sentence():
    lines = (f"Harvest words {TEXT}", *LINES[1:])
    assert "#" not in read(outlined_pdf("Harvest", top=100, lines=lines))


def test_bookmark_that_no_line_has_changes_nothing():
    lines = LINES[1:]
    assert read(outlined_pdf("Summary", top=714, lines=lines)) == read(
        outlined_pdf("Elsewhere", top=714, lines=lines)
    )


def tagged_pdf(kind: bytes) -> bytes:
    content = b"""/H <</MCID 0>> BDC BT /F1 12 Tf 72 700 Td (Harvest ) Tj ET EMC
/H <</MCID 1>> BDC BT /F1 12 Tf 120 700 Td (and Winter) Tj ET EMC
/P <</MCID 2>> BDC BT /F1 12 Tf 72 686 Td (%s) Tj ET EMC""" % TEXT.encode()

    def element(name: bytes, above: int, numbers: bytes) -> bytes:
        return b"<</Type/StructElem/S/%s/P %d 0 R/Pg 4 0 R/K[%s]>>" % (name, above, numbers)

    return build_pdf(
        {
            1: b"<</Type/Catalog/Pages 2 0 R/StructTreeRoot 6 0 R/MarkInfo<</Marked true>>>>",
            2: b"<</Type/Pages/Kids[4 0 R]/Count 1>>",
            3: FONT,
            4: b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/StructParents 0"
            b"/Resources<</Font<</F1 3 0 R>>>>/Contents 5 0 R>>",
            5: stream(content),
            6: b"<</Type/StructTreeRoot/K 7 0 R/ParentTree 11 0 R>>",
            7: b"<</Type/StructElem/S/Document/P 6 0 R/K[8 0 R 10 0 R]>>",
            8: element(kind, 7, b"0 9 0 R"),
            9: element(b"Span", 8, b"1"),
            10: element(b"P", 7, b"2"),
            11: b"<</Nums[0[8 0 R 9 0 R 10 0 R]]>>",
        }
    )


@pytest.mark.parametrize(("kind", "level"), [(b"H1", 1), (b"H3", 3), (b"Title", 1)])
def test_tag_makes_a_heading_of_its_level_also_inside_a_paragraph(kind: bytes, level: int):
    assert read(tagged_pdf(kind)) == f"{'#' * level} Harvest and Winter\n\n{TEXT}"


def test_paragraph_s_tag_makes_none():
    assert "#" not in read(tagged_pdf(b"P"))


def test_pdfium_reads_a_page_once_and_calls_no_python():
    work = cProfile.Profile()
    pdf = open_pdf(tagged_pdf(b"H1"))
    pages = work.runcall(lambda: list(look_at_pages(pdf, OpenPages(pdf))))
    assert [name.text for page in pages for name in page.names] == ["Harvest and Winter"]
    called = {getattr(one.code, "co_qualname", ""): one.callcount for one in work.getstats()}
    assert called["PdfPage.get_textpage"] == len(pages)
    assert "_buffer_reader.__call__" not in called


def test_plain_page_has_headings_by_name_by_size_and_by_number():
    body = b"".join(b"(%s)Tj 0 -14 Td " % TEXT.encode() for _ in range(4))
    content = (
        b"BT /F1 20 Tf 72 740 Td (The year) Tj /F1 12 Tf 0 -40 Td (Harvest)Tj 0 -14 Td "
        + body
        + b"(2-1 Winter)Tj 0 -14 Td "
        + body
        + b"(1. one)Tj 0 -14 Td (2. two)Tj ET"
    )
    page, layer = OpenPages(open_pdf(raw_pdf.pages_pdf([content])))[0]
    text = layer.get_text_range().replace("\r\n", "\n")
    shown = with_headings(page, layer, text, [Name("Harvest", 2, is_exact=True)])
    heads = [line for line in shown.splitlines() if line.startswith("#")]
    assert heads == ["## The year", "## Harvest", "### 2-1 Winter"]
    assert shown.endswith("1. one\n2. two")
    assert with_headings(page, layer, f"{text}\nan odd line", []) == f"{text}\nan odd line"


def test_thousands_of_bookmarks_of_one_page_cost_no_time():
    blocks = [Block(kind="paragraph", text=f"{n} {TEXT}", top=n * 10.0) for n in range(400)]
    names = [Name(f"Chapter {n}", 1) for n in range(20_000)]
    began = time.thread_time()
    assert with_names(blocks, names) == blocks
    assert time.thread_time() - began < 20
