"""Runs and ticks in this process against moto, Chroma and a real Dagster instance on SQLite."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from s3sync_dagster.local.home import shipped
from s3sync_dagster.settings import load_settings
from s3sync_dagster_tests.conftest_aws import AwsEndpoint
from s3sync_dagster_tests.defs.defs_fixture import DefsWorld, open_world
from s3sync_dagster_tests.fresh_catalogs import fill


@pytest.fixture(scope="session")
def fresh_instance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dagster's folder, opened once: what its databases are made of is done once a process."""
    folder = tmp_path_factory.mktemp("instance") / "dagster"
    folder.mkdir()
    (folder / "dagster.yaml").write_text(shipped("dagster.yaml"))
    with pytest.MonkeyPatch.context() as patched:
        for name, value in load_settings({"S3SYNC_HOME": str(folder.parent)})._exported().items():
            patched.setenv(name, value)
        with dg.DagsterInstance.get() as instance:
            instance.get_runs_count()
            instance.event_log_storage.get_asset_records()
    return folder


@pytest.fixture
def defs_environment(
    fresh_instance: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    aws_environment: dict[str, str],
) -> None:
    """Settings of a fresh home in this process's environment."""
    for name in list(os.environ):
        if name.startswith(("S3SYNC_", "CHROMA_", "DAGSTER_")):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    settings = load_settings({"S3SYNC_HOME": str(home)})
    shutil.copytree(fresh_instance, settings.dagster_home)
    fill(settings.database_url)
    for name, value in settings._exported().items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def defs_world(
    tmp_path: Path,
    aws_endpoint: AwsEndpoint,
    chroma_server: str,
    defs_environment: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[DefsWorld]:
    """One source of the catalog, nothing listed yet."""
    monkeypatch.setenv("S3SYNC_CHROMA_URL", chroma_server)
    with open_world(aws_endpoint, tmp_path / "home", dict(os.environ)) as world:
        yield world
