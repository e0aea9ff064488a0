"""Where the pictures of a document are: inside archives, PDF pages and web pages."""

import base64
import binascii
import io
import mmap
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s3sync_dagster.engine.ports import Content
from s3sync_dagster.extraction.archives import BROKEN_ARCHIVE, check_unpacked_size
from s3sync_dagster.extraction.content import read_all
from s3sync_dagster.extraction.pdf.text_layer import is_scan, open_pdf

MAX_PIXELS = 80_000_000
"""Of one picture: an A0 poster at 200 dpi has 62 million."""
MIN_SIDE_PIXELS = 64
"""Smaller ones are icons and rules."""
_FOLDERS = ("word/media/", "ppt/media/", "xl/media/", "pictures/")
_NOT_CONTENT = ("docprops/", "thumbnails/")
_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff")
_NAME = rb"[^\x00/]{1,100}\.(?:png|jpe?g|gif|webp|bmp|tiff?)"
_OFFICE_PICTURE = re.compile(rb"/media/" + _NAME, re.IGNORECASE)
_OPEN_DOCUMENT_PICTURE = re.compile(rb"Pictures/" + _NAME, re.IGNORECASE)
_BOOK_PICTURE = re.compile(_NAME, re.IGNORECASE)
_PDF_PICTURE = re.compile(rb"/Subtype\s*/Image")
_DATA_URI = re.compile(rb"data:image/[a-z.+-]{2,20};base64,([A-Za-z0-9+/=%\s]{100,})")
_MAX_PAGE_SHARE = 0.7
"""Larger pictures are the page itself, scanned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A picture, opened."""

    name: str
    image: Any
    """Of Pillow; not yet decoded where it came from a file."""
    page: str | None = None
    """Label of its page, in a PDF."""


def may_hold_pictures(content: Content, reader: str) -> bool:
    """Return whether a file of this kind may hold pictures, by a look at its raw bytes.

    Names in archives, and the dictionaries of pictures in a PDF, are never compressed.
    """
    pattern = _PATTERNS.get(reader)
    if pattern is None:
        return False
    if isinstance(content, bytes):
        return pattern.search(content) is not None
    with (
        content.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as body,
    ):
        return pattern.search(body) is not None


def find_pictures(content: Content, *, reader: str) -> Iterator[Found]:
    """Yield the pictures of a file; what cannot be opened, or is an icon, is left out."""
    for found in _FINDERS.get(reader, _in_archive)(content):
        width, height = found.image.size
        if min(width, height) >= MIN_SIDE_PIXELS and width * height <= MAX_PIXELS:
            yield found


def _whole(content: Content) -> Iterator[Found]:
    name = content.name if isinstance(content, Path) else "picture"
    image = _open(read_all(content))
    if image is not None:
        yield Found(name=name, image=image)


def _in_archive(content: Content) -> Iterator[Found]:
    check_unpacked_size(content)
    try:
        with zipfile.ZipFile(
            content if isinstance(content, Path) else io.BytesIO(content)
        ) as archive:
            for name in sorted(archive.namelist(), key=_in_counting_order):
                if not _is_picture(name):
                    continue
                image = _open(_part(archive, name))
                if image is not None:
                    yield Found(name=name.rpartition("/")[2], image=image)
    except BROKEN_ARCHIVE:
        return  # the format's own reader says what is wrong


def _in_counting_order(name: str) -> list[tuple[int, str]]:
    """Return a key by which ``image10`` comes after ``image9``."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]


def _part(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        return archive.read(name)
    except BROKEN_ARCHIVE:
        return b""


def _is_picture(name: str) -> bool:
    lower = name.lower()
    if not lower.endswith(_SUFFIXES) or lower.startswith(_NOT_CONTENT):
        return False
    # An e-book keeps its pictures anywhere beside its chapters.
    return lower.startswith(_FOLDERS) or not lower.startswith(("word/", "ppt/", "xl/"))


def _in_html(content: Content) -> Iterator[Found]:
    for number, found in enumerate(_DATA_URI.finditer(read_all(content)), start=1):
        try:
            image = _open(base64.b64decode(found[1].replace(b"%2B", b"+"), validate=False))
        except binascii.Error:
            continue
        if image is not None:
            yield Found(name=f"picture {number}", image=image)


def _in_pdf(content: Content) -> Iterator[Found]:
    import pypdfium2
    from pypdfium2 import raw

    pdf = open_pdf(content)
    for number in range(len(pdf)):
        try:
            page = pdf[number]
            area = max(1.0, page.get_width() * page.get_height())
            pictures = list(page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=3))
            if not pictures or is_scan(page.get_textpage().get_text_range()):
                continue  # a page without text is read as a whole
        except pypdfium2.PdfiumError:
            continue
        for place, picture in enumerate(pictures, start=1):
            try:
                left, bottom, right, top = picture.get_bounds()
                if (right - left) * (top - bottom) > area * _MAX_PAGE_SHARE:
                    continue
                width, height = picture.get_px_size()
                if min(width, height) < MIN_SIDE_PIXELS or width * height > MAX_PIXELS:
                    continue
                image = picture.get_bitmap().to_pil()
            except (pypdfium2.PdfiumError, ValueError):
                continue
            label = str(number + 1)
            yield Found(name=f"{place} of page {label}", image=image, page=label)
        page.close()


def _open(content: bytes) -> Any:
    """Return a picture that Pillow knows, else None."""
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 (loaded once by the forker)

    Image.MAX_IMAGE_PIXELS = None  # checked by size, above
    try:
        return Image.open(io.BytesIO(content))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError):
        return None


_FINDERS: dict[str, Callable[[Content], Iterator[Found]]] = {
    "image": _whole,
    "pdf": _in_pdf,
    "html": _in_html,
}
_PATTERNS = {
    "image": re.compile(b""),
    "pdf": _PDF_PICTURE,
    "html": _DATA_URI,
    **dict.fromkeys(("docx", "pptx", "xlsx"), _OFFICE_PICTURE),
    **dict.fromkeys(("odt", "odp", "ods"), _OPEN_DOCUMENT_PICTURE),
    "epub": _BOOK_PICTURE,
}
