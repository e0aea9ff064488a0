"""What is done of a file beside the workers costs little: nothing would end it there."""

import io
import struct
import sys
import time
import tracemalloc
import zipfile
from email.message import EmailMessage
from typing import Any

import pytest

from s3sync_dagster.engine.batch.room import BatchRoom, NoRoom, Room, Share
from s3sync_dagster.extraction import extract_document, follow, inside
from s3sync_dagster.extraction.content import sniff
from s3sync_dagster.extraction.counting import WordCounter
from s3sync_dagster.extraction.delimited import table_of
from s3sync_dagster.extraction.follow import Reading
from s3sync_dagster.extraction.pages import PageWriter
from s3sync_dagster.extraction.pdf import scans
from s3sync_dagster.extraction.steps import Converted
from s3sync_dagster.model.document import Document
from s3sync_dagster.model.source import ExtractionConfig
from s3sync_dagster.workers import LocalPool
from s3sync_dagster_tests.extraction.conftest import Read
from s3sync_dagster_tests.extraction.test_pdf import make_report

MIB = 1024**2


def open_document(manifest: bytes, *, method: int, mimetype: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("mimetype", mimetype, compress_type=method)
        archive.writestr("META-INF/manifest.xml", manifest, compress_type=method)
    return buffer.getvalue()


ODT = b"application/vnd.oasis.opendocument.text"


@pytest.mark.parametrize(
    ("method", "part"),
    [
        (zipfile.ZIP_DEFLATED, "mimetype"),
        (zipfile.ZIP_LZMA, "META-INF/manifest.xml"),
        (zipfile.ZIP_BZIP2, "mimetype"),
        pytest.param(zipfile.ZIP_DEFLATED, "META-INF/manifest.xml", marks=pytest.mark.long),
        pytest.param(zipfile.ZIP_LZMA, "mimetype", marks=pytest.mark.long),
        pytest.param(zipfile.ZIP_BZIP2, "META-INF/manifest.xml", marks=pytest.mark.long),
    ],
)
def test_no_part_that_is_looked_at_fills_the_memory(part: str, method: int):
    bomb = bytes(200 * MIB)
    if part == "mimetype":
        body = open_document(b"", method=method, mimetype=bomb)
        body = body.replace(struct.pack("<L", len(bomb)), struct.pack("<L", 50))  # a lie
    else:
        body = open_document(bomb, method=method, mimetype=ODT)
    assert len(body) < MIB
    tracemalloc.start()
    try:
        sniff(body)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 32 * MIB


def test_a_list_of_parts_that_is_long_is_no_documents_and_not_read():
    entries = 400_000
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\1\2", 20, 0, 20, *[0] * 8, 1, *[0] * 6) + b"a"
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0, 0, len(entry) * entries, 4, 0)
    body = b"PK\3\4" + entry * entries + end
    started = time.thread_time()
    assert sniff(body) == "archive"
    assert time.thread_time() - started < 2.5


def test_a_file_of_marks_of_code_is_fenced_in_time():
    marks = "`" * 200_000
    started = time.thread_time()
    text = follow.fenced(marks)
    assert time.thread_time() - started < 5
    fence = "`" * 200_001
    assert text == f"{fence}\n{marks}\n{fence}"


def test_a_table_of_a_long_field_takes_nothing_of_its_mail_away(read: Read):
    cell = "x" * 200_000
    mail = EmailMessage()
    mail["From"], mail["Subject"] = "a@example.org", "Figures"
    mail.set_content("The figures are below.")
    mail.add_attachment(f"{cell}\n".encode(), "text", "csv", filename="figures.csv")
    text = read(mail.as_bytes(), "figures.eml").text
    assert "The figures are below." in text
    assert cell in text


def test_the_files_of_a_mail_have_so_much_time_together(
    read: Read, monkeypatch: pytest.MonkeyPatch
):
    inner = EmailMessage()
    inner["From"], inner["Subject"] = "b@example.org", "Inner"
    inner.set_content("Words of the inner one.")
    inner.add_attachment("Deep words.", filename="deep.txt")
    mail = EmailMessage()
    mail["From"], mail["Subject"] = "a@example.org", "Outer"
    mail.set_content("Words of the outer one.")
    mail.add_attachment(inner)
    assert "Deep words." in read(mail.as_bytes(), "outer.eml").text
    monkeypatch.setattr(inside, "MAX_SECONDS", -1.0)
    document = read(mail.as_bytes(), "outer.eml")
    assert "Words of the outer one." in document.text
    assert "Words of the inner one." not in document.text
    assert any("take longer" in one for one in document.warnings)


def mail_of(*attachments: str) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["Subject"] = "a@example.org", "Outer"
    mail.set_content("Words of the outer one.")
    for number, text in enumerate(attachments):
        mail.add_attachment(text, filename=f"{number}.txt")
    return mail


