"""Files that other programs write and everybody can open: they are read, and as what they are."""

import io
import struct
import zipfile
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import olefile
import pytest

from s3sync_dagster.extraction import legacy
from s3sync_dagster.extraction.content import sniff
from s3sync_dagster.extraction.follow import Reading
from s3sync_dagster.extraction.steps import Converted
from s3sync_dagster.extraction.words import word_recall
from s3sync_dagster.model.document import Document
from s3sync_dagster.model.errors import EmptyText, MissingEngine, UnreadableFile, UnsupportedFile
from s3sync_dagster.model.source import ExtractionConfig
from s3sync_dagster_tests.extraction import corpus, raw_pdf
from s3sync_dagster_tests.extraction.conftest import Read
from s3sync_dagster_tests.extraction.outlook_files import Entry, write_compound

SAMPLES = Path(__file__).parent / "samples"
ENCRYPTION = (
    '<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
    '<EncryptedData xmlns="http://www.w3.org/2001/04/xmlenc#">'
    '<EncryptionMethod Algorithm="http://www.idpf.org/2008/embedding"/><CipherData>'
    '<CipherReference URI="{path}"/></CipherData></EncryptedData></encryption>'
)


def edited(content: bytes, part: str, old: str, new: str) -> bytes:
    """Return an archive with other words in one of its parts."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(out, "w") as target:
        for entry in source.infolist():
            body = source.read(entry)
            if entry.filename == part:
                assert old.encode() in body
                body = body.replace(old.encode(), new.encode(), 1)
            target.writestr(entry, body)
    return out.getvalue()


def added(content: bytes, part: str, body: str) -> bytes:
    out = io.BytesIO(content)
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr(part, body)
    return out.getvalue()


def docx(body: str) -> bytes:
    """Return a Word document with some XML as its first paragraphs."""
    from docx import Document

    out = io.BytesIO()
    document = Document()
    document.add_paragraph("the end")
    document.save(out)
    return edited(out.getvalue(), "word/document.xml", "<w:body>", f"<w:body>{body}")


def run(words: str) -> str:
    return f'<w:r><w:t xml:space="preserve">{words}</w:t></w:r>'


def test_word_document_with_xml_comments_is_read(read: Read):
    content = docx(f"<!-- made by a program --><w:p><?mso x?>{run('kept words')}<!--x--></w:p>")
    assert read(content, "a.docx").text == "kept words\n\nthe end\n"


def test_text_that_was_moved_stands_where_it_was_moved_to(read: Read):
    mark = 'w:id="1" w:author="A" w:date="2026-01-01T00:00:00Z"'
    content = docx(
        f"<w:p><w:moveFrom {mark}>{run('wandering')}</w:moveFrom>{run('first')}</w:p>"
        f"<w:p>{run('second, ')}<w:moveToRangeStart {mark}/><w:moveTo {mark}>{run('wandering')}"
        f'</w:moveTo><w:moveToRangeEnd w:id="1"/></w:p>'
    )
    assert read(content, "a.docx").text == "first\n\nsecond, wandering\n\nthe end\n"


@pytest.mark.parametrize("name", ["dir", "bdo"])
def test_text_with_a_direction_of_its_own_is_read(read: Read, name: str):
    content = docx(
        f'<w:p>{run("from left, ")}<w:{name} w:val="rtl">{run("from right")}</w:{name}></w:p>'
    )
    assert read(content, "a.docx").text == "from left, from right\n\nthe end\n"


def test_elements_of_a_schema_hide_no_text(read: Read):
    marked = '<w:customXmlPr><w:attr w:name="n" w:val="v"/></w:customXmlPr>'
    content = docx(
        f'<w:customXml w:element="a">{marked}<w:p>{run("a paragraph")}</w:p></w:customXml>'
        f'<w:p><w:customXml w:element="b">{marked}{run("words")}</w:customXml>{run(" after")}</w:p>'
    )
    assert read(content, "a.docx").text == "a paragraph\n\nwords after\n\nthe end\n"


def test_a_reading_above_a_word_stands_behind_it(read: Read):
    ruby = (
        f'<w:ruby><w:rubyPr><w:rubyAlign w:val="center"/></w:rubyPr><w:rt>{run("かんじ")}</w:rt>'
        f"<w:rubyBase>{run('漢字')}</w:rubyBase></w:ruby>"
    )
    content = docx(f"<w:p><w:r><w:rPr><w:b/></w:rPr>{ruby}</w:r>{run('を読む')}</w:p>")
    assert read(content, "a.docx").text == "漢字(かんじ)を読む\n\nthe end\n"


def test_a_word_without_a_reading_and_one_without_a_base_hide_nothing(read: Read):
    ruby = "<w:r><w:ruby><w:rt>{}</w:rt><w:rubyBase>{}</w:rubyBase></w:ruby><w:t> after</w:t></w:r>"
    content = docx(
        f"<w:p>{ruby.format('', run('B'))}{run(' MIDDLE ')}"
        f"{ruby.format(run('か'), run('下'))}</w:p>"
        f"<w:p>{ruby.format(run('alone'), '')}<w:r><w:ruby/></w:r>{run(' end')}</w:p>"
    )
    text = read(content, "a.docx").text
    assert text == "B after MIDDLE 下(か) after\n\n(alone) after end\n\nthe end\n"


def test_rows_and_cells_in_controls_are_read(read: Read):
    def cell(words: str) -> str:
        return f"<w:tc><w:tcPr/><w:p>{run(words)}</w:p></w:tc>"

    def control(content: str) -> str:
        return f"<w:sdt><w:sdtPr/><w:sdtContent>{content}</w:sdtContent></w:sdt>"

    rows = [
        f"<w:tr>{cell('a')}{cell('b')}</w:tr>",
        control(control(f"<w:tr>{cell('c')}{cell('d')}</w:tr>")),
        f"<w:tr>{cell('e')}{control(cell('f'))}</w:tr>",
    ]
    grid = "<w:tblGrid><w:gridCol/><w:gridCol/></w:tblGrid>"
    content = docx(
        f"<w:tbl><w:tblPr/>{grid}{''.join(rows)}</w:tbl>{control(f'<w:p>{run(chr(103))}</w:p>')}"
    )
    assert (
        read(content, "a.docx").text
        == "| a | b |\n| - | - |\n| c | d |\n| e | f |\n\ng\n\nthe end\n"
    )


def test_file_on_disk_is_repaired_in_a_copy(read: Read, tmp_path: Path):
    content = docx(f"<w:p><!-- x -->{run('kept words')}</w:p>")
    path = tmp_path / "spooled"
    path.write_bytes(content)
    assert read(path, "a.docx").text.startswith("kept words")
    assert path.read_bytes() == content


def test_head_of_an_open_document_list_is_kept(read: Read):
    from odfdo import Document, Element

    document = Document("text")
    document.body.clear()
    item = "<text:list-item><text:p>an item</text:p></text:list-item>"
    head = "<text:list-header><text:p>its head</text:p></text:list-header>"
    document.body.append(Element.from_tag(f"<text:list>{head}{item}</text:list>"))
    out = io.BytesIO()
    document.save(out)
    assert read(out.getvalue(), "a.odt").text == "- its head\n- an item\n"


def test_slide_with_a_linked_picture_is_read(read: Read):
    content = corpus.make_pptx()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        slide = next(
            name
            for name in archive.namelist()
            if name.startswith("ppt/slides/slide") and b"r:embed=" in archive.read(name)
        )
    linked = read(edited(content, slide, "r:embed=", "r:link="), "a.pptx")
    assert "three weeks on average" in linked.text
    assert "# Picture" in linked.text


def test_book_that_hides_only_its_fonts_is_read(read: Read):
    content = added(
        corpus.make_epub(), "META-INF/encryption.xml", ENCRYPTION.format(path="fonts/a.otf")
    )
    assert read(content, "a.epub").text == read(corpus.make_epub(), "a.epub").text


def test_book_with_an_encrypted_chapter_is_protected(read: Read):
    with zipfile.ZipFile(io.BytesIO(corpus.make_epub())) as archive:
        chapter = next(name for name in archive.namelist() if name.endswith("html"))
    content = added(corpus.make_epub(), "META-INF/encryption.xml", ENCRYPTION.format(path=chapter))
    with pytest.raises(UnreadableFile) as caught:
        read(content, "a.epub")
    assert caught.value.reason == "encrypted"


def white_picture(kind: str) -> bytes:
    """Return a picture whose first kilobytes are the white of its pixels."""
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (80, 80), "white").save(out, kind)
    return out.getvalue()


def test_bitmap_is_a_picture_and_a_text_that_begins_like_one_is_not():
    assert sniff(white_picture("BMP")) == "image"
    assert sniff(b"BM is how it begins" + b" and goes on" * 20) is None


@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_whose_table_stands_at_its_end_is_a_picture(order: str):
    mark = b"II" if order == "<" else b"MM"
    pixels = b"\xff" * 8000
    assert sniff(mark + struct.pack(order + "HI", 42, 8 + len(pixels)) + pixels) == "image"


def workbook(stream: str = "Workbook", *inside: Entry) -> bytes:
    with olefile.OleFileIO(str(SAMPLES / "stock.xls")) as file:
        body = file.openstream("Workbook").read()
    return write_compound(Entry("Root Entry", children=[Entry(stream, body), *inside]))


def test_workbook_that_embeds_a_word_document_is_a_workbook(read: Read):
    inner = Entry("MBD0001", children=[Entry("WordDocument", b"x" * 600)])
    assert read(workbook("Workbook", inner), "a.xls").engine == "calamine"


def test_stream_in_capitals_is_known():
    assert sniff(workbook("WORKBOOK")) == "xls"


@pytest.mark.parametrize(
    "before",
    [
        b"\xef\xbb\xbf",
        b"\x1b%-12345X@PJL JOB\r\n@PJL ENTER LANGUAGE=PDF\r\n",
        b"%%BEGIN_TICKET\r%%COLOUR: ALL\r",
        b"%%LINE: 1\n" * 90,
        b"<html><head><title>Moved</title></head><body></body></html>",
    ],
    ids=["mark", "printer", "ticket", "lines", "page"],
)
def test_pdf_after_what_others_wrote_before_it_is_a_pdf(read: Read, before: bytes):
    content = before + raw_pdf.pages_pdf([raw_pdf.text_content("behind a mark")])
    assert "behind a mark" in read(content, "a.pdf").text


def test_words_about_pdfs_in_a_line_make_none():
    assert sniff(b"\x00\x01 they begin with %PDF-1.7 and \x00 end otherwise") is None


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("graph.dot", b"digraph { a -> b }", "digraph { a -> b }"),
        ("export.xls", b"<html><table><tr><td>a</td><td>b</td></tr></table></html>", "| a | b |"),
        ("export.xls", b"name\tsum\nAda\t3\nBob\t4\n", "name,sum\nAda,3\nBob,4\n"),
        ("letter.doc", b"<!DOCTYPE html><h1>Dear all</h1>", "# Dear all"),
        ("notes.doc", "plain, wide".encode("utf-16"), "plain, wide"),
    ],
)
def test_old_suffixes_of_text_are_read_as_what_they_are(
    read: Read, name: str, content: bytes, expected: str
):
    document = read(content, name)
    assert document.text.strip("\n").startswith(expected.strip("\n"))
    assert document.warnings[0].startswith(f"The suffix says .{name.partition('.')[2]}, ")


@pytest.mark.parametrize("charset", ["punycode", "idna", "undefined", "no-such", "base64"])
def test_mail_of_a_charset_that_says_nothing_of_its_bytes_is_read(read: Read, charset: str):
    head = f"From: a@example.org\r\nSubject: Prices\r\nContent-Type: text/plain; charset={charset}"
    mail = f"{head}\r\nContent-Transfer-Encoding: 8bit\r\n\r\nthe café is shut".encode()
    assert "the café is shut" in read(mail, "note.eml").text


def test_mail_that_an_editor_saved_as_utf_16_is_read(read: Read):
    mail = "From: Ada <ada@example.org>\nSubject: Plans\n\nWe begin on Monday.\n"
    document = read(mail.encode("utf-16"), "a.eml")
    assert document.title == "Plans"
    assert "We begin on Monday." in document.text


def with_record(stream: bytes, kind: int, body: bytes) -> bytes:
    """Return a workbook's stream with a record behind its first one."""
    place = 4 + struct.unpack_from("<H", stream, 2)[0]
    return stream[:place] + struct.pack("<HH", kind, len(body)) + body + stream[place:]


