"""docs/security.md names tests that exist: a threat without one is a wish."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "s3sync_dagster_tests"
PAGE = (ROOT / "docs" / "security.md").read_text()
NAMED = re.findall(r"`([\w/]+\.py)::(test_\w+)`", PAGE)


def test_each_test_that_the_page_names_exists():
    missing = [
        f"{file}::{name}"
        for file, name in NAMED
        if not re.search(rf"^def {name}\(", (TESTS / file).read_text(), re.MULTILINE)
    ]
    assert missing == []


def test_each_threat_names_a_test():
    table = PAGE.partition("## Threats")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 30
    assert [row for row in rows if "::test_" not in row] == []
