"""The gallery: files that are damaged, lying, or made to hurt whoever reads them.

Each entry gives a name, a function that makes the bytes, and the reasons that are right answers.
``None`` among them means that a document is a right answer too.
"""

import io
import random
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage

from s3sync_dagster_tests.extraction import raw_pdf

Reasons = frozenset[str | None]


@dataclass(frozen=True)
class BadFile:
    name: str
    make: Callable[[], bytes]
    reasons: Reasons
    long: bool = False
    """Takes tens of seconds by nature: it runs into a time limit."""


def _ok(*reasons: str | None) -> Reasons:
    return frozenset(reasons)


def docx_with(document: bytes, *, extra: dict[str, bytes] | None = None) -> bytes:
    """Return a Word file whose main part is given."""
    parts = {
        "[Content_Types].xml": (
            b'<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/'
            b'content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-'
            b'package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>'
            b'<Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-'
            b'officedocument.wordprocessingml.document.main+xml"/></Types>'
        ),
        "_rels/.rels": (
            b'<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/'
            b'2006/relationships"><Relationship Id="r1" Type="http://schemas.openxmlformats.org/'
            b'officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/>'
            b"</Relationships>"
        ),
        "word/document.xml": document,
        **(extra or {}),
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in parts.items():
            archive.writestr(name, body)
    return out.getvalue()


def _word(body: str) -> bytes:
    space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    return f'<w:document xmlns:w="{space}"><w:body>{body}</w:body></w:document>'.encode()


def _billion_laughs() -> bytes:
    entities = '<!ENTITY a0 "ha">' + "".join(
        f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 12)
    )
    space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    return docx_with(
        f'<!DOCTYPE d [{entities}]><w:document xmlns:w="{space}"><w:body><w:p><w:r><w:t>&a11;</w:t>'
        f"</w:r></w:p></w:body></w:document>".encode()
    )


def _zip_bomb_docx() -> bytes:
    out = io.BytesIO(docx_with(_word("<w:p/>")))
    with (
        zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("word/big.xml", "w", force_zip64=True) as part,
    ):
        block = b" " * 10_000_000
        for _ in range(220):
            part.write(block)
    return out.getvalue()


def _deep_docx(depth: int = 3000) -> bytes:
    start, end = "<w:tbl><w:tr><w:tc>", "</w:tc></w:tr></w:tbl>"
    return docx_with(_word(start * depth + "<w:p/>" + end * depth))


def _xlsx(rows: str) -> bytes:
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    related = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    office = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override '
        f'PartName="/xl/workbook.xml" ContentType="{office}.sheet.main+xml"/><Override '
        f'PartName="/xl/worksheets/sheet1.xml" ContentType="{office}.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
        f'Type="{related}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{related}"><sheets><sheet name="S" '
        'sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{related}/worksheet" Target="worksheets/sheet1.xml"/>'
        "</Relationships>",
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{rows}</sheetData>'
        "</worksheet>",
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in parts.items():
            archive.writestr(name, body)
    return out.getvalue()


def _corners() -> bytes:
    return _xlsx(
        '<row r="1"><c r="A1"><v>1</v></c></row>'
        '<row r="1048576"><c r="XFD1048576"><v>2</v></c></row>'
    )


def _ole(*streams: str) -> bytes:
    """Return something with a compound file's magic and directory names, and nothing else."""
    names = b"".join(name.encode("utf-16-le").ljust(128, b"\0") for name in streams)
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504) + names + bytes(4096)


def _nested_mail(depth: int = 12) -> bytes:
    message = EmailMessage()
    message["Subject"] = "innermost"
    message.set_content("the end")
    for level in range(depth):
        outer = EmailMessage()
        outer["Subject"] = f"level {level}"
        outer.set_content(f"text of level {level}")
        outer.add_attachment(message)
        message = outer
    return message.as_bytes()


def _encrypted_pdf(*, user_password: str = "secret") -> bytes:
    from reportlab.lib.pdfencrypt import StandardEncryption
    from reportlab.pdfgen import canvas

    out = io.BytesIO()
    page = canvas.Canvas(out, encrypt=StandardEncryption(user_password, ownerPassword="owner"))
    page.drawString(72, 700, "secret text")
    page.save()
    return out.getvalue()


