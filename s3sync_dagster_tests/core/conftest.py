"""The world of fakes that tests of the engine begin with."""

import pytest

from s3sync_dagster_tests.engine_fixture import make_world


@pytest.fixture
def world():
    made = make_world()
    yield made
    made.catalog.close()