def word_stream(*, flags: int = 0, version: int = 0xC1) -> bytes:
    return struct.pack("<HHHHHH", 0xA5EC, version, 0, 0, 0, flags).ljust(5000, b"\0")


def protected_files() -> dict[str, Entry]:
    with olefile.OleFileIO(str(SAMPLES / "stock.xls")) as file:
        sheets = file.openstream("Workbook").read()
    user = struct.pack("<HHIII", 0, 0x0FF6, 20, 0x14, 0xF3D1C4DF)
    return {
        "a.xls": Entry("Workbook", with_record(sheets, 0x2F, bytes(6))),
        "a.doc": Entry("WordDocument", word_stream(flags=0x0100)),
        "a.ppt": Entry("Current User", user.ljust(64, b"\0")),
    }


@pytest.mark.parametrize("name", ["a.xls", "a.doc", "a.ppt"])
def test_old_file_with_a_password_is_protected(read: Read, name: str):
    streams = [protected_files()[name], Entry("PowerPoint Document", b"x" * 600)]
    with pytest.raises(UnreadableFile) as caught:
        read(write_compound(Entry("Root Entry", children=streams[: 1 + (name == "a.ppt")])), name)
    assert caught.value.reason == "encrypted"


def test_open_document_with_a_password_is_protected(read: Read):
    table = "<manifest:manifest><manifest:encryption-data/></manifest:manifest>"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.text")
        archive.writestr("META-INF/manifest.xml", table)
        archive.writestr("content.xml", b"\x12\x99\x01")
    with pytest.raises(UnreadableFile) as caught:
        read(out.getvalue(), "a.odt")
    assert caught.value.reason == "encrypted"


