"""The command line in this process, on a data folder of the test's own."""

import json
import os
import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.cli.commands import run
from s3sync_dagster.local.home import prepare_home
from s3sync_dagster.settings import load_settings

Command = Callable[..., "Answer"]


@dataclass
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out.strip().splitlines()[-1])


def synced(s3sync: Command, aws_endpoint, files: dict[str, str]) -> str:
    """Have files synced from a bucket of their own; returns their collection."""
    bucket, name = aws_endpoint.make_bucket(), f"c-{uuid.uuid4().hex[:12]}"
    aws_endpoint.put_all(bucket, files)
    done = s3sync(
        "sync", f"s3://{bucket}/", "--collection", name,
        "--endpoint-url", aws_endpoint.url, "--embedding", "hash",
    )  # fmt: skip
    assert done.code == 0, done.err
    return name


@pytest.fixture(scope="session")
def fresh_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that was opened once: what costs five CPU-seconds is done once a process."""
    home = tmp_path_factory.mktemp("home") / "fresh"
    plain = {name: value for name, value in os.environ.items() if not name.startswith("S3SYNC_")}
    plain.pop("DAGSTER_HOME", None)
    settings = load_settings({**plain, "S3SYNC_HOME": str(home)})
    prepare_home(settings)
    open_catalog(settings.database_url).close()
    return home


@pytest.fixture
def home(fresh_home: Path, tmp_path: Path) -> Path:
    """The test's own data folder."""
    return Path(shutil.copytree(fresh_home, tmp_path / "home"))


@pytest.fixture
def environment(
    home: Path,
    clean_environment: None,
    monkeypatch: pytest.MonkeyPatch,
    chroma_server: str,
    aws_endpoint,
) -> None:
    """Data folder, Chroma and S3 as the commands find them."""
    monkeypatch.setenv("S3SYNC_HOME", str(home))
    monkeypatch.setenv("S3SYNC_CHROMA_URL", chroma_server)
    for name, value in aws_endpoint.environment().items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def s3sync(environment: None, capfd: pytest.CaptureFixture[str]) -> Command:
    """Run ``s3sync ...`` in this process."""

    def call(*arguments: str) -> Answer:
        capfd.readouterr()
        before = dict(os.environ)
        try:
            code = run(list(arguments))
        finally:
            for name in os.environ.keys() - before.keys():  # a command is a process of its own
                del os.environ[name]
        out, err = capfd.readouterr()
        return Answer(code, out, err)

    return call