def _pdf_for_a_certificate() -> bytes:
    content = raw_pdf.pages_pdf([raw_pdf.text_content("secret text")])
    scheme = b"trailer\n<</Encrypt<</Filter/Adobe.PubSec/SubFilter/adbe.pkcs7.s5/V 4>>"
    return content.replace(b"trailer\n<<", scheme)


def _png_header(width: int, height: int) -> bytes:
    import zlib

    def part(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + part(b"IHDR", head)
        + part(b"IDAT", zlib.compress(b"\0"))
        + part(b"IEND", b"")
    )


def _photo(form: str) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.radial_gradient("L").save(out, form)
    return out.getvalue()


def _black_pictures(count: int) -> list[bytes]:
    """Return pictures of 64 million pixels in some kilobytes each."""
    from PIL import Image

    out = []
    for number in range(count):
        file = io.BytesIO()
        Image.new("1", (8000, 8000 + number)).save(file, "PNG", compress_level=9)
        out.append(file.getvalue())
    return out


def _illustrated(*pictures: bytes) -> bytes:
    """Return a Word file whose folder of pictures is not what it should be."""
    parts = {f"word/media/image{i}.png": picture for i, picture in enumerate(pictures)}
    return docx_with(_word("<w:p><w:r><w:t>words</w:t></w:r></w:p>"), extra=parts)


def _strokes(count: int) -> bytes:
    chance = random.Random(1)
    lines = (
        b"%d %d m %d %d l S" % tuple(chance.randrange(600) for _ in range(4)) for _ in range(count)
    )
    return raw_pdf.pages_pdf([raw_pdf.text_content("a map") + b"\n" + b"\n".join(lines)])


def _text_runs(count: int) -> bytes:
    runs = b"".join(
        b"1 0 0 1 %d %d Tm (w%d)Tj " % (i * 7 % 600, i * 13 % 790, i) for i in range(count)
    )
    return raw_pdf.pages_pdf([b"BT /F1 4 Tf " + runs + b"ET"])


def good_pdf() -> bytes:
    """Return an ordinary PDF."""
    return raw_pdf.pages_pdf([raw_pdf.text_content("An ordinary page", "with two lines.")])


