"""Fixtures of all rooms. Each module starts one real part."""

from collections.abc import Iterator

import pytest

from s3sync_dagster_tests.opened import close_all

pytest_plugins = [
    "s3sync_dagster_tests.conftest_aws",
    "s3sync_dagster_tests.conftest_chroma",
    "s3sync_dagster_tests.conftest_catalog",
    "s3sync_dagster_tests.conftest_stack",
    "s3sync_dagster_tests.conftest_defs",
]


@pytest.fixture(autouse=True)
def _closed_after_the_test() -> Iterator[None]:
    yield
    close_all()
