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


def rows_of(heading):
    table = PAGE.partition(f"## {heading}")[2].partition("\n## ")[0]
    return [line for line in table.splitlines() if line.startswith("| ")][1:]


def test_each_threat_names_a_test():
    assert len(rows_of("Threats")) > 30
    assert [row for row in rows_of("Threats") if "::test_" not in row] == []


def test_each_finding_of_the_review_names_a_test():
    rows = rows_of("What a review found")
    assert [int(row.split("|")[1]) for row in rows] == list(range(1, 18))
    assert [row for row in rows if "::test_" not in row] == []


def test_no_way_past_the_sign_on_of_the_example_names_a_user():
    """Each place that passes requests on says whose they are, or that they are nobody's."""
    example = PAGE.partition("```nginx")[2].partition("```")[0]
    passed_on = [one for one in re.split(r"(?m)^    }", example) if "127.0.0.1:8200" in one]
    assert len(passed_on) == 2
    for place in passed_on:
        for header in ("X-Auth-Request-Email", "X-Auth-Request-Groups", "X-S3sync-Proxy-Secret",
                       "X-Forwarded-For $remote_addr", "Host $host"):  # fmt: skip
            assert f"proxy_set_header {header}" in place, header
