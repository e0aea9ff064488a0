"""One pool of worker processes for the room's tests."""

import pytest

from s3sync_dagster.workers import open_pool


@pytest.fixture(scope="session")
def pool():
    with open_pool(workers=2) as opened:
        yield opened
