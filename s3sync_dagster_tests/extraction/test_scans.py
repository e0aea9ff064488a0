"""Scans: what is read where Tesseract is there, what is said where it is not.

The pages are recognised by a stand-in pool here; test_programs.py runs Tesseract itself.
"""

import time
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import pytest

from s3sync_dagster.extraction.counting import WordCounter
from s3sync_dagster.extraction.pdf import scans
from s3sync_dagster.extraction.steps import PdfPages
from s3sync_dagster.model.errors import EmptyText, LimitExceeded, MissingEngine
from s3sync_dagster.model.source import ExtractionConfig


class Reader:
    """Gives a text for each page, or raises for those that are too hard."""

    def __init__(self, *, too_hard: set[int] = frozenset()) -> None:
        self.too_hard = too_hard
        self.asked: list[int] = []

    def submit(self, function: str, /, *args: Any, limits: object, **kwargs: Any) -> Future[Any]:
        assert function.endswith(":read_pdf_pages")
        (number,) = args[1]
        self.asked.append(number)
        future: Future[Any] = Future()
        if number in self.too_hard:
            future.set_exception(LimitExceeded("It takes longer than 90 s.", reason="timeout"))
        else:
            future.set_result([f"seen on page {number + 1}"])
        return future

    def close(self) -> None:
        return


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scans.shutil, "which", lambda name: f"/usr/bin/{name}")


@pytest.fixture
def not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scans.shutil, "which", lambda _: None)


def pages(*texts: str, scanned: tuple[int, ...]) -> PdfPages:
    return PdfPages(texts=texts, scans=scanned, engine="liteparse")


def read(found: PdfPages, reader: Reader, **config: Any):
    return scans.read_scans(found, b"", config=ExtractionConfig(**config), pool=reader)


@pytest.mark.usefixtures("installed")
def test_only_scanned_pages_are_recognised():
    reader = Reader()
    document = read(pages("typed", "", "typed too", "", scanned=(1, 3)), reader)
    assert reader.asked == [1, 3]
    assert document.engine == "liteparse+tesseract"
    assert document.text == "typed\n\nseen on page 2\n\ntyped too\n\nseen on page 4\n"
    assert [document.text[page.start :].split("\n")[0] for page in document.pages][
        1
    ] == "seen on page 2"


@pytest.mark.usefixtures("installed")
def test_page_that_meets_a_limit_is_named():
    document = read(pages("", "", scanned=(0, 1)), Reader(too_hard={1}))
    assert document.text.strip() == "seen on page 1"
    assert document.warnings == ("Page 2 was not read: It takes longer than 90 s.",)


GARBLED = "Oqnbddchmfr ne sgd 51mc"


@pytest.mark.usefixtures("installed")
def test_garbled_text_layer_is_replaced_and_named():
    document = read(pages(GARBLED, scanned=(0,)), Reader())
    assert document.text.strip() == "seen on page 1"
    assert document.warnings == (
        "Pages whose text layer is garbled were read from their pictures: 1.",
    )


@pytest.mark.usefixtures("installed")
def test_garbled_text_layer_stays_where_the_picture_shows_no_words(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(WordCounter, "is_text", lambda *_: False)
    assert read(pages(GARBLED, scanned=(0,)), Reader()).text.strip() == GARBLED


@pytest.mark.usefixtures("not_installed")
def test_garbled_text_layer_is_named_without_tesseract():
    document = read(pages(GARBLED, "typed", scanned=(0,)), Reader())
    assert document.warnings == (
        "Pages with a garbled text layer: 1 (Tesseract is not installed).",
    )


FORM = replace(pages("[Field: Ada Lovelace]", scanned=(0,)), pictures=frozenset({0}))


@pytest.mark.usefixtures("installed")
def test_what_is_filled_into_a_scanned_form_stays_beside_what_its_picture_says():
    document = read(FORM, Reader())
    assert document.text.strip() == "seen on page 1\n\n[Field: Ada Lovelace]"
    assert document.warnings == ()
    said = replace(FORM, texts=("seen on page",))
    assert read(said, Reader()).text.strip() == "seen on page 1"


@pytest.mark.usefixtures("not_installed")
def test_scanned_form_without_tesseract_is_a_picture_with_fields():
    document = read(FORM, Reader())
    assert document.text.strip() == "[Field: Ada Lovelace]"
    assert document.warnings == (
        "1 pages are pictures and were not read: Tesseract is not installed.",
    )


@pytest.mark.usefixtures("installed")
def test_good_text_layer_taken_for_garbled_stays():
    document = read(pages("SEEN on page 1, exactly", scanned=(0,)), Reader())
    assert document.text.strip() == "SEEN on page 1, exactly"


@pytest.mark.usefixtures("installed")
def test_garbled_text_layer_is_replaced():
    document = read(pages("\ue001\ue002 xqz vkw", scanned=(0,)), Reader())
    assert document.text.strip() == "seen on page 1"


@pytest.mark.usefixtures("installed")
def test_time_limit_of_a_document_names_what_is_left(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scans, "_TESSERACT", replace(scans._TESSERACT, total_seconds=0.0))
    document = read(pages("typed", "", "", scanned=(1, 2)), Reader())
    assert document.warnings == ("2 scanned pages were not read: 0 s were not enough.",)


@pytest.mark.usefixtures("not_installed")
def test_scan_without_tesseract_is_a_missing_program():
    with pytest.raises(MissingEngine, match="tesseract") as caught:
        read(pages("", scanned=(0,)), Reader())
    assert caught.value.reason == "missing_program"


@pytest.mark.usefixtures("not_installed")
def test_scanned_page_among_others_is_a_warning():
    document = read(pages("typed", "", scanned=(1,)), Reader())
    assert document.warnings == (
        "1 pages are pictures and were not read: Tesseract is not installed.",
    )


@pytest.mark.usefixtures("installed")
def test_scan_is_empty_where_ocr_is_off():
    with pytest.raises(EmptyText) as caught:
        read(pages("", scanned=(0,)), Reader(), ocr=False)
    assert caught.value.reason == "no_text"
    document = read(pages("typed", "", scanned=(1,)), Reader(), ocr=False)
    assert document.warnings == ("1 pages are pictures and were not read: OCR is off.",)


def test_pages_without_layout_are_named_by_their_reasons():
    found = replace(
        pages("a", "b", "c", "d", scanned=()), plain={0: "rare", 1: "common", 2: "rare", 3: "rare"}
    )
    assert read(found, Reader()).warnings == (
        "Pages read as plain text, without layout: 1, 3-4 (rare).",
        "Pages read as plain text, without layout: 2 (common).",
    )


def test_a_reason_for_each_page_is_told_in_one_walk():
    """What a worker that was taken over answers: 400 million steps where each looks at all."""
    count = 20_000
    found = replace(
        pages(*["x"] * count, scanned=()), plain={number: f"r{number}" for number in range(count)}
    )
    started = time.thread_time()
    assert len(read(found, Reader()).warnings) == count
    assert time.thread_time() - started < 3
