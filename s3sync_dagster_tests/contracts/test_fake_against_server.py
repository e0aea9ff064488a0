"""The fake bucket lists like a real server, whatever the keys, the prefix and the cursor."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s3sync_dagster.engine.store_ports import ListPage
from s3sync_dagster.model.errors import NotFound
from s3sync_dagster_tests.conftest_aws import AwsEndpoint
from s3sync_dagster_tests.contracts.object_worlds import endpoint_world, memory_world

pieces = st.sampled_from(["a", "b", "/", "..", " ", "+", "%", "é", "e\u0301", "📄", "\uffff", "\n"])
keys = st.lists(pieces, min_size=1, max_size=5).map("".join)
steps = st.lists(st.tuples(st.sampled_from(["put", "put", "delete"]), keys), max_size=12)
asks = st.lists(
    st.tuples(st.just("") | keys, st.none() | keys, st.sampled_from([1, 2, 1000])), max_size=4
)


def told(page: ListPage) -> tuple[list[tuple[str, str, int]], bool]:
    return [(ref.key, ref.etag, ref.size) for ref in page.objects], page.last


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=steps, asks=asks)
def test_same_steps_same_answers(
    aws_endpoint: AwsEndpoint, spool: Path, steps: list, asks: list
) -> None:
    worlds = [memory_world(), endpoint_world(aws_endpoint, spool_dir=spool)]
    for world in worlds:
        for number, (action, key) in enumerate(steps):
            if action == "put":
                world.put(key, str(number).encode())
            else:
                world.delete(key)
    fake, real = worlds
    for prefix, after, limit in asks:
        one = fake.store.list_page(prefix, start_after=after, limit=limit)
        other = real.store.list_page(prefix, start_after=after, limit=limit)
        assert told(one) == told(other)
    for _, key in steps:
        answers = []
        for world in worlds:
            try:
                answers.append(world.store.read(key, max_size_bytes=100).content)
            except NotFound as error:
                answers.append(error.reason)
        assert answers[0] == answers[1]
