"""docs/formats.md names every suffix, engine and reason that the code has."""

import re
from pathlib import Path

import s3sync_dagster
from s3sync_dagster.core import filetypes
from s3sync_dagster.extraction import engines

PACKAGE = Path(s3sync_dagster.__file__).parent
PAGE = (PACKAGE.parent / "docs" / "formats.md").read_text()


def test_every_reason_is_explained():
    code = "".join(
        path.read_text()
        for room in ("extraction", "workers")
        for path in (PACKAGE / room).glob("*.py")
    )
    reasons = set(re.findall(r'reason="([a-z_]+)"', code))
    assert len(reasons) > 25
    explained = PAGE[PAGE.index("## Reasons") :]
    assert [reason for reason in sorted(reasons) if f"`{reason}`" not in explained] == []


def test_every_suffix_that_a_reader_takes_is_listed():
    for suffix, kind in filetypes._SUFFIXES.items():
        if kind.reader not in ("text", "none"):
            assert re.search(rf"[` ]{re.escape(suffix)}[` ]", PAGE), suffix


def test_every_engine_is_listed():
    for reader, known in engines._ENGINES.items():
        for engine in known:
            assert f"`{engine.name}`" in PAGE, (reader, engine.name)
