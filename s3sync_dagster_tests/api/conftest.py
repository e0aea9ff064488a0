"""One server a module; tests use buckets, collections and tenants of their own."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from s3sync_dagster_tests.api.server import Api, running_api
from s3sync_dagster_tests.conftest_aws import AwsEndpoint


@pytest.fixture(scope="module")
def api(
    tmp_path_factory: pytest.TempPathFactory, chroma_server: str, aws_endpoint: AwsEndpoint
) -> Iterator[Api]:
    """A server without tokens, on loopback."""
    home = tmp_path_factory.mktemp("api")
    with running_api(home, chroma=chroma_server, aws=aws_endpoint) as running:
        yield running


@pytest.fixture
def http(api: Api) -> Iterator[httpx.Client]:
    with api.client() as client:
        yield client


@pytest.fixture
def fresh_api(tmp_path: Path, chroma_server: str, aws_endpoint: AwsEndpoint) -> Iterator[Api]:
    """A server of the test's own, without tokens so far."""
    with running_api(tmp_path / "home", chroma=chroma_server, aws=aws_endpoint) as running:
        yield running
