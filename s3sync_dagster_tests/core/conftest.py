"""The world of fakes that tests of the engine begin with."""

import pytest

from s3sync_dagster_tests.engine_fixture import make_world
from s3sync_dagster_tests.fresh_catalogs import close_database


@pytest.fixture
def world():
    made = make_world()
    database = made.catalog.database
    yield made
    close_database(database)
