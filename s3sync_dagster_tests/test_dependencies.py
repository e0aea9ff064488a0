"""What we depend on: locked by hashes, under licences that bind nobody; and no secret of ours.

Whether a version is known to be broken only an advisory service knows: ``make audit`` asks one.
"""

import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

from s3sync_dagster_tests.secret_scan import scan

ROOT = Path(__file__).parents[1]
LOCKS = ("runtime.txt", "dev.txt", "models.txt")
COPYLEFT = re.compile(r"\b(?:A?GPL|GNU (?:Affero )?General Public)", re.IGNORECASE)
LESSER = re.compile(r"LGPL|Lesser General Public", re.IGNORECASE)
LOCKED = re.compile(r"[A-Za-z0-9._-]+==[^\s;]+(?: ; [^#]*?)?(?:\s+--hash=sha256:[0-9a-f]{64})+\s*$")
MIXED = {"asyncssh"}
"""Packages that name a copyleft licence beside others, and were read: EPL-2.0 *or* GPL."""


def requirements(name):
    """Return name, version and hashes of each line of a lock file."""
    text = (ROOT / "requirements" / name).read_text().replace("\\\n", " ")
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


@pytest.mark.parametrize("name", LOCKS)
def test_each_dependency_is_one_version_with_hashes_and_from_no_named_place(name):
    lines = requirements(name)
    assert lines
    loose = [line[:80] for line in lines if not LOCKED.match(line)]
    assert loose == []


def licences(name):
    found = distribution(name).metadata
    told = [found.get("License-Expression") or ""]
    told += [one for one in found.get_all("Classifier") or [] if one.startswith("License ::")]
    if not any(told):
        told.append((found.get("License") or "").splitlines()[0] if found.get("License") else "")
    return " ".join(told)


def test_no_dependency_at_run_time_is_under_a_licence_that_binds_who_uses_it():
    binding = {}
    for line in requirements("runtime.txt"):
        name = line.partition("==")[0]
        try:
            told = licences(name)
        except PackageNotFoundError:  # of another platform
            continue
        if COPYLEFT.search(LESSER.sub("", told)) and name not in MIXED:
            binding[name] = told
    assert binding == {}


def test_a_secret_that_is_added_is_found(tmp_path):
    key = "AKIA" + "QYLPMN5HHHFPZAM2"
    (tmp_path / "s3sync_dagster_tests").mkdir()
    (tmp_path / "s3sync_dagster_tests" / "one.py").write_text(f'KEY = "{key}"\n')
    (tmp_path / "two.py").write_text('password = "correct-horse-battery-staple"\n')
    names = ["s3sync_dagster_tests/one.py", "two.py"]
    found = {(name, kind) for name, kind, _ in scan(tmp_path, names)}
    assert ("s3sync_dagster_tests/one.py", "AWS Access Key") in found
    assert ("two.py", "Secret Keyword") in found
