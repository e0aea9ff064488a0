"""The world of fakes that tests of the engine begin with."""

import pytest

from s3sync_dagster_tests.core.pairs import beyond_pairs
from s3sync_dagster_tests.engine_fixture import make_world
from s3sync_dagster_tests.fresh_catalogs import close_database


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in beyond_pairs(items):
        item.add_marker("long")


@pytest.fixture
def world():
    made = make_world()
    database = made.catalog.database
    yield made
    close_database(database)
