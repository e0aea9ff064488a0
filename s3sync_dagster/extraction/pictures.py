"""The pictures of a file, small enough to be described: image files, and what documents hold."""

import io
import zipfile
from pathlib import Path
from typing import Any

from s3sync_dagster.core.interfaces import Content
from s3sync_dagster.extraction.archives import BROKEN_ARCHIVE, check_unpacked_size
from s3sync_dagster.extraction.ocr import MAX_PIXELS
from s3sync_dagster.extraction.steps import Attachment

PRELOAD = {"list_pictures": ("PIL.Image",)}
MAX_PICTURES = 20
MAX_SIDE_PIXELS = 1024
_MIN_SIDE_PIXELS = 64
"""Smaller ones are icons and rules."""
_FOLDERS = ("word/media/", "ppt/media/", "xl/media/", "pictures/")
_NOT_CONTENT = ("docprops/", "thumbnails/")
_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff")


def list_pictures(content: Content) -> tuple[Attachment, ...]:
    """Return up to 20 different pictures as JPEG, in the order of their names.

    Pictures that cannot be read, or are too small to show anything, are left out.
    """
    source = content if isinstance(content, Path) else io.BytesIO(content)
    if not zipfile.is_zipfile(source):
        name = content.name if isinstance(content, Path) else "picture"
        whole = content.read_bytes() if isinstance(content, Path) else content
        shown = _as_jpeg(whole)
        return (Attachment(name=name, content=shown),) if shown else ()
    check_unpacked_size(content)
    found: dict[bytes, Attachment] = {}
    with zipfile.ZipFile(source) as archive:
        for name in sorted(archive.namelist()):
            if len(found) >= MAX_PICTURES:
                break
            if not _is_picture(name):
                continue
            shown = _as_jpeg(_part(archive, name))
            if shown and shown not in found:
                found[shown] = Attachment(name=name.rpartition("/")[2], content=shown)
    return tuple(found.values())


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


def _as_jpeg(content: bytes) -> bytes | None:
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 (loaded once by the forker)

    Image.MAX_IMAGE_PIXELS = None  # checked here
    try:
        with Image.open(io.BytesIO(content)) as image:
            if min(image.size) < _MIN_SIDE_PIXELS or image.width * image.height > MAX_PIXELS:
                return None
            return _shrink(image)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError):
        return None


def _shrink(image: Any) -> bytes:
    image.draft("RGB", (MAX_SIDE_PIXELS, MAX_SIDE_PIXELS))
    small = image.convert("RGB")
    small.thumbnail((MAX_SIDE_PIXELS, MAX_SIDE_PIXELS))
    out = io.BytesIO()
    small.save(out, "JPEG", quality=85)
    return out.getvalue()
