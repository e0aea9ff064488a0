"""What the pictures of a file say: read by Tesseract, and made small enough to be described."""

import hashlib
import io
import time
from typing import Any

from s3sync_dagster.engine.ports import Content
from s3sync_dagster.extraction.ocr import check_languages, prepare, recognise
from s3sync_dagster.extraction.picture_files import find_pictures
from s3sync_dagster.extraction.steps import Picture
from s3sync_dagster.extraction.words import is_text

PROGRAMS = ("tesseract",)
"""What workers with these functions may start."""

PRELOAD = {"look_at_pictures": ("PIL.Image", "pypdfium2")}
MAX_PICTURES = 20
MAX_SIDE_PIXELS = 1024
_OCR_SECONDS = 30.0
"""Of one file's pictures; those that come later are not read."""
_MAX_OCR_SIDE_PIXELS = 4000
"""A page at 300 dpi; larger pictures are made smaller."""
_BROKEN = (OSError, SyntaxError, ValueError, EOFError)


def look_at_pictures(
    content: Content, *, reader: str, languages: str | None, as_jpeg: bool
) -> tuple[Picture, ...]:
    """Return up to 20 different pictures of a file.

    Args:
        content: the file.
        reader: kind of file, such as ``docx``.
        languages: of Tesseract; None: the pictures are not read.
        as_jpeg: also return the pictures themselves.

    Raises ``MissingEngine`` (``missing_language``).
    """
    if languages:
        check_languages(languages)
    ends_at = time.monotonic() + _OCR_SECONDS
    seen: set[bytes] = set()
    pictures: list[Picture] = []
    for found in find_pictures(content, reader=reader):
        if len(pictures) >= MAX_PICTURES:
            break
        try:
            grey = prepare(found.image)
            grey.thumbnail((_MAX_OCR_SIDE_PIXELS, _MAX_OCR_SIDE_PIXELS))
            digest = hashlib.sha256(grey.tobytes()).digest()
            if digest in seen:
                continue  # the logo of each page
            seen.add(digest)
            text = ""
            darkest, lightest = grey.getextrema()
            if languages and darkest < lightest and time.monotonic() < ends_at:
                text = recognise(grey, languages=languages)
            jpeg = _shrink(found.image) if as_jpeg else b""
        except _BROKEN:
            continue
        pictures.append(
            Picture(
                name=found.name,
                page=found.page,
                text=" ".join(text.split()) if is_text(text) else "",
                jpeg=jpeg,
            )
        )
    return tuple(pictures)


def _shrink(image: Any) -> bytes:
    small = image.convert("RGB")
    small.thumbnail((MAX_SIDE_PIXELS, MAX_SIDE_PIXELS))
    out = io.BytesIO()
    small.save(out, "JPEG", quality=85)
    return out.getvalue()
