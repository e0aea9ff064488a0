"""Templates, slide shows and files with macros: the same content under another type."""

import io
import re
import zipfile
from pathlib import Path

from s3sync_dagster.engine.ports import Content
from s3sync_dagster.extraction.archives import BROKEN_ARCHIVE, check_unpacked_size
from s3sync_dagster.extraction.office_repairs import changed_word_parts, with_parts

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

    A copy gets a second table of types, and second parts for those that docling would stumble
    over, which stand for the first ones; all other files come back as they are. Raises
    ``LimitExceeded`` (``zip_bomb``).
    """
    check_unpacked_size(content)
    source = content if isinstance(content, Path) else io.BytesIO(content)
    try:
        with zipfile.ZipFile(source) as archive:
            types = archive.read(_TYPES)
            changed = changed_word_parts(archive)
    except (*BROKEN_ARCHIVE, KeyError):
        return content  # the reader says what is wrong
    plain = _WORD.sub(_PLAIN % b"wordprocessingml.document", types)
    plain = _SLIDES.sub(_PLAIN % b"presentationml.presentation", plain)
    if plain != types:
        changed[_TYPES] = plain
    return with_parts(content, changed)
