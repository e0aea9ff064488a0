"""Every reason that selection, events, sidecars and buckets give stands in the docs."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = {
    "core/selection.py": "selection.md",
    "core/events.py": "events.md",
    "core/sidecar.py": "sidecars.md",
    "ports/s3.py": "buckets.md",
    "ports/s3_answers.py": "buckets.md",
    "ports/s3_client.py": "buckets.md",
    "ports/s3_errors.py": "buckets.md",
    "ports/inventory_store.py": "buckets.md",
    "ports/aws_errors.py": "buckets.md",
    "ports/aws_session.py": "buckets.md",
    "ports/body_encoding.py": "buckets.md",
    "ports/body_spool.py": "buckets.md",
    "ports/sqs.py": "events.md",
}


def reasons(file: Path) -> set[str]:
    """Return the reason words that a module names in its calls."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        places = [keyword.value for keyword in node.keywords if keyword.arg == "reason"]
        places += node.args[:1] if name == "Skip" else []
        places += node.args[1:2] if name == "_invalid" else []
        constants = (p.value for p in places if isinstance(p, ast.Constant))
        found |= {value for value in constants if isinstance(value, str) and value}
    return found


@pytest.mark.parametrize("module", PAGES)
def test_reasons_are_documented(module: str) -> None:
    text = (ROOT / "docs" / PAGES[module]).read_text()
    found = reasons(ROOT / "s3sync_dagster" / module)
    assert [reason for reason in sorted(found) if f"`{reason}`" not in text] == []


def test_the_reasons_are_found() -> None:
    assert {"archived", "folder_marker", "excluded"} <= reasons(
        ROOT / "s3sync_dagster/core/selection.py"
    )
    assert "outside_prefix" in reasons(ROOT / "s3sync_dagster/core/sidecar.py")
