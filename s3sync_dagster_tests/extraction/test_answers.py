"""What a worker that was taken over may answer: nothing that others pay for."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from s3sync_dagster.extraction import extract_document
from s3sync_dagster.extraction.answers import answer_of, pictures_of, share_of, text_of, texts_of
from s3sync_dagster.extraction.pictures import MAX_PICTURES
from s3sync_dagster.extraction.steps import Attachment, Converted, Mail, PdfPages, Picture
from s3sync_dagster.model.document import Document, Page
from s3sync_dagster.model.errors import LimitExceeded
from s3sync_dagster.model.source import ExtractionConfig


def document(*starts: int) -> Document:
    pages = tuple(Page(start=start, label="p") for start in starts)
    return Document(text="ten letters", format="markdown", pages=pages)


def pdf(**fields: Any) -> PdfPages:
    return PdfPages(**{"texts": ("a", "b"), "scans": (), "engine": "e", **fields})


@pytest.mark.parametrize(
    "found",
    [
        None,
        "text",
        {"text": "x"},
        [document()],
        Picture(name="n", page=None, text="", jpeg=b""),
        document(5, 0),
        document(0, 12),
        Converted(content=b"", name="a.docx", engine="e", plain=document(1, 0)),
        Mail(headers=(), attachments=(Attachment(name="n", content=b""),) * 201),
        pdf(scans=(2,)),
        pdf(scans=(0, 0)),
        pdf(hard=(7,)),
        pdf(plain={2: "why"}),
        pdf(continued=frozenset({2})),
        pdf(texts=("",) * 7001),
    ],
)
def test_what_no_reader_gives_is_a_broken_worker(found):
    with pytest.raises(LimitExceeded) as caught:
        answer_of(found)
    assert caught.value.reason == "worker_crashed"


@pytest.mark.parametrize(
    "found",
    [
        document(),
        document(0, 0, 5, 11),
        Converted(content=b"", name="a.docx", engine="e"),
        Mail(headers=(), attachments=(Attachment(name="n", content=b""),) * 200),
        pdf(scans=(0, 1), hard=(1,), plain={0: "why"}, continued=frozenset({1})),
        pdf(texts=("",) * 7000),
    ],
)
def test_what_readers_give_is_taken(found):
    assert answer_of(found) is found


def test_texts_of_pages_are_texts_and_as_many():
    assert texts_of(["a", "b"], 2) == ["a", "b"]
    for found in (["a"], ["a", 5], ("a", "b"), "ab", None):
        with pytest.raises(LimitExceeded):
            texts_of(found, 2)


@pytest.mark.parametrize("found", [5, ["a"], {"a": 1}, None, b"a"])
def test_the_table_of_a_mail_is_a_text(found):
    assert text_of("a") == "a"
    csv = Attachment(name="a.csv", content=b"a,b\n1,2\n")
    pool = Answering(
        {
            "read_eml": Mail(headers=(), text="t", attachments=(csv,)),
            "read_csv": Document(text="a,b\n1,2\n", format="csv"),
            "table_of": found,
        }
    )
    mail = b"From: a@example.org\nSubject: Figures\n\nt\n"
    document = extract_document(mail, name="a.eml", config=ExtractionConfig(), pool=pool)
    assert pool.asked[-1] == "table_of"
    (warning,) = document.warnings
    assert warning.startswith("Attachment 'a.csv' was left out: The worker sent a reply")


def test_pictures_are_pictures():
    picture = Picture(name="n", page=None, text="", jpeg=b"")
    assert pictures_of((picture,)) == (picture,)
    most = (picture,) * MAX_PICTURES
    assert pictures_of(most) is most
    for found in ([picture], (picture, "n"), (*most, picture), None):
        with pytest.raises(LimitExceeded):
            pictures_of(found)


class Answering:
    """A pool whose workers all give the same, or by their functions."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def submit(self, function: str, /, *args: object, **kwargs: object) -> Future[Any]:
        name = function.partition(":")[2]
        self.asked.append(name)
        future: Future[Any] = Future()
        future.set_result(self.answer[name] if isinstance(self.answer, dict) else self.answer)
        return future

    def close(self) -> None:
        """Nothing to end."""


AGAIN: dict[str, Callable[[], object]] = {
    "converted": lambda: Converted(content=b"{\\rtf1 x}", name="a.rtf", engine="e"),
    "mail": lambda: Mail(headers=(), html=b"<html><body>x</body></html>"),
}


@pytest.mark.parametrize("name", AGAIN)
def test_what_asks_to_be_read_again_for_ever_is_not(name):
    pool = Answering(AGAIN[name]())
    with pytest.raises(LimitExceeded) as caught:
        extract_document(
            b"{\\rtf1 x}",
            name="a.rtf",
            config=ExtractionConfig(engines={".rtf": "striprtf"}),
            pool=pool,
        )
    assert caught.value.reason == "nested_too_deep"
    assert len(pool.asked) < 50  # two engines read web pages, at each of five depths


@pytest.mark.parametrize("found", [-0.1, 1.1, float("nan"), float("inf"), 1, None, "half"])
def test_a_share_is_one(found):
    assert share_of(0.5) == 0.5
    with pytest.raises(LimitExceeded):
        share_of(found)