BAD_FILES = [
    # nothing, something else, half of it
    BadFile("empty.pdf", lambda: b"", _ok("empty_file")),
    BadFile("empty.docx", lambda: b"", _ok("empty_file")),
    BadFile("empty.txt", lambda: b"", _ok("empty_file")),
    BadFile("blank.txt", lambda: b" \n\t\n", _ok("empty_text")),
    BadFile("erased.txt", lambda: b"\xff" * 4096, _ok("empty_text")),
    BadFile("text.pdf", lambda: b"only words here", _ok("wrong_suffix")),
    BadFile("text.docx", lambda: b"only words here", _ok("wrong_suffix")),
    BadFile("text.png", lambda: b"only words here", _ok("wrong_suffix")),
    BadFile("program.docx", lambda: b"\x7fELF" + bytes(5000), _ok("binary")),
    BadFile("noise.txt", lambda: random.Random(1).randbytes(50_000), _ok("binary")),
    BadFile(
        "noise.pdf", lambda: b"%PDF-1.7\n" + random.Random(2).randbytes(50_000), _ok("damaged")
    ),
    BadFile("cut.pdf", lambda: good_pdf()[:300], _ok("damaged")),
    BadFile("cut.docx", lambda: docx_with(_word("<w:p/>"))[:400], _ok("damaged")),
    BadFile("nothing-inside.docx", lambda: docx_with(b"<no/>"), _ok("damaged", "empty_text")),
    BadFile("archive.zip", lambda: docx_with(_word("<w:p/>")), _ok("archive")),
    BadFile("archive.docx", lambda: _plain_zip(), _ok("archive")),
    BadFile("sound.mp3", lambda: b"ID3", _ok("media")),
    BadFile("broken.ipynb", lambda: b'{"cells": [{"cell_type"', _ok("damaged")),
    BadFile("deep.ipynb", lambda: b'{"cells": ' + b"[" * 100_000, _ok("damaged")),
    BadFile("not-a-mail.eml", lambda: b"\x00\x01", _ok("damaged")),
    BadFile("photo.pdf", lambda: _photo("JPEG"), _ok("no_text", "missing_program")),
    BadFile("letter.docx", lambda: good_pdf(), _ok(None)),
    BadFile(
        "cut-at-90.pdf",
        lambda: (whole := raw_pdf.pages_pdf([raw_pdf.text_content("x")] * 500))[
            : len(whole) * 9 // 10
        ],
        _ok("damaged"),
    ),
    # protected
    BadFile("owner-only.pdf", lambda: _encrypted_pdf(user_password=""), _ok(None)),
    BadFile("secret.pdf", _encrypted_pdf, _ok("encrypted")),
    BadFile("certificate.pdf", _pdf_for_a_certificate, _ok("encrypted")),
    BadFile("secret.docx", lambda: _ole("EncryptionInfo", "EncryptedPackage"), _ok("encrypted")),
    BadFile("broken.doc", lambda: _ole("WordDocument", "1Table"), _ok("damaged")),
    BadFile("broken.xls", lambda: _ole("Workbook"), _ok("damaged")),
    BadFile("broken.ppt", lambda: _ole("PowerPoint Document"), _ok("damaged")),
    BadFile("broken.msg", lambda: _ole("__properties_version1.0"), _ok("damaged")),
    # bombs
    BadFile("laughs.docx", _billion_laughs, _ok("damaged")),
    BadFile("bomb.docx", _zip_bomb_docx, _ok("zip_bomb")),
    BadFile(
        "deep.docx", _deep_docx, _ok("damaged", "nested_too_deep", "worker_crashed", "empty_text")
    ),
    BadFile("corners.xlsx", _corners, _ok("too_many_cells")),
    BadFile(
        "huge.png", lambda: _png_header(200_000, 200_000), _ok("too_many_pixels", "missing_program")
    ),
    BadFile("nested.eml", _nested_mail, _ok(None)),
    BadFile("deep.html", lambda: b"<div>" * 20_000 + b"deep text" + b"</div>" * 20_000, _ok(None)),
    BadFile("entities.xml", lambda: b'<!DOCTYPE d [<!ENTITY a "b">]><d>&a;</d>', _ok(None)),
    # pictures inside documents
    BadFile("huge-picture.docx", lambda: _illustrated(_png_header(200_000, 200_000)), _ok(None)),
    BadFile("broken-picture.docx", lambda: _illustrated(_photo("PNG")[:200]), _ok(None)),
    BadFile("black-pictures.docx", lambda: _illustrated(*_black_pictures(6)), _ok(None)),
    BadFile(
        "data-addresses.html",
        lambda: b"<p>words</p>" + b'<img src="data:image/png;base64,' + b"QUJD" * 50 + b'">' * 2000,
        _ok(None),
    ),
    # PDFs that lie
    BadFile(
        "page-loop.pdf", raw_pdf.page_tree_loop_pdf, _ok("damaged", "no_text", "missing_program")
    ),
    BadFile(
        "count-lie.pdf",
        lambda: raw_pdf.pages_pdf([raw_pdf.text_content("one page")], count=2_000_000_000),
        _ok(None, "too_many_pages", "damaged"),
    ),
    BadFile(
        "nested-array.pdf", raw_pdf.nested_array_pdf, _ok("damaged", "no_text", "missing_program")
    ),
    BadFile(
        "pages-7001.pdf",
        lambda: raw_pdf.pages_pdf([raw_pdf.text_content("x")] * 7001),
        _ok("too_many_pages"),
    ),
    BadFile("tag-loop.pdf", raw_pdf.tag_loop_pdf, _ok(None)),
    BadFile("text-runs.pdf", lambda: _text_runs(20_000), _ok(None)),
    # PDFs that never end, or fill memory: they meet a limit
    BadFile(
        "form-loop.pdf",
        raw_pdf.form_loop_pdf,
        _ok("timeout", "out_of_memory", "no_text", "missing_program"),
        long=True,
    ),
    BadFile(
        "doubling-forms.pdf",
        raw_pdf.doubling_forms_pdf,
        _ok("timeout", "out_of_memory", "no_text", "missing_program"),
        long=True,
    ),
    BadFile("flate-bomb.pdf", raw_pdf.flate_bomb_pdf, _ok("out_of_memory", "timeout"), long=True),
    BadFile("strokes.pdf", lambda: _strokes(200_000), _ok(None), long=True),
    BadFile(
        "pages-5000.pdf",
        lambda: raw_pdf.pages_pdf(
            [raw_pdf.text_content(f"page {i} has words") for i in range(5000)]
        ),
        _ok(None),
        long=True,
    ),
]


def _plain_zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.txt", "text")
    return out.getvalue()
