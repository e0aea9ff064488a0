"""Each format's file gives its golden Markdown, with title, pages and warnings."""

import dataclasses
import json
from pathlib import Path

import pytest

from s3sync_dagster.extraction.notebook import read_notebook
from s3sync_dagster.extraction.show import provenance
from s3sync_dagster.extraction.words import word_recall
from s3sync_dagster.model.source import ExtractionConfig
from s3sync_dagster_tests.extraction import corpus
from s3sync_dagster_tests.extraction.conftest import Read


@pytest.mark.parametrize("name", corpus.ALL)
def test_golden(read: Read, name: str):
    document = read(corpus.ALL[name](), name, engines=corpus.LIGHT)
    assert document.text == (corpus.GOLDEN / f"{name}.md").read_text()


def test_a_file_on_disk_gives_the_same_as_its_bytes(read: Read, tmp_path: Path):
    for name in ("plan.docx", "stock.xlsx", "fish.html", "semicolons.csv"):
        content = corpus.CORPUS[name]()
        path = tmp_path / "spooled"
        path.write_bytes(content)
        assert read(path, name) == read(content, name)


def test_word_document_keeps_notes_links_and_pictures_and_running_heads_once(read: Read):
    document = read(corpus.make_docx(), "plan.docx")
    assert (document.title, document.author) == ("Quarterly plan", "Ada")
    assert document.created == "2026-02-03T10:30:00Z"
    for words in ("Is this realistic?", "The numbers are estimates.", "https://example.org/plan"):
        assert words in document.text
    assert "[Picture: A red square]" in document.text
    assert document.text.endswith("\n\nRUNNING HEAD\n")
    assert document.text.count("RUNNING HEAD") == 1


def test_slides_are_pages_with_notes_and_hidden_ones_are_named(read: Read):
    document = read(corpus.make_pptx(), "roadmap.pptx")
    assert [page.label for page in document.pages] == ["1", "2", "3"]
    assert document.page_count == 4
    starts = [document.text[page.start :].split("\n")[0] for page in document.pages]
    assert starts == ["# Why", "# Numbers", "# Picture"]
    assert "Mention the survey." in document.text
    assert "Secret" not in document.text
    assert document.warnings == ("Slide 4 is hidden and was left out.",)


def test_rows_know_their_sheet_and_range(read: Read):
    document = read(corpus.make_xlsx(), "stock.xlsx")
    labels = [page.label for page in document.pages]
    assert labels == [
        "People!A1:E3",
        "People!B5:B5",
        "People!B7:C9",
        "People!B11:C12",
        "Long!A1:B100",
        "Long!A101:B151",
    ]
    last = document.pages[-1]
    assert document.text[last.start :].startswith("| 99 | 9801 |")
    assert document.warnings == ("The hidden sheet 'Draft' was left out.",)
    assert (document.title, document.author) == ("Stock", "Dan")


def test_comments_links_and_merged_cells_of_sheets_are_kept(read: Read):
    text = read(corpus.make_xlsx(), "stock.xlsx").text
    assert "- B2: Asked her.\n- E2: https://example.org/zoe\n" in text
    assert "| both | both |\n| - | - |\n| left | right |" in text


def test_mail_is_read_with_its_attachments(read: Read):
    document = read(corpus.make_eml(), "greetings.eml")
    assert [page.label for page in document.pages] == ["message", "parts.csv", "report.odt"]
    assert document.title == "Grüße aus Köln"
    assert document.author == "Ada <ada@example.org>"
    assert document.created == "2026-02-02T10:00:00+01:00"
    assert any("'more.zip'" in warning for warning in document.warnings)


def test_chapters_are_pages(read: Read):
    document = read(corpus.make_epub(), "book.epub")
    assert (document.title, document.author) == ("The Book", "Eve")
    assert [page.label for page in document.pages] == ["Chapter 1", "Chapter 2"]
    assert document.text[document.pages[1].start :].startswith("# Chapter 2\n")
    assert document.engine == "lxml"
    through_docling = read(corpus.make_epub(), "book.epub", engines={".epub": "docling"})
    assert (through_docling.engine, through_docling.text) == ("docling", document.text)


def test_notebook_cells_are_pages(read: Read):
    document = read(corpus.make_notebook(), "analysis.ipynb")
    assert [page.label for page in document.pages] == ["Cell 1", "Cell 2"]


