"""Every reason that Chroma's ports and the embedders give is explained."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = [
    *(ROOT / "s3sync_dagster" / "embedding").glob("*.py"),
    *(ROOT / "s3sync_dagster" / "ports").glob("chroma*.py"),
    ROOT / "s3sync_dagster" / "ports" / "word_index.py",
    ROOT / "s3sync_dagster" / "core" / "filters.py",
]


def test_every_reason_is_explained():
    pages = "".join((ROOT / "docs" / name).read_text() for name in ("chroma.md", "embedding.md"))
    reasons = {
        reason
        for path in FILES
        for reason in re.findall(r'reason(?:=| = )"([a-z_]+)"', path.read_text())
    }
    assert len(reasons) > 15
    assert {reason for reason in reasons if f"`{reason}`" not in pages} == set()
