"""Documents of each kind around a given picture."""

import base64
import io
import zipfile
from collections.abc import Callable

from s3sync_dagster_tests.extraction import corpus


def make_docx(*pictures: bytes) -> bytes:
    from docx import Document

    word = Document()
    word.add_paragraph("Words before.")
    for picture in pictures:
        word.add_picture(io.BytesIO(picture))
    out = io.BytesIO()
    word.save(out)
    return out.getvalue()


def make_pptx(picture: bytes) -> bytes:
    from pptx import Presentation

    deck = Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[5])
    slide.shapes.title.text = "Words before."
    slide.shapes.add_picture(io.BytesIO(picture), 0, 2_000_000)
    out = io.BytesIO()
    deck.save(out)
    return out.getvalue()


def make_xlsx(picture: bytes) -> bytes:
    import xlsxwriter

    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True})
    sheet = book.add_worksheet()
    sheet.write(0, 0, "Words before.")
    sheet.insert_image("C3", "a.png", {"image_data": io.BytesIO(picture)})
    book.close()
    return out.getvalue()


def make_html(picture: bytes) -> bytes:
    data = base64.b64encode(picture).decode()
    return f'<p>Words before.</p><img alt="" src="data:image/png;base64,{data}">'.encode()


def make_pdf(picture: bytes, *, pages: int = 1) -> bytes:
    """Return a PDF with the picture on its second page and all later ones, or on its only one."""
    from PIL import Image
    from reportlab.lib.utils import ImageReader
    from reportlab.pdfgen import canvas

    out = io.BytesIO()
    drawn = ImageReader(Image.open(io.BytesIO(picture)))
    paper = canvas.Canvas(out)
    for number in range(1, pages + 1):
        paper.drawString(72, 700, f"Words of page {number}.")
        if number > 1 or pages == 1:
            paper.drawImage(drawn, 72, 300, 400, 200)
        paper.showPage()
    paper.save()
    return out.getvalue()


def _with_part(archive: bytes, name: str, picture: bytes) -> bytes:
    out = io.BytesIO(archive)
    with zipfile.ZipFile(out, "a") as file:
        file.writestr(name, picture)
    return out.getvalue()


ILLUSTRATED: dict[str, Callable[[bytes], bytes]] = {
    ".docx": make_docx,
    ".pptx": make_pptx,
    ".xlsx": make_xlsx,
    ".html": make_html,
    ".pdf": make_pdf,
    ".odt": lambda picture: _with_part(corpus.make_odt(), "Pictures/a.png", picture),
    ".epub": lambda picture: _with_part(corpus.make_epub(), "EPUB/images/a.png", picture),
}
