"""What is released: the same bytes each time, a bill of materials, documents as a site."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([ROOT / ".ci" / "release-check", "build", folder], check=True)
    return folder


@pytest.mark.long
@pytest.mark.timeout(600)
def test_wheel_and_sdist_are_built_twice_to_the_same_bytes(dist):
    """The script ends with an error where they differ: in folder, time zone and umask they do."""
    sums = dict(
        reversed(line.split("  ")) for line in (dist / "SHA256SUMS").read_text().splitlines()
    )
    assert {Path(name).suffix for name in sums} == {".whl", ".gz", ".json"}
    for name, digest in sums.items():
        assert hashlib.sha256((dist / name).read_bytes()).hexdigest() == digest


@pytest.mark.long
def test_the_bill_of_materials_has_each_locked_package_with_its_version(dist):
    bill = json.loads((dist / "sbom.cdx.json").read_text())
    named = {(one["name"].lower(), one["version"]) for one in bill["components"]}
    locked = re.findall(
        r"^([a-z0-9._-]+)==([^ ;\\]+)",
        (ROOT / "requirements/runtime.txt").read_text(),
        re.MULTILINE,
    )
    assert len(locked) > 100
    assert set(locked) <= named
    assert bill["metadata"]["component"]["name"] == "s3sync-dagster"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [Path(sys.executable).with_name("mkdocs"), "build", "--strict", "-d", folder],
        cwd=ROOT, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_site_has_every_page_and_no_link_or_anchor_is_dead(site):
    """mkdocs is strict: a dead link, or a page that its menu lacks, is an error."""
    pages = {page.stem for page in (ROOT / "docs").glob("*.md")}
    assert pages | {"index", "contributing"} <= {page.stem for page in site.glob("*.html")}


def test_the_site_loads_nothing_from_elsewhere(site):
    loaded = re.compile(r'<(?:script|img|link)[^>]+(?:src|href)="(?:https?:)?//[^"]+"')
    assert {page.name: loaded.findall(page.read_text()) for page in site.rglob("*.html")} == {
        page.name: [] for page in site.rglob("*.html")
    }


def test_the_site_has_the_files_that_its_pages_link_to(site):
    text = (site / "deployment.html").read_text()
    linked = list(map(unquote, re.findall(r'href="(repository/[^"]+)"', text)))
    assert "repository/deploy/compose.yaml.txt" in linked
    for name in linked:
        assert (site / name).read_text() == (
            ROOT / name.removeprefix("repository/").removesuffix(".txt")
        ).read_text()


@pytest.mark.long
def test_the_wheel_plays_the_demo_outside_the_repository(tmp_path):
    done = subprocess.run(
        [ROOT / ".ci" / "release-check", "all", tmp_path / "dist"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "works outside the repository" in done.stdout
