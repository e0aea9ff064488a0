"""The command line, as the tests of ``cli`` call it, and sites that are visited."""

import pytest

from s3sync_dagster_tests.cli.conftest import environment, fresh_home, home, s3sync
from s3sync_dagster_tests.places.web_server import Visitor, web_site

__all__ = ["environment", "fresh_home", "home", "s3sync"]


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
