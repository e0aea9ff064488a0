"""Reading pictures of text with Tesseract: images, and pages of PDFs that are scans."""

import functools
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from s3sync_dagster.engine.ports import Content
from s3sync_dagster.extraction.pdf.text_layer import open_pdf
from s3sync_dagster.extraction.picture_files import MAX_PIXELS
from s3sync_dagster.extraction.steps import PdfPages
from s3sync_dagster.model.errors import (
    EmptyText,
    LimitExceeded,
    MissingEngine,
    UnreadableFile,
)
from s3sync_dagster.model.source import ExtractionConfig
from s3sync_dagster.workers.programs import run_program

PROGRAMS = ("tesseract",)
"""What workers with these functions may start."""

PRELOAD = {"read_image": ("PIL.Image",), "read_pdf_pages": ("pypdfium2", "PIL.Image")}
MAX_FRAMES = 500
_DPI = 200
_SMALL_PIXELS = 1000
"""Pictures narrower than this are screenshots or thumbnails: Tesseract wants larger letters."""
_MAX_PAGE_PIXELS = 12_000
_LINE_HYPHEN = re.compile(r"(?<=[^\W\d_])-\n(?=[^\W\d_A-Z])")


def read_image(content: Content, *, name: str, config: ExtractionConfig) -> PdfPages:
    """Return the text in a picture, a page for each of a TIFF's pictures.

    Raises ``MissingEngine`` (``missing_program``, ``missing_language``), ``EmptyText``
    (``no_text``), ``LimitExceeded`` (``too_many_pixels``) and ``UnreadableFile`` (``damaged``).
    """
    del name
    languages = config.ocr_languages
    check_languages(languages)
    texts = [recognise(p, languages=languages, upright=False) for p in _frames(content)]
    if not any(texts):
        raise EmptyText("No text was found in the picture.", reason="no_text")
    return PdfPages(texts=tuple(texts), scans=(), engine="tesseract")


def read_pdf_pages(
    content: Content, numbers: Sequence[int], *, config: ExtractionConfig
) -> list[str]:
    """Return the text of some pages (indices from 0) as Tesseract reads their pictures."""
    languages = config.ocr_languages
    check_languages(languages)
    pdf = open_pdf(content)
    return [recognise(_render(pdf[n]), languages=languages, upright=False) for n in numbers]


def _render(page: Any) -> Any:
    scale = _DPI / 72
    longest = max(page.get_width(), page.get_height()) * scale
    if longest > _MAX_PAGE_PIXELS:
        scale *= _MAX_PAGE_PIXELS / longest
    return page.render(scale=scale, grayscale=True).to_pil()


def _frames(content: Content) -> Iterator[Any]:
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 (loaded once by the forker)

    Image.MAX_IMAGE_PIXELS = None  # checked below, with an error of ours
    try:
        with Image.open(content if isinstance(content, Path) else io.BytesIO(content)) as image:
            many = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
            for number in range(min(many, MAX_FRAMES)):
                image.seek(number)
                width, height = image.size
                if width * height > MAX_PIXELS:
                    raise LimitExceeded(
                        f"The picture has {width} x {height} pixels; at most "
                        f"{MAX_PIXELS // 10**6} million are read.",
                        reason="too_many_pixels",
                    )
                yield prepare(image)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError):
        raise UnreadableFile("The picture is cut off or damaged.", reason="damaged") from None


def prepare(image: Any) -> Any:
    """Return the picture upright, in grey on white, small ones enlarged."""
    from PIL import Image, ImageOps  # noqa: PLC0415 (loaded once by the forker)

    image = ImageOps.exif_transpose(image)  # a telephone held upright
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layered = image.convert("RGBA")
        image = Image.new("RGBA", layered.size, "white")
        image.alpha_composite(layered)
    grey = image.convert("L")
    if grey.width < _SMALL_PIXELS:
        grey = grey.resize((grey.width * 2, grey.height * 2), Image.Resampling.LANCZOS)
    return grey


def recognise(picture: Any, *, languages: str, upright: bool = True) -> str:
    """Return the text that Tesseract sees; raises ``UnreadableFile`` (``damaged``).

    A picture that may lie on its side or stand on its head (``upright`` False) is turned first.
    """
    # 1: find the orientation, then as without; it takes data that Debian's package brings along.
    turning = ["--psm", "1"] if not upright and "osd" in _installed_data() else []
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    done = run_program(
        ["tesseract", "-", "-", "-l", languages, "--dpi", str(_DPI), *turning],
        content=buffer.getvalue(),
    )
    if done.status != 0:
        raise UnreadableFile("Tesseract cannot read the picture.", reason="damaged")
    text = done.output.decode("utf-8", "replace").replace("\x0c", "")
    return re.sub(r"\n{3,}", "\n\n", _LINE_HYPHEN.sub("", text)).strip()


def check_languages(languages: str) -> None:
    """Raise ``MissingEngine``: Tesseract itself goes on with the languages that it has."""
    missing = [name for name in languages.split("+") if name not in _installed_data()]
    if missing:
        raise MissingEngine(
            f"Tesseract has no data for {', '.join(missing)}: install its language package.",
            reason="missing_language",
        )


@functools.cache
def _installed_data() -> frozenset[str]:
    """Return the names of Tesseract's data, read once a process: a worker lives for one call."""
    listed = run_program(["tesseract", "--list-langs"]).output.decode("utf-8", "replace")
    return frozenset(listed.split())