@pytest.mark.parametrize("head", ["09000400", "09020600", "09040600"])
def test_workbook_before_excel_5_says_what_it_is(read: Read, head: str):
    with pytest.raises(UnsupportedFile, match="Excel 2 to 4"):
        read(bytes.fromhex(head) + b"\0" * 40, "a.xls")


def test_word_95_names_the_program_that_reads_it():
    streams = [Entry("WordDocument", word_stream(version=0x68))]
    content = write_compound(Entry("Root Entry", children=streams))
    with pytest.raises(MissingEngine, match="Word 6 and 95"):
        legacy.read_doc(content, name="a.doc", config=ExtractionConfig())


def record(kind: int, body: bytes, *, version: int = 0xF) -> bytes:
    return struct.pack("<HHI", version, kind, len(body)) + body


def test_repeated_words_of_old_slides_stay_and_old_versions_go():
    def words(text: str) -> bytes:
        return record(0x0FA8, text.encode(), version=0)

    slide = record(0x03EE, words("True") + words("False") + words("True"))
    masters = record(0x0FF0, words("Click to edit"), version=0x1F)
    stream = record(0x03E8, masters) + slide + slide + record(0x03EE, words("True"))
    assert list(legacy._slide_texts(stream)) == ["True", "False", "True", "True"]


