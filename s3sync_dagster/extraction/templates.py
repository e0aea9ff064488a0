"""Templates, slide shows and files with macros: the same content under another type."""

import io
import re
import shutil
import tempfile
import warnings
import zipfile
from pathlib import Path

from s3sync_dagster.engine.ports import Content
from s3sync_dagster.extraction.archives import BROKEN_ARCHIVE, check_unpacked_size

_TYPES = "[Content_Types].xml"
_WORD = re.compile(
    rb"application/vnd\.(?:openxmlformats-officedocument\.wordprocessingml\.template"
    rb"|ms-word\.(?:document\.macroEnabled|template\.macroEnabledTemplate))\.main\+xml",
    re.IGNORECASE,
)
_SLIDES = re.compile(
    rb"application/vnd\.(?:openxmlformats-officedocument\.presentationml\.(?:template|slideshow)"
    rb"|ms-powerpoint\.(?:presentation|template|slideshow)\.macroEnabled)\.main\+xml",
    re.IGNORECASE,
)
_PLAIN = b"application/vnd.openxmlformats-officedocument.%s.main+xml"


def as_document(content: Content) -> Content:
    """Return the file as an ordinary document or presentation; python-docx takes no other.

    A copy gets a second table of types, which stands for the first one; all other files come back
    as they are. Raises ``LimitExceeded`` (``zip_bomb``).
    """
    check_unpacked_size(content)
    try:
        with zipfile.ZipFile(
            content if isinstance(content, Path) else io.BytesIO(content)
        ) as archive:
            types = archive.read(_TYPES)
    except (*BROKEN_ARCHIVE, KeyError):
        return content  # the reader says what is wrong
    plain = _WORD.sub(_PLAIN % b"wordprocessingml.document", types)
    plain = _SLIDES.sub(_PLAIN % b"presentationml.presentation", plain)
    if plain == types:
        return content
    if isinstance(content, Path):
        copy = Path(tempfile.mkdtemp()) / "document"  # goes with the worker's own folder
        shutil.copyfile(content, copy)
        _append(copy, plain)
        return copy
    stream = io.BytesIO(content)
    _append(stream, plain)
    return stream.getvalue()


def _append(file: Path | io.BytesIO, types: bytes) -> None:
    with zipfile.ZipFile(file, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the name is there twice, as it should
        archive.writestr(_TYPES, types)
