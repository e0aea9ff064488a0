"""What a file says beside its text stays short, whatever it says."""

import io
import sys
import zipfile
from email.message import EmailMessage

from s3sync_dagster.extraction import extract_document
from s3sync_dagster.extraction.beside_text import (
    HEADER_CHARACTERS,
    LABEL_CHARACTERS,
    MOST_WARNINGS,
    shortened,
)
from s3sync_dagster.model.document import Document, Page
from s3sync_dagster.model.source import ExtractionConfig
from s3sync_dagster_tests.extraction import corpus
from s3sync_dagster_tests.extraction.conftest import Read
from s3sync_dagster_tests.extraction.test_answers import Answering

LONG = "S" * 300_000 + "\N{GRINNING FACE}"


def long_names() -> bytes:
    """Return a workbook whose sheets, of which one is hidden, have names that no program allows."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(corpus.make_xlsx())) as book,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as changed,
    ):
        for name in book.namelist():
            body = book.read(name)
            if name == "xl/workbook.xml":
                for sheet in ("People", "Draft"):
                    body = body.replace(
                        f'name="{sheet}"'.encode(), f'name="{sheet}{LONG}"'.encode()
                    )
            changed.writestr(name, body)
    return out.getvalue()


def beside(document: Document) -> int:
    labels = (page.label for page in document.pages)
    return sum(map(sys.getsizeof, (*labels, *document.warnings)))


def test_long_names_of_sheets_are_short_in_labels_and_warnings(read: Read):
    document = read(long_names(), "stock.xlsx")
    assert [page.label[:7] for page in document.pages][:2] == ["PeopleS", "PeopleS"]
    assert document.pages[0].label.endswith("!A1:E3")
    (hidden,) = (one for one in document.warnings if "hidden sheet" in one)
    assert len(hidden) < 150
    assert beside(document) < 20_000


def test_warnings_of_what_a_mail_holds_are_short(read: Read):
    mail = EmailMessage()
    mail["From"], mail["Subject"] = "a@example.org", "Figures " + "x" * 1000
    mail.set_content("Below.")
    for number in range(3):
        mail.add_attachment(long_names(), "application", "octet-stream", filename=f"{number}.xlsx")
    document = read(mail.as_bytes(), "figures.eml")
    assert sum("hidden sheet" in one for one in document.warnings) == 3
    assert beside(document) < 20_000


def test_a_long_name_of_an_attachment_stands_before_no_warning_of_it(read: Read):
    """A mail of 2 MB took 400 MB for each of its attachments."""
    inner, mail, long = EmailMessage(), EmailMessage(), LONG[-5000:]
    for one in (inner, mail):
        one["From"], one["Subject"] = "a@example.org", "Files"
        one.set_content("Below.")
    for number in range(MOST_WARNINGS + 1):
        inner.add_attachment(b"PK", "application", "zip", filename=f"{number}.zip")
    for _ in range(3):
        mail.add_attachment(inner.as_bytes(), "application", "x", filename=f"{long}.eml")
    mail.add_attachment(b"Words.", "text", "plain", filename=f"{long}.txt")
    document = read(mail.as_bytes(), "files.eml")
    assert "Words." in document.text  # its suffix stays
    assert len(document.text) < 10_000
    assert document.warnings[0].startswith("SSS")
    assert document.warnings[-1] == f"{2 * MOST_WARNINGS + 1} more warnings are not shown."
    assert beside(document) < 2000 * MOST_WARNINGS


def test_a_mail_to_whom_it_goes_says_it_to_some_end(read: Read):
    mail = EmailMessage()
    mail["From"], mail["Subject"] = "a@example.org", "S" * 300_000
    mail.set_content("Below.")
    sent = b"To: somebody " + b"o" * 300_000 + b" <b@example.org>\n" + mail.as_bytes()
    document = read(sent, "many.eml")
    assert "somebody ooo" in document.text
    assert "Below." in document.text
    assert len(document.text) < 3 * HEADER_CHARACTERS
    assert len(document.title or "") == LABEL_CHARACTERS


def test_what_a_worker_says_beside_a_text_is_cut():
    """It may have been taken over, and then holds itself to nothing."""
    said = Document(
        text="words", format="markdown", pages=(Page(start=0, label=LONG),), warnings=(LONG,) * 500
    )
    document = extract_document(
        corpus.make_docx(), name="a.docx", config=ExtractionConfig(), pool=Answering(said)
    )
    assert document.text == "words"
    assert beside(document) < 5000 * MOST_WARNINGS


def test_what_stands_beside_a_text_is_cut():
    document = Document(
        text="x",
        format="text",
        pages=(Page(start=0, label=LONG), Page(start=1, label="short")),
        title=LONG,
        author=LONG,
        created=LONG,
        language=LONG,
        encoding=LONG,
        engine=LONG,
        warnings=(LONG,) * 500,
    )
    short = shortened(document)
    said = (short.title, short.author, short.created, short.language, short.encoding, short.engine)
    assert {one and len(one) for one in (*said, short.pages[0].label)} == {256}
    assert short.pages[1] is document.pages[1]
    assert len(short.warnings) == MOST_WARNINGS
    assert short.warnings[-1] == f"{500 - MOST_WARNINGS + 1} more warnings are not shown."
    assert {len(one) for one in short.warnings[:-1]} == {1000}
    assert shortened(Document(text="x", format="text", warnings=("w",) * MOST_WARNINGS)).warnings