def test_threaded_comment_comes_once(read: Read):
    rels = "http://schemas.openxmlformats.org/package/2006/relationships"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/comments"
    threads = "http://schemas.microsoft.com/office/2017/10/relationships/threadedComment"
    content = added(
        sheet_with(("cell",)),
        "xl/worksheets/_rels/sheet1.xml.rels",
        f'<Relationships xmlns="{rels}"><Relationship Id="r1" Type="{office}" Target="../c.xml"/>'
        f'<Relationship Id="r2" Type="{threads}" Target="../t.xml"/></Relationships>',
    )
    content = added(
        content,
        "xl/c.xml",
        "<comments><authors><author>tc={1}</author><author>Ada</author></authors><commentList>"
        '<comment ref="A1" authorId="0"><text><t>[Threaded comment] Why?</t></text></comment>'
        '<comment ref="B2" authorId="1"><text><t>A note.</t></text></comment></commentList>'
        "</comments>",
    )
    thread = '<threadedComment ref="A1"><text>Why?</text></threadedComment>'
    content = added(content, "xl/t.xml", f"<ThreadedComments>{thread}</ThreadedComments>")
    assert read(content, "a.xlsx").text.endswith("- B2: A note.\n- A1: Why?\n")


def sheet_with(*rows: tuple[object, ...]) -> bytes:
    from openpyxl import Workbook

    book = Workbook()
    for row in rows:
        book.active.append(row)  # type: ignore[union-attr]
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


