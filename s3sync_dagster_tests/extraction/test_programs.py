"""Tesseract and LibreOffice themselves: `apt-get install tesseract-ocr libreoffice-writer-nogui
libreoffice-impress-nogui`, then `make test-long`. They fail, not skip, where these are missing.
"""

import io
import subprocess
from pathlib import Path

import pytest

from s3sync_dagster.extraction import legacy
from s3sync_dagster.extraction.words import word_recall
from s3sync_dagster.model.errors import EmptyText, MissingEngine
from s3sync_dagster.model.source import ExtractionConfig
from s3sync_dagster_tests.extraction import corpus
from s3sync_dagster_tests.extraction.conftest import Read
from s3sync_dagster_tests.extraction.illustrated_files import ILLUSTRATED

pytestmark = pytest.mark.long

LINES = ["The quick brown fox jumps", "over the lazy dog and runs", "into the forest 12345"]


def picture(*lines: str, mode: str = "L", height: int = 800):
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("L", (1654, height), 255)
    for number, line in enumerate(lines):
        place = (100, 100 + number * 90)
        ImageDraw.Draw(image).text(place, line, fill=0, font=ImageFont.load_default(44))
    return image.convert(mode)


def saved(image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("suffix", "form", "mode"),
    [
        (".png", "PNG", "RGBA"),
        (".jpg", "JPEG", "L"),
        (".gif", "GIF", "P"),
        (".webp", "WEBP", "RGB"),
    ],
)
def test_pictures_are_read(read: Read, suffix: str, form: str, mode: str):
    document = read(saved(picture(*LINES, mode=mode), form), "scan" + suffix)
    assert document.engine == "tesseract"
    assert word_recall(" ".join(LINES), document.text) == 1.0


def test_each_picture_of_a_tiff_is_a_page(read: Read):
    content = saved(
        picture("first picture", mode="1"),
        "TIFF",
        save_all=True,
        append_images=[picture("second picture", mode="1")],
    )
    document = read(content, "fax.tiff")
    assert document.page_count == 2
    assert "second picture" in document.text[document.pages[1].start :]


def test_scanned_pdf_is_read_page_by_page(read: Read):
    content = saved(
        picture(*LINES), "PDF", resolution=200, save_all=True, append_images=[picture("page two")]
    )
    document = read(content, "scan.pdf")
    assert document.engine == "liteparse+tesseract"
    assert word_recall(" ".join(LINES), document.text[: document.pages[1].start]) == 1.0
    assert "page two" in document.text[document.pages[1].start :]


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_turned_pages_are_read_upright(read: Read, degrees: int):
    page = picture(*(f"{line} and on the page before" for line in LINES * 5), height=1600)
    turned = page.rotate(degrees, expand=True, fillcolor=255)
    document = read(saved(turned, "PDF", resolution=200), "scan.pdf")
    assert word_recall(" ".join(LINES), document.text) == 1.0


def test_photo_is_turned_as_the_camera_says(read: Read):
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees to the right
    lying = picture(*LINES).rotate(90, expand=True)
    document = read(saved(lying, "JPEG", exif=exif), "photo.jpg")
    assert word_recall(" ".join(LINES), document.text) == 1.0


def test_blank_picture_has_no_text(read: Read):
    with pytest.raises(EmptyText) as caught:
        read(saved(picture(), "PNG"), "blank.png")
    assert caught.value.reason == "no_text"


def test_language_without_data_is_named(read: Read):
    with pytest.raises(MissingEngine, match="xyz") as caught:
        read(saved(picture(*LINES), "PNG"), "scan.png", ocr_languages="eng+xyz")
    assert caught.value.reason == "missing_language"


def converted(content: bytes, name: str, suffix: str, folder: Path) -> bytes:
    source = folder / name
    source.write_bytes(content)
    command = ["soffice", "--headless", f"-env:UserInstallation=file://{folder}/profile"]
    command += ["--convert-to", suffix, "--outdir", str(folder / "out"), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    return (folder / "out" / source.with_suffix("." + suffix).name).read_bytes()


@pytest.mark.parametrize("suffix", ["doc", "rtf"])
def test_old_word_formats_keep_structure(read: Read, tmp_path: Path, suffix: str):
    content = converted(corpus.make_docx(), "plan.docx", suffix, tmp_path)
    document = read(content, "plan." + suffix)
    assert document.engine == "libreoffice+docling"
    assert "## Goals" in document.text
    assert "- hire\n    - two engineers\n" in document.text
    assert "| North | 1\\|2 | 3 |" in document.text


def test_old_presentation_keeps_slides_and_notes(read: Read, tmp_path: Path):
    content = converted(corpus.make_pptx(), "roadmap.pptx", "ppt", tmp_path)
    document = read(content, "roadmap.ppt")
    assert document.engine == "libreoffice+docling"
    assert document.text.startswith("# Why\n")
    assert "Mention the survey." in document.text


def test_old_workbook_needs_no_program(read: Read, tmp_path: Path):
    document = read(converted(corpus.make_xlsx(), "stock.xlsx", "xls", tmp_path), "stock.xls")
    assert document.engine == "calamine"
    assert "| Bob | 4.5 |" in document.text


def test_every_old_format_has_its_words_without_libreoffice(tmp_path: Path):
    config = ExtractionConfig()
    wanted = "Quarterly plan Goals Grow by 12 hire two engineers first step North South Outlook"
    doc = converted(corpus.make_docx(), "plan.docx", "doc", tmp_path)
    rtf = converted(corpus.make_docx(), "plan.docx", "rtf", tmp_path)
    assert word_recall(wanted, legacy.read_doc(doc, name="a.doc", config=config).text) == 1.0
    assert word_recall(wanted, legacy.read_rtf(rtf, name="a.rtf", config=config).text) == 1.0
    ppt = converted(corpus.make_pptx(), "roadmap.pptx", "ppt", tmp_path)
    slides = legacy.read_ppt(ppt, name="a.ppt", config=config)
    assert word_recall("Why Customers wait three weeks on average Numbers", slides.text) == 1.0
    assert "Click to edit" not in slides.text


def test_source_may_choose_the_light_engine(read: Read, tmp_path: Path):
    content = converted(corpus.make_docx(), "plan.docx", "doc", tmp_path)
    assert read(content, "plan.doc", engines={".doc": "ole"}).engine == "ole"


@pytest.mark.parametrize("kind", ILLUSTRATED)
def test_text_in_pictures_of_a_document_is_read(read: Read, kind: str):
    document = read(ILLUSTRATED[kind](saved(picture(*LINES), "PNG")), "a" + kind)
    (line,) = [line for line in document.text.splitlines() if line.startswith("[Text in picture")]
    assert word_recall(" ".join(LINES), line) == 1.0
    assert document.engine.endswith("+tesseract")
    assert document.warnings == ()


def test_picture_without_words_adds_nothing(read: Read):
    from PIL import Image

    noise = Image.effect_noise((800, 600), 90)
    document = read(ILLUSTRATED[".docx"](saved(noise, "PNG")), "a.docx")
    assert document.text == "Words before.\n"
    assert document.engine == "docling"


def test_document_with_pictures_in_an_unknown_language_is_read_with_a_warning(read: Read):
    content = ILLUSTRATED[".docx"](saved(picture(*LINES), "PNG"))
    document = read(content, "a.docx", ocr_languages="eng+xyz")
    assert document.text == "Words before.\n"
    (warning,) = document.warnings
    assert warning.startswith("The pictures were not read: Tesseract has no data for xyz")
