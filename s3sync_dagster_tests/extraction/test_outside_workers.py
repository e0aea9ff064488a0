"""What is done of a file beside the workers costs little: nothing would end it there."""

import io
import struct
import time
import tracemalloc
import zipfile
from email.message import EmailMessage

import pytest

from s3sync_dagster.extraction import extract, follow
from s3sync_dagster.extraction.content import sniff
from s3sync_dagster.model.document import Document
from s3sync_dagster_tests.extraction.conftest import Read

MIB = 1024**2


def open_document(manifest: bytes, *, method: int, mimetype: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("mimetype", mimetype, compress_type=method)
        archive.writestr("META-INF/manifest.xml", manifest, compress_type=method)
    return buffer.getvalue()


ODT = b"application/vnd.oasis.opendocument.text"


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
@pytest.mark.parametrize("part", ["mimetype", "META-INF/manifest.xml"])
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
    text = follow.as_markdown(Document(text=marks, format="code", engine="text"))
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
    monkeypatch.setattr(extract, "MAX_INNER_SECONDS", -1.0)
    document = read(mail.as_bytes(), "outer.eml")
    assert "Words of the outer one." in document.text
    assert "Words of the inner one." not in document.text
    assert any("take longer" in one for one in document.warnings)