class Converter:
    """A pool that gives a converted file and the text that it should have, and counts words."""

    def __init__(self, plain: str) -> None:
        self.plain = plain

    def submit(self, function: str, /, *args: object, **kwargs: object) -> Future[Any]:
        future: Future[Any] = Future()
        if function.endswith(":word_recall"):
            future.set_result(word_recall(*map(str, args)))
            return future
        plain = Document(text=self.plain, format="text", engine="striprtf")
        answer = Converted(content=b"x", name="a.docx", engine="libreoffice", plain=plain)
        future.set_result(answer)
        return future

    def close(self) -> None:
        return


def converted(plain: str, found: str) -> Document:
    """Return what is kept of a file whose conversion holds the words of ``found``."""

    def extract(content: bytes, *, name: str, depth: int) -> Document:
        if not found:
            raise EmptyText("The file was read and holds no text.", reason="empty_text")
        return Document(text=found, format="markdown", engine="docling")

    config = ExtractionConfig(engines={".rtf": "striprtf"})
    reading = Reading(config=config, pool=Converter(plain), extract=extract, depth=0)
    return reading.read(b"{\\rtf", reader="rtf", name="a.rtf", suffix=".rtf")


def test_words_that_the_converter_loses_are_kept():
    assert converted("a b c d e f g h", "# a b").text == "a b c d e f g h"
    assert converted("a b c d e f g h", "").engine == "striprtf"
    assert converted("running head a b c d e f g", "# a b c d e f g").text == "# a b c d e f g"


class Failing(Converter):
    """A pool in which LibreOffice cannot open the file and the next engine can."""

    def submit(self, function: str, /, *args: object, **kwargs: object) -> Future[Any]:
        future: Future[Any] = Future()
        if "libreoffice" in function:
            message = "LibreOffice cannot open the file."
            future.set_exception(UnreadableFile(message, reason="damaged"))
        else:
            future.set_result(Document(text=self.plain, format="text", engine="striprtf"))
        return future


def test_file_that_libreoffice_cannot_open_is_read_by_the_next_engine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    (tmp_path / "soffice").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    config = ExtractionConfig()
    reading = Reading(config=config, pool=Failing("its words"), extract=converted, depth=0)
    document = reading.read(b"{\\rtf", reader="rtf", name="a.rtf", suffix=".rtf")
    assert document.text == "its words"
    assert document.warnings == ("libreoffice gave up (damaged).",)
