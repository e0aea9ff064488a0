"""What docs/running.md promises to list: targets, variables, reasons."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "running.md").read_text("utf-8")
PACKAGE = ROOT / "s3sync_dagster"


def found(pattern, *paths):
    return sorted({m for path in paths for m in re.findall(pattern, path.read_text("utf-8"))})


@pytest.mark.parametrize("target", found(r"(?m)^([a-z][a-z-]*):.*## ", ROOT / "Makefile"))
def test_each_make_target_is_listed(target):
    assert f"`make {target}`" in PAGE


@pytest.mark.parametrize(
    "name", found(r'environ(?:\.get\(|, )"([A-Z0-9_]+)"', PACKAGE / "settings.py")
)
def test_each_variable_is_listed(name):
    assert f"`{name}`" in PAGE


@pytest.mark.parametrize(
    "reason",
    found(
        r'reason="([a-z_]+)"',
        *(p for p in (PACKAGE / "local").glob("*.py") if p.name != "oneshot.py"),
        *(PACKAGE / "ports").glob("dagster_*.py"),
    ),
)
def test_each_reason_is_listed(reason):
    assert f"`{reason}`" in PAGE


def test_the_pictures_of_the_concepts_are_those_that_the_code_draws():
    """``python docs/pictures.py`` draws them anew."""
    code = runpy.run_path(str(ROOT / "docs" / "pictures.py"))
    drawn = {f"{name}.svg": draw().svg() for name, draw in code["PICTURES"].items()}
    there = {one.name: one.read_text("utf-8") for one in (ROOT / "docs/images").glob("*.svg")}
    assert there == drawn
