"""The doors of code and YAML, with the tools that people use: ``dg`` and ``dagster``."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
COMPONENT = "s3sync_dagster.defs.component.S3SyncComponent"


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(EXAMPLES / "component", folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture
def call(tmp_path):
    home = tmp_path / "home"
    (home / "dagster").mkdir(parents=True)
    (home / "dagster" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")

    def run(program, *arguments, cwd=None, code=0, bare=False):
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("S3SYNC_", "DAGSTER_"))},
            "HOME": str(tmp_path),
            "S3SYNC_HOME": str(home),
            "DAGSTER_HOME": str(home / "dagster"),
            "DG_CLI_CONFIG": str(tmp_path / "dg.toml"),
            "PYTHONPATH": str(cwd or ""),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "COLUMNS": "200",
        }
        if bare:
            for name in ("S3SYNC_HOME", "DAGSTER_HOME"):
                del environment[name]
        result = subprocess.run(
            [Path(sys.executable).with_name(program), *arguments],
            cwd=cwd, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        output = result.stdout + result.stderr
        assert result.returncode == code, output
        return output

    return run


@pytest.mark.long
def test_the_component_is_checked_scaffolded_and_loaded_by_dg(project, call):
    call("dg", "scaffold", "defs", COMPONENT, "wiki-pages", cwd=project)
    path = project / "company_search" / "defs" / "wiki-pages" / "defs.yaml"
    written = path.read_text()
    assert "name: wiki_pages" in written
    assert "access_key_id_env" in written
    assert "export S3SYNC_CHROMA_URL=" in written
    assert "--collection wiki-pages-texts" in written
    unchanged = call("dg", "check", "defs", cwd=project, code=1)
    assert "'wiki_pages' (company_search/defs/wiki-pages/defs.yaml:" in unchanged
    assert "bucket_name is still 'CHANGE-ME', the placeholder: write your own there." in unchanged
    path.write_text(written.replace("bucket_name: CHANGE-ME", "bucket_name: wiki-pages"))
    defs = project / "company_search" / "defs"
    shutil.copytree(defs / "tickets", defs / "tickets_again")  # and its name is not changed
    listed = call("dg", "list", "defs", cwd=project)
    assert (
        "'tickets' (company_search/defs/tickets_again/defs.yaml:1) is left out: its name is taken "
        "by the source 'tickets' (company_search/defs/tickets/defs.yaml:1)"
    ) in listed
    for name in ("handbook", "minutes", "tickets", "wiki_pages"):
        assert f"s3/{name}" in listed
    # One of each for all four instances.
    assert listed.count(" dispatch ") == 1
    assert listed.count("ticket_events_intake") == 1


def test_attributes_of_one_source_in_yaml_are_those_of_its_asset_alone(project, call):
    path = project / "company_search" / "defs" / "tickets" / "defs.yaml"
    condition = "    automation_condition: '{{ automation_condition.on_cron(\"@daily\") }}'\n"
    path.write_text(path.read_text().replace("    tags:\n", f"{condition}    tags:\n"))
    look = (
        "from company_search.definitions import defs;"
        "found = {spec.key.path[-1]: spec for spec in defs().resolve_all_asset_specs()};"
        "one, other = found['tickets'], found['handbook'];"
        "assert one.freshness_policy.fail_window.to_timedelta().total_seconds() == 6 * 3600;"
        "assert one.tags['tier'] == '1' and 's3sync/source' in one.tags, one.tags;"
        "assert one.automation_condition and not other.automation_condition;"
        "assert other.freshness_policy is None and 'tier' not in other.tags"
    )
    call("python", "-c", look, cwd=project)


@pytest.mark.long
def test_a_misspelt_setting_is_named_by_dg(project, call):
    path = project / "company_search" / "defs" / "tickets" / "defs.yaml"
    path.write_text(path.read_text().replace("bucket_name:", "bucket:"))
    output = call("dg", "check", "yaml", cwd=project, code=1)
    assert "bucket_name" in output


@pytest.mark.parametrize(
    "arguments",
    [[], pytest.param(["-f", "examples/python/definitions.py"], marks=pytest.mark.long)],
)
def test_what_dagster_dev_loads_needs_no_variable(arguments, call, tmp_path):
    """In the checkout itself, where a file of an instance would be taken for that of everybody."""
    found = call("dagster", "definitions", "validate", *arguments, cwd=EXAMPLES.parent, bare=True)
    assert "successful" in found
    assert not (tmp_path / "home" / "catalog.db").exists()


def test_our_own_project_passes_dg(call):
    root = Path(__file__).parents[2]
    assert "successfully" in call("dg", "check", "defs", cwd=root)
