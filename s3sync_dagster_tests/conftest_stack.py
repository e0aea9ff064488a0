"""A running stack with tiny definitions, one per test process."""

import os
from pathlib import Path

import pytest

from s3sync_dagster.local.stack import Stack
from s3sync_dagster.settings import load_settings

TINY = "s3sync_dagster_tests.local.tiny_definitions"


def stack_settings(home: Path, *names: str):
    """Settings of a home whose tiny definitions have these sources."""
    home.mkdir(exist_ok=True)
    (home / "tiny-sources.txt").write_text("\n".join(names))
    environ = {k: v for k, v in os.environ.items() if k != "S3SYNC_CHROMA_URL"}
    return load_settings({**environ, "S3SYNC_HOME": str(home)})


def sources_version(home: Path):
    """What a supervisor watches here: the file's text."""
    return lambda: (home / "tiny-sources.txt").read_text()


@pytest.fixture(scope="session")
def tiny_stack(tmp_path_factory):
    """A started stack with the sources ``one`` and ``two``; its Dagster has their jobs."""
    home = tmp_path_factory.mktemp("stack")
    settings = stack_settings(home, "one", "two")
    with Stack(settings, module=TINY, sources_version=sources_version(home)) as stack:
        yield stack
