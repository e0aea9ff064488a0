"""Queues that are missing, forbidden, elsewhere or half-way."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from s3sync_dagster.core.events import parse_message
from s3sync_dagster.core.intake import plan_intake
from s3sync_dagster.model.errors import (
    AccessDenied,
    InvalidSetting,
    NotFound,
    S3SyncError,
    Unavailable,
)
from s3sync_dagster.ports.sqs import SqsQueue
from s3sync_dagster_tests.conftest_aws import AwsEndpoint
from s3sync_dagster_tests.opened import open_queue
from s3sync_dagster_tests.wire_proxy import Fault, WireProxy, wire_proxy


@pytest.fixture
def proxy(aws_endpoint: AwsEndpoint) -> Iterator[WireProxy]:
    with wire_proxy(aws_endpoint.url) as running:
        yield running


def opened(endpoint: AwsEndpoint, url: str) -> SqsQueue:
    return open_queue(url, place=endpoint.source("any").place, resolve_env=endpoint.resolve_env)


def through(proxy: WireProxy, queue_url: str) -> str:
    """Return the queue's URL with the proxy's address."""
    return proxy.url + "/" + queue_url.split("/", 3)[3]


def test_a_queue_that_does_not_exist(aws_endpoint: AwsEndpoint) -> None:
    queue = opened(aws_endpoint, f"{aws_endpoint.url}/123456789012/no-such-queue")
    with pytest.raises(NotFound) as caught:
        queue.receive(wait_seconds=0)
    assert caught.value.reason == "queue_not_found"


@pytest.mark.parametrize(
    "url", ["", "queue", "arn:aws:sqs:eu-central-1:1:q", "ftp://h/1/q", "https://host", "http:///q"]
)
def test_what_is_no_queue_url(aws_endpoint: AwsEndpoint, url: str) -> None:
    with pytest.raises(InvalidSetting, match="queue_url"):
        opened(aws_endpoint, url)


@pytest.mark.parametrize(
    ("url", "region", "endpoint"),
    [
        ("https://sqs.eu-central-1.amazonaws.com/1/q", "eu-central-1", "eu-central-1.amazonaws"),
        ("https://us-gov-west-1.queue.amazonaws.com/1/q", "us-gov-west-1", "us-gov-west-1"),
        ("http://localhost:9324/1/q", "us-east-1", "http://localhost:9324"),
    ],
)
def test_a_url_names_region_and_endpoint(
    aws_endpoint: AwsEndpoint, url: str, region: str, endpoint: str
) -> None:
    meta = opened(aws_endpoint, url)._client.meta
    assert meta.region_name == region
    assert endpoint in meta.endpoint_url


def test_the_region_of_another_server_is_that_of_the_source_or_of_boto3(
    aws_endpoint: AwsEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-3")
    place = replace(aws_endpoint.source("any").place, region=None)
    url = f"{aws_endpoint.url}/123456789012/no-such-queue"
    queue = open_queue(url, place=place, resolve_env=aws_endpoint.resolve_env)
    assert queue._client.meta.region_name == "eu-west-3"
    with pytest.raises(NotFound, match="does not exist in region 'eu-west-3'"):
        queue.receive(wait_seconds=0)


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (403, AccessDenied, "access_denied"),
        (500, Unavailable, "service_error"),
        (503, Unavailable, "throttled"),
    ],
)
def test_answers(
    aws_endpoint: AwsEndpoint, proxy: WireProxy, status: int, kind: type, reason: str
) -> None:
    queue = opened(aws_endpoint, through(proxy, aws_endpoint.make_queue()))
    proxy.plan = lambda _: Fault(
        status=status, body=b'{"__type": "x#Strange", "message": "secret"}'
    )
    with pytest.raises(S3SyncError) as caught:
        queue.receive(wait_seconds=0)
    assert isinstance(caught.value, kind)
    assert caught.value.reason == reason
    assert "secret" not in caught.value.message


def test_a_batch_may_fail_in_part_with_http_200(
    aws_endpoint: AwsEndpoint, proxy: WireProxy
) -> None:
    url = aws_endpoint.make_queue()
    queue = opened(aws_endpoint, through(proxy, url))
    for number in range(3):
        aws_endpoint.send(url, str(number))
    messages = queue.receive(wait_seconds=0)
    answer = b'{"Successful": [{"Id": "0"}, {"Id": "2"}], "Failed": [{"Id": "1", "Code": "x"}]}'
    proxy.plan = lambda _: Fault(status=200, body=answer)
    assert queue.delete(messages) == [messages[1]]


def test_the_count_and_time_of_a_message_are_asked_for(
    aws_endpoint: AwsEndpoint, proxy: WireProxy
) -> None:
    queue = opened(aws_endpoint, through(proxy, aws_endpoint.make_queue()))
    queue.receive(wait_seconds=0)
    asked = proxy.log()[-1].body
    assert b"MessageSystemAttributeNames" in asked
    assert b"ApproximateReceiveCount" in asked


def test_what_moto_s_s3_sends_arrives_as_events(aws_endpoint: AwsEndpoint) -> None:
    bucket = aws_endpoint.make_bucket()
    url = aws_endpoint.make_queue(bucket=bucket)
    aws_endpoint.put(bucket, "docs/a b+c é.md", "text")
    aws_endpoint.delete(bucket, "docs/a b+c é.md")
    queue = opened(aws_endpoint, url)
    messages = []
    while received := queue.receive(wait_seconds=0):
        messages.extend(received)
    kinds = [event.kind for m in messages for event in parse_message(m.body).events]
    assert sorted(kinds) == ["created", "removed"]
    plan = plan_intake(messages, [aws_endpoint.source(bucket, path_prefix="docs/")])
    assert plan.counts.tests == 1
    assert plan.counts.unmatched == 0
    assert len(plan.by_source) == 1
    assert queue.delete(plan.delete) == []
    assert plan.leave == ()


def test_poison_ends_in_the_dead_letter_queue(aws_endpoint: AwsEndpoint) -> None:
    dead = aws_endpoint.make_queue("dead")
    arn = aws_endpoint.queue_arn(dead)
    url = aws_endpoint.make_queue(
        VisibilityTimeout="0",
        RedrivePolicy=f'{{"deadLetterTargetArn": "{arn}", "maxReceiveCount": "2"}}',
    )
    queue = opened(aws_endpoint, url)
    aws_endpoint.send(url, "not an event")
    logged: list[str] = []
    for _ in range(5):
        plan = plan_intake(queue.receive(wait_seconds=0), [])
        logged.extend(plan.log)
        assert plan.delete == ()
    assert len(logged) == 1
    # As docs/events.md looks at it: without taking it away.
    look = {"QueueUrl": dead, "MaxNumberOfMessages": 10, "VisibilityTimeout": 0}
    for _ in range(2):
        (poison,) = aws_endpoint.sqs.receive_message(**look)["Messages"]
        assert poison["Body"] == "not an event"
