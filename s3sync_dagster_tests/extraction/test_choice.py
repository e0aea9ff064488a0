"""By suffix first, by content second; what is not read is refused with its reason."""

import io
import zipfile
from pathlib import Path

import pytest

from s3sync_dagster.core.filetypes import kind_of, skip_reason, suffix_of
from s3sync_dagster.extraction.engines import engines_for
from s3sync_dagster.model.errors import (
    InvalidSetting,
    MissingEngine,
    UnsupportedFile,
)
from s3sync_dagster.model.source import ExtractionConfig
from s3sync_dagster_tests.extraction import corpus, raw_pdf
from s3sync_dagster_tests.extraction.conftest import Read

CONTRACT = [
    *(".pdf", ".doc", ".docx", ".odt", ".xls", ".xlsx", ".xlsm", ".xltx", ".csv", ".ods"),
    *(".ppt", ".pptx", ".odp", ".html", ".epub", ".png", ".jpg", ".jpeg", ".webp", ".gif"),
    *(".tiff", ".tif"),
]


@pytest.mark.parametrize("suffix", CONTRACT)
def test_every_type_of_the_contract_has_a_reader_with_an_engine(suffix: str):
    kind = kind_of("folder.v1/some file" + suffix.upper())
    assert kind is not None
    assert kind.skip is None
    assert engines_for(
        kind.reader, suffix=suffix, config=ExtractionConfig(), find=lambda name: "/bin/" + name
    )


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a/b.ZIP", "archive"),
        ("backup.tar.gz", "archive"),
        ("song.mp3", "media"),
        ("model.safetensors", "binary"),
        ("a.py", None),
        ("unknown.xyz", None),
        ("no-suffix", None),
        (".zip", None),
    ],
)
def test_names_that_need_no_download(name: str, reason: str | None):
    assert skip_reason(name) == reason


def test_suffix_is_the_last_one_of_the_last_part():
    assert suffix_of("a.b/c.D.PDF") == ".pdf"
    assert suffix_of("a.b/c") == ""
    assert suffix_of(".env") == ""


def test_pdf_named_as_word_document_is_read_as_what_it_is(read: Read):
    content = raw_pdf.pages_pdf([raw_pdf.text_content("really a page")])
    document = read(content, "letter.docx")
    assert "really a page" in document.text
    assert document.warnings[0] == "The suffix says .docx, the bytes are pdf: read as pdf."


def test_word_document_without_suffix_is_known_by_its_bytes(read: Read):
    document = read(corpus.make_docx(), "letter")
    assert document.engine == "docling"
    assert document.warnings == ()


def test_word_document_named_txt_is_read_as_what_it_is(read: Read):
    assert read(corpus.make_docx(), "letter.txt").engine == "docling"


def test_media_type_decides_where_nothing_else_does(read: Read):
    page = b"<h1>Title</h1><p>words</p>"
    assert read(page, "page", "text/html; charset=utf-8").text.startswith("# Title")
    assert read(page, "page").text == page.decode()


def test_archive_with_a_document_suffix_is_an_archive(read: Read):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.txt", "x")
    with pytest.raises(UnsupportedFile) as caught:
        read(out.getvalue(), "fake.docx")
    assert caught.value.reason == "archive"


def test_source_names_its_engine(read: Read):
    content = raw_pdf.pages_pdf([raw_pdf.text_content("a page", "of text")])
    assert read(content, "a.pdf").engine == "liteparse"
    assert read(content, "a.pdf", engines={".pdf": "pypdfium2"}).engine == "pypdfium2"


def test_unknown_engine_names_the_known_ones(read: Read):
    with pytest.raises(InvalidSetting, match="liteparse, pypdfium2") as caught:
        read(raw_pdf.pages_pdf([b""]), "a.pdf", engines={".pdf": "magic"})
    assert caught.value.reason == "unknown_engine"


@pytest.mark.parametrize("reader", ["doc", "ppt", "rtf"])
def test_old_formats_fall_back_without_libreoffice(reader: str):
    config = ExtractionConfig()
    alone = engines_for(reader, suffix="." + reader, config=config, find=lambda _: None)
    assert [engine.program for engine in alone] == [None]
    first = engines_for(reader, suffix="." + reader, config=config, find=lambda name: name)
    assert first[0].name == "libreoffice"


def test_missing_program_is_named():
    with pytest.raises(MissingEngine, match="tesseract") as caught:
        engines_for("image", suffix=".png", config=ExtractionConfig(), find=lambda _: None)
    assert caught.value.reason == "missing_program"
    wanted = ExtractionConfig(engines={".doc": "libreoffice"})
    with pytest.raises(MissingEngine, match="soffice"):
        engines_for("doc", suffix=".doc", config=wanted, find=lambda _: None)


def test_pictures_are_not_read_where_ocr_is_off_whether_or_not_its_program_is_there(read: Read):
    with pytest.raises(UnsupportedFile) as caught:
        read(corpus._red_square(), "a.png", ocr=False)
    assert caught.value.reason == "ocr_off"
    off = ExtractionConfig(ocr=False)
    for find in (lambda _: None, lambda program: f"/usr/bin/{program}"):
        with pytest.raises(UnsupportedFile) as caught:
            engines_for("image", suffix=".png", config=off, find=find)
        assert caught.value.reason == "ocr_off"


@pytest.mark.parametrize("name", ["readme.doc", "german.msg"])
def test_suffixes_that_plain_text_has_too(read: Read, name: str):
    document = read(b"plain words", name)
    assert document.text == "plain words"
    assert document.warnings == (f"The suffix says {name[-4:]}, the bytes are text.",)


@pytest.mark.parametrize(
    "start", ["GIF89a is a format", "ID3 tags", "%PDF-1.7 begins a PDF", "{\\rtf1"]
)
@pytest.mark.parametrize("name", ["notes.md", "reader.py", "table.csv"])
def test_text_about_formats_is_text(read: Read, name: str, start: str):
    document = read(start.encode() + b"\nmore words\n", name)
    assert document.text.startswith(start)
    assert document.warnings == ()


@pytest.mark.parametrize("name", ["report.md", "notes.txt", "data.json"])
def test_a_whole_pdf_of_plain_characters_is_read_as_one_whatever_its_name(
    read: Read, tmp_path: Path, name: str
):
    body = raw_pdf.pages_pdf([raw_pdf.text_content("The tide comes twice a day.")])
    assert body.isascii()
    (tmp_path / "spooled").write_bytes(body)
    for content in (body, tmp_path / "spooled"):
        document = read(content, name=name)
        assert document.text.strip() == "The tide comes twice a day."
        assert document.warnings[0] == (
            f"The suffix says {suffix_of(name)}, the bytes are pdf: read as pdf."
        )


def test_our_own_file_about_pdf_is_code(read: Read):
    content = Path(raw_pdf.__file__).read_bytes()
    assert b"%PDF-" in content[:1024]
    assert read(content, "raw_pdf.py").format == "code"


@pytest.mark.parametrize(("name", "content_type"), [("a.pdf", None), ("a", "application/pdf")])
def test_pdf_with_junk_before_and_after_it_is_one_by_its_name(
    read: Read, name: str, content_type: str | None
):
    content = b"x" * 99 + raw_pdf.pages_pdf([raw_pdf.text_content("in between")]) + b"z" * 99
    assert "in between" in read(content, name, content_type).text


def test_program_that_writes_a_pdf_is_text(read: Read):
    content = b"#!/bin/sh\necho %PDF-1.4 > a\necho '\nstartxref\n0\n%%EOF\n"
    assert read(content, "write").text.startswith("#!/bin/sh\necho %PDF-1.4")
