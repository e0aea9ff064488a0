"""Fixtures of all rooms. Each module starts one real part."""

import gc
import os
from collections.abc import Iterator
from functools import cache
from typing import Any

import httpx
import pytest

from s3sync_dagster_tests.opened import close_all

pytest_plugins = [
    "s3sync_dagster_tests.conftest_aws",
    "s3sync_dagster_tests.conftest_chroma",
    "s3sync_dagster_tests.conftest_catalog",
    "s3sync_dagster_tests.conftest_stack",
    "s3sync_dagster_tests.conftest_defs",
]


def pytest_collection_finish() -> None:
    """Let no collection of garbage walk through all tests: that was a third of a worker's CPU."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


def pytest_configure() -> None:
    """Read the certificates once, not for each ``httpx.get`` of a test that waits: 30 CPU-ms each.

    What a client asks for by itself (``verify`` that is not True, other files) is made as ever.
    """
    made = httpx.create_ssl_context

    @cache
    def usual(_environment: tuple[str | None, ...], trust_env: bool) -> Any:
        return made(trust_env=trust_env)

    def create(verify: Any = True, cert: Any = None, trust_env: bool = True) -> Any:
        if verify is not True or cert:
            return made(verify=verify, cert=cert, trust_env=trust_env)
        return usual(tuple(map(os.environ.get, ("SSL_CERT_FILE", "SSL_CERT_DIR"))), trust_env)

    transports: Any = httpx._transports.default
    transports.create_ssl_context = create


@pytest.fixture(autouse=True)
def _closed_after_the_test() -> Iterator[None]:
    yield
    close_all()


@pytest.fixture(autouse=True)
def _environment_as_it_was() -> Iterator[None]:
    """What one test leaves in the environment, another's processes inherit."""
    before = dict(os.environ)
    yield
    left = {
        name
        for name in before.keys() | os.environ.keys()
        if name != "PYTEST_CURRENT_TEST" and before.get(name) != os.environ.get(name)
    }
    assert not left, f"left in the environment: {', '.join(sorted(left))}"
