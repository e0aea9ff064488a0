"""Templates, slide shows and files with macros are read as the documents that they are."""

import io
import zipfile
from pathlib import Path

import pytest

from s3sync_dagster_tests.extraction import corpus
from s3sync_dagster_tests.extraction.conftest import Read

_WORD = "openxmlformats-officedocument.wordprocessingml."
_SLIDES = "openxmlformats-officedocument.presentationml."
_OPEN = "application/vnd.oasis.opendocument."
TYPES = "[Content_Types].xml"
PACKAGES = [
    ("plan.docx", "docm", TYPES, _WORD + "document.main", "ms-word.document.macroEnabled.main"),
    ("plan.docx", "dotx", TYPES, _WORD + "document.main", _WORD + "template.main"),
    (
        "plan.docx",
        "dotm",
        TYPES,
        _WORD + "document.main",
        "ms-word.template.macroEnabledTemplate.main",
    ),
    (
        "roadmap.pptx",
        "pptm",
        TYPES,
        _SLIDES + "presentation.main",
        "ms-powerpoint.presentation.macroEnabled.main",
    ),
    ("roadmap.pptx", "potx", TYPES, _SLIDES + "presentation.main", _SLIDES + "template.main"),
    ("roadmap.pptx", "ppsx", TYPES, _SLIDES + "presentation.main", _SLIDES + "slideshow.main"),
    ("report.odt", "ott", "mimetype", _OPEN + "text", _OPEN + "text-template"),
    ("tides.odp", "otp", "mimetype", _OPEN + "presentation", _OPEN + "presentation-template"),
]


def of_type(content: bytes, part: str, old: str, new: str) -> bytes:
    """Return an archive in which a part names another type."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(out, "w") as target:
        for entry in source.infolist():
            body = source.read(entry)
            if entry.filename == part:
                assert old.encode() in body
                body = body.replace(old.encode(), new.encode())
            target.writestr(entry, body)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "suffix", "part", "old", "new"), PACKAGES, ids=lambda value: str(value)[:6]
)
def test_same_text_as_the_document(
    read: Read, tmp_path: Path, *, name: str, suffix: str, part: str, old: str, new: str
):
    ordinary = corpus.CORPUS[name]()
    changed = of_type(ordinary, part, old, new)
    expected = read(ordinary, name).text
    assert read(changed, f"a.{suffix}").text == expected
    path = tmp_path / "spooled"
    path.write_bytes(changed)
    assert read(path, f"a.{suffix}").text == expected
    assert path.read_bytes() == changed