@pytest.mark.parametrize(("sign", "fit"), [("", 4), ("\U0001f600", 1)])
def test_the_texts_inside_a_mail_have_so_much_memory_together(
    read: Read, monkeypatch: pytest.MonkeyPatch, sign: str, fit: int
):
    """Counted as it is held: one sign makes each character of a text take four bytes."""
    monkeypatch.setattr(inside, "MAX_BYTES", 5000)
    mail = mail_of(*(f"Words of {number}. {sign}" + "x" * 1000 for number in range(9)))
    document = read(mail.as_bytes(), "outer.eml")
    assert "Words of the outer one." in document.text
    found = [number for number in range(9) if f"Words of {number}." in document.text]
    assert found == list(range(fit))
    left_out = [one for one in document.warnings if "was left out: With the texts before" in one]
    assert len(left_out) == 9 - fit


def test_a_mail_inside_a_mail_counts_once(read: Read, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(inside, "MAX_BYTES", 5500)
    mail = mail_of()
    mail.add_attachment(mail_of(*("Words. " + "x" * 900 for _ in range(4))))
    mail.add_attachment("Last words.", filename="last.txt")
    document = read(mail.as_bytes(), "outer.eml")
    assert document.warnings == ()
    assert document.text.count("Words. ") == 4
    assert "Last words." in document.text


def test_twenty_attachments_of_a_million_characters_are_read(read: Read):
    mail = mail_of(*(f"\U0001f600 Words of {n}.\n" + "some words\n" * 90_000 for n in range(20)))
    document = read(mail.as_bytes(), "outer.eml")
    assert document.warnings == ()
    assert all(f"Words of {number}." in document.text for number in range(20))


class _Taken:
    """A room that writes down what is asked of it."""

    def __init__(self) -> None:
        self.waited: list[int | None] = []
        self.taken: list[int] = []

    def wait(self, size: int | None) -> None:
        self.waited.append(size)

    def found(self, size: int) -> None:
        self.taken.append(size)

    def take(self, size: int) -> None:
        self.taken.append(size)

    def give_back(self, size: int) -> None:
        self.taken.append(-size)


def test_a_batch_is_asked_before_a_text_is_made(pool: LocalPool):
    room = _Taken()
    body = b"some words of a text\n" * 100
    for name in ("a.txt", "a.csv", "no_suffix"):
        extract_document(body, name=name, config=ExtractionConfig(), pool=pool, room=room)
    assert room.waited == [5 * len(body)] * 3


@pytest.mark.parametrize("carrier", ["html", "mhtml", "eml"])
def test_nobody_knows_how_large_a_page_will_be_whose_cells_span(pool: LocalPool, carrier: str):
    room = _Taken()
    cell = f"<td colspan=50 rowspan=50>{'word ' * 100}</td>"
    page = f"<html><body><table><tr>{cell}</tr>{'<tr></tr>' * 49}</table></body></html>"
    mail = EmailMessage()
    mail["Subject"] = "cells"
    mail.set_content(page, subtype="html")
    body = page.encode() if carrier == "html" else mail.as_bytes()
    document = extract_document(
        body, name=f"a.{carrier}", config=ExtractionConfig(), pool=pool, room=room
    )
    assert len(document.text) > 500 * len(body)
    assert room.waited == [None]


def test_a_batch_is_asked_for_the_files_of_a_mail_each_text_and_their_sum(pool: LocalPool):
    room = _Taken()
    mail = mail_of("x" * 1000, "\U0001f600" + "x" * 1000).as_bytes()
    document = extract_document(mail, name="a.eml", config=ExtractionConfig(), pool=pool, room=room)
    assert room.waited == [None]
    body, files, first, second, together, *given_back = room.taken
    assert given_back == [-files, -body]
    assert 2000 < files < 2100
    assert 1000 < first < 1100
    assert 4000 < second < 4200
    assert sys.getsizeof(document.text) - 100 < together < sys.getsizeof(document.text) + 100


def test_files_of_a_mail_that_unfold_at_each_level_are_bounded_together(
    read: Read, monkeypatch: pytest.MonkeyPatch
):
    mail = mail_of("x" * 30_000)
    outer = mail_of("a first file")
    outer.add_attachment(mail)
    outermost = mail_of("a second file")
    outermost.add_attachment(outer)
    whole = read(outermost.as_bytes(), "outer.eml")
    assert (whole.warnings, "x" * 30_000 in whole.text) == ((), True)
    monkeypatch.setattr(inside, "MAX_HELD_BYTES", 80_000)  # each level has 30 KB of the last one
    document = read(outermost.as_bytes(), "outer.eml")
    assert "x" * 30_000 not in document.text
    assert "a first file" in document.text
    assert any("more than 0 MiB" in one for one in document.warnings)


def test_bodies_of_mails_in_mails_are_bounded_together(read: Read, monkeypatch: pytest.MonkeyPatch):
    mails = [mail_of() for _ in range(3)]
    for number, mail in enumerate(mails):
        mail.set_content(f"body {number}\n" + "word " * 8_000)
    outer, inner, innermost = mails
    inner.add_attachment(innermost)
    outer.add_attachment(inner)
    assert "body 2" in read(outer.as_bytes(), "outer.eml").text
    monkeypatch.setattr(inside, "MAX_BYTES", 100_000)  # each body has 40 KB
    document = read(outer.as_bytes(), "outer.eml")
    assert "body 2" not in document.text
    assert any("more than 0 MiB of memory" in one for one in document.warnings)


def test_the_pages_of_a_scan_are_in_the_room_while_others_are_read_again(pool: LocalPool):
    room = _Taken()
    extract_document(make_report(), name="a.pdf", config=ExtractionConfig(), pool=pool, room=room)
    pages, given_back = room.taken
    assert 0 < pages == -given_back


def test_a_batch_has_room_for_what_it_holds_and_each_mail_gives_back(pool: LocalPool):
    room = Room(100_000)
    mail = mail_of("x" * 50_000).as_bytes()
    with Share(BatchRoom(room)) as first, Share(BatchRoom(room)) as second:
        first.take(90_000)
        second.take(20_000)  # one goes beyond the bound
        with pytest.raises(NoRoom):
            extract_document(mail, name="a.eml", config=ExtractionConfig(), pool=pool, room=first)
    assert (room.held, room.begun, room.unknown) == (0, 0, 0)


def test_the_table_of_a_mails_attachment_is_made_in_a_worker(
    pool: LocalPool, monkeypatch: pytest.MonkeyPatch
):
    asked: list[str] = []
    submit = pool.submit

    def noted(function: str, *args: object, **named: Any) -> Any:
        asked.append(function.partition(":")[2])
        return submit(function, *args, **named)

    monkeypatch.setattr(pool, "submit", noted)
    mail = mail_of()
    mail.add_attachment(b"name,price\nApples,3\n", "text", "csv", filename="figures.csv")
    document = extract_document(mail.as_bytes(), name="a.eml", config=ExtractionConfig(), pool=pool)
    assert asked == ["read_eml", "read_csv", "table_of"]
    assert "| name | price |\n| - | - |\n| Apples | 3 |" in document.text


def test_a_table_is_made_row_by_row():
    text = ("a" + "," * 99 + "\n") * 20_000
    tracemalloc.start()
    try:
        table = table_of(text)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert table.startswith("| a |  |")
    assert most < 3 * len(table)


def test_a_text_is_read_without_copies(pool: LocalPool):
    body = ("\U0001f600" + "some words of a text\n" * 100_000).encode()
    tracemalloc.start()
    try:
        text = extract_document(body, name="a.txt", config=ExtractionConfig(), pool=pool).text
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 1.5 * sys.getsizeof(text)


def test_pages_are_put_together_once():
    writer = PageWriter()
    for number in range(20):
        writer.add(str(number), f"\n\npage {number} " + "x" * 100_000 + "\n")
    writer.add("last", "")
    tracemalloc.start()
    try:
        text, pages = writer.text, writer.pages
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 1.5 * sys.getsizeof(text)
    assert text.endswith("x\n")
    assert pages[-1].start == len(text)
    assert [text[page.start :][:7] for page in pages[:2]] == ["page 0 ", "page 1 "]


def test_the_words_of_a_converted_file_are_counted_in_a_worker(
    pool: LocalPool, monkeypatch: pytest.MonkeyPatch
):
    asked: list[str] = []
    submit = pool.submit

    def noted(function: str, *args: object, **named: Any) -> Any:
        asked.append(function.partition(":")[2])
        return submit(function, *args, **named)

    monkeypatch.setattr(pool, "submit", noted)
    text = "ten words of which one converter keeps the first two " * 1000
    plain = Document(text=text, format="text")

    def extract(content: bytes, **_named: object) -> Document:
        return Document(text=content.decode(), format="text")

    reading = Reading(config=ExtractionConfig(), pool=pool, depth=0, extract=extract)
    for kept, lost in (("ten words", True), (plain.text, False)):
        converted = Converted(
            content=kept.encode(), name="a.docx", engine="libreoffice", plain=plain
        )
        found = reading._follow(converted)
        assert found.text == plain.text
        assert any("loses words" in one for one in found.warnings) == lost
    assert asked == ["word_recall"] * 2


def test_the_words_beside_a_picture_are_counted_in_a_worker(
    pool: LocalPool, monkeypatch: pytest.MonkeyPatch
):
    """A page may have 1,000 notes of 10,000 characters, and two garbled pages as many."""
    asked: list[str] = []
    submit = pool.submit

    def noted(function: str, *args: object, **named: Any) -> Any:
        asked.append(function.partition(":")[2])
        return submit(function, *args, **named)

    monkeypatch.setattr(pool, "submit", noted)
    notes = "\u4e2d\u6587 " * 50_000
    texts = [notes, "garbled " * 50, notes]
    read = {0: "a picture's words", 1: "a short page of words", 2: "many words " * 50_000}
    garbled = scans._take(read, texts, words=WordCounter(pool), pictures={0})
    assert garbled == [1, 2]
    assert texts == [f"a picture's words\n\n{notes}", read[1], read[2]]
    assert asked == ["word_recall", "share_in_words", "word_recall"]