def test_navigation_and_footer_go_by_choice(read: Read):
    with_all = read(corpus.HTML.encode(), "fish.html")
    assert with_all.title == "Fish & chips"
    assert "Home" in with_all.text
    assert "Imprint" in with_all.text
    without = read(corpus.HTML.encode(), "fish.html", boilerplate=False)
    assert "Home" not in without.text
    assert "Imprint" not in without.text
    assert "Before the first heading." in without.text
    assert "Cod" in without.text


def test_declared_charset_of_a_page_decides(read: Read):
    page = '<html><head><meta charset="koi8-r"></head><body><p>Привет, мир</p></body></html>'
    document = read(page.encode("koi8-r"), "page.html")
    assert document.text.strip() == "Привет, мир"
    assert (document.encoding, document.encoding_guessed) == ("koi8-r", False)


def test_separators_other_than_commas_are_rewritten_and_recorded(read: Read):
    document = read(corpus.CORPUS["semicolons.csv"](), "semicolons.csv")
    assert document.format == "csv"
    assert (document.encoding, document.encoding_guessed) == ("cp1252", True)
    assert any("';'" in warning for warning in document.warnings)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.csv", 'a,b\r\n1,"x\r\ny"\r\n'),
        ("one-column.csv", "word\nother\n"),
        ("ragged.csv", "a,b,c\n1,2\n1,2,3,4\n"),
    ],
)
def test_comma_separated_text_is_left_alone(read: Read, name: str, content: str):
    assert read(content.encode(), name).text == content


def test_tabs_become_commas(read: Read):
    assert read(b"a\tb\n1\t2\n", "t.tsv").text == "a,b\n1,2\n"


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.py", "code"),
        ("Dockerfile", "code"),
        ("notes.md", "markdown"),
        ("data.json", "json"),
        ("data.jsonl", "jsonl"),
        ("feed.xml", "xml"),
        ("app.log", "log"),
        ("readme.txt", "text"),
        ("paper.rst", "text"),
        ("NOTICE", "text"),
        ("strange.suffix", "text"),
    ],
)
def test_text_comes_as_it_is(read: Read, name: str, form: str):
    text = "line one\r\n\tline <two> & ümlaut\n\n"
    document = read(text.encode(), name)
    assert document.text == text
    assert document.format == form
    assert document.engine == "text"


def test_same_bytes_give_the_same_document_each_time(read: Read):
    content = corpus.make_docx()
    assert read(content, "a.docx") == read(content, "a.docx")


@pytest.mark.parametrize("name", ["fish.html", "plan.docx"])
def test_words_are_not_lost(read: Read, name: str):
    wanted = {
        "fish.html": "Fish Fresh every day see our list cod small large hake third fourth Prices "
        "Cod on ice Caption of the picture weigh fish sell Imprint Home Before the first heading",
        "plan.docx": "Quarterly plan Goals Grow by 12 in the under served regions north south "
        "Details are on the site hire two engineers train first step second step Region Q1 Q2 "
        "North South merged Outlook Ümläute 日本語 and שלום stay",
    }[name]
    assert word_recall(wanted, read(corpus.CORPUS[name](), name).text) == 1.0


def test_provenance_is_plain_json(read: Read):
    document = read(corpus.make_xlsx(), "stock.xlsx")
    shown = json.loads(json.dumps(provenance(document)))
    assert shown["engine"] == "calamine"
    assert shown["pages"][0]["label"] == "People!A1:E3"
    assert shown["pages"][0]["line"] == 3
    assert sum(page["characters"] for page in shown["pages"]) == len(document.text) - len(
        "# People\n\n"
    )
    assert set(shown) >= {field.name for field in dataclasses.fields(document)} - {"text"}


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (
            {"text/plain": "<IPython.core.display.HTML object>", "text/html": "<p>a page</p>"},
            "a page",
        ),
        ({"text/html": ["<b>alone</b>"]}, "alone"),
        ({"text/plain": ["<IPython.core.display.Math object>"], "text/latex": "$x^2$"}, "$x^2$"),
        ({"text/plain": "<Axes: xlabel='a'>", "image/png": "AA=="}, "<Axes: xlabel='a'>"),
        ({"text/plain": "   a\n0  1", "text/html": "<table></table>"}, "   a\n0  1"),
    ],
)
def test_what_a_notebook_shows_as_a_page_alone_is_read(data: dict[str, object], text: str):
    output = {"output_type": "display_data", "data": data}
    cell = {"cell_type": "code", "source": "", "outputs": [output]}
    content = json.dumps({"cells": [cell], "metadata": {}}).encode()
    read = read_notebook(content, name="a.ipynb", config=ExtractionConfig())
    assert read.text == f"```\n{text}\n```\n"
