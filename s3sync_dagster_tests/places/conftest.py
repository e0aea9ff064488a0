"""The command line, as ``cli`` tests call it; sites to visit, folders behind the engine."""

from pathlib import Path

import pytest

from s3sync_dagster.places.folder import FolderPlace
from s3sync_dagster.places.folder_store import FileStore
from s3sync_dagster_tests.cli.conftest import environment, fresh_home, home, s3sync
from s3sync_dagster_tests.engine_fixture import make_world
from s3sync_dagster_tests.places.web_server import Visitor, web_site

__all__ = ["environment", "fresh_home", "home", "s3sync"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an empty folder, as it is mounted."""
    made = tmp_path / "mnt" / "docs"
    made.mkdir(parents=True)
    return made


@pytest.fixture
def world(folder):
    """Yield a world whose source is that folder."""
    made = make_world()
    made.configure(place=FolderPlace(folder=str(folder)))
    made.store = FileStore(str(folder))
    yield made
    made.store.close()
    made.catalog.close()


@pytest.fixture
def site():
    with web_site() as made:
        yield made


@pytest.fixture
def visit(site, tmp_path):
    made: list[Visitor] = []

    def visitor(home="web", **more):
        made.append(Visitor(site, tmp_path / home, **more))
        return made[-1]

    yield visitor
    for one in made:
        one.store.close()
