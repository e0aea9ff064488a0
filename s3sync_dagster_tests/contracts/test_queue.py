"""What every queue promises, tried on the fake and on a real server over HTTP."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from s3sync_dagster.core.events import Message
from s3sync_dagster.engine.ports import Queue, QueueRules
from s3sync_dagster.ports.memory_sqs import MemoryQueue
from s3sync_dagster.ports.sqs import open_queue


@dataclass
class QueueWorld:
    """A queue, a way to fill it, and a way to let time pass."""

    queue: Queue
    send: Callable[[str], object]
    wait: Callable[[float], object]


@pytest.fixture(params=["memory", "moto"])
def world(request: pytest.FixtureRequest) -> QueueWorld:
    if request.param == "memory":
        now = [1000.0]
        queue = MemoryQueue(now=lambda: now[0], visibility_seconds=2)
        return QueueWorld(queue, queue.send, lambda s: now.__setitem__(0, now[0] + s))
    endpoint = request.getfixturevalue("aws_endpoint")
    url = endpoint.make_queue(VisibilityTimeout="2")
    opened = open_queue(url, place=endpoint.source("any").place, resolve_env=endpoint.resolve_env)
    return QueueWorld(opened, lambda body: endpoint.send(url, body), time.sleep)


def drain(queue: Queue) -> list[Message]:
    messages: list[Message] = []
    while received := queue.receive(limit=10, wait_seconds=0):
        messages.extend(received)
    return messages


def test_messages_come_whole_with_their_count_and_time(world: QueueWorld) -> None:
    world.send('{"a": "é\U0001f4c4"}')
    (message,) = world.queue.receive(wait_seconds=0)
    assert message.body == '{"a": "é\U0001f4c4"}'
    assert message.receive_count == 1
    assert message.message_id
    assert message.receipt_handle


def test_a_received_message_is_hidden_and_comes_again(world: QueueWorld) -> None:
    world.send("x")
    (first,) = world.queue.receive(wait_seconds=0)
    assert world.queue.receive(wait_seconds=0) == []
    world.wait(2.1)
    (second,) = world.queue.receive(wait_seconds=0)
    assert second.message_id == first.message_id
    assert second.receive_count == 2


def test_a_deleted_message_does_not_come_again(world: QueueWorld) -> None:
    for number in range(25):  # more than one batch
        world.send(str(number))
    messages = drain(world.queue)
    assert sorted(int(message.body) for message in messages) == list(range(25))
    assert world.queue.delete(messages) == []
    world.wait(2.1)
    assert drain(world.queue) == []


def test_at_most_so_many_come_as_asked(world: QueueWorld) -> None:
    for number in range(12):
        world.send(str(number))
    assert len(world.queue.receive(limit=3, wait_seconds=0)) == 3
    assert len(world.queue.receive(limit=50, wait_seconds=0)) <= 10


def test_extending_hides_longer(world: QueueWorld) -> None:
    world.send("x")
    messages = world.queue.receive(wait_seconds=0)
    world.queue.extend(messages, seconds=60)
    world.wait(2.1)
    assert world.queue.receive(wait_seconds=0) == []


def test_extending_what_is_gone_is_no_error(world: QueueWorld) -> None:
    world.send("x")
    messages = world.queue.receive(wait_seconds=0)
    assert world.queue.delete(messages) == []
    world.queue.extend(messages, seconds=60)
    world.queue.extend([], seconds=60)
    assert world.queue.delete([]) == []


def test_what_cannot_be_deleted_is_told_and_the_rest_goes(world: QueueWorld) -> None:
    world.send("good")
    world.send("bad")
    messages = drain(world.queue)
    broken = [
        replace(message, receipt_handle="no-such-handle") if message.body == "bad" else message
        for message in messages
    ]
    left = world.queue.delete(broken)
    assert [message.body for message in left] == ["bad"]
    world.wait(2.1)
    assert [message.body for message in drain(world.queue)] == ["bad"]


def test_giving_back_makes_a_message_visible_at_once(world: QueueWorld) -> None:
    world.send("x")
    messages = world.queue.receive(wait_seconds=0)
    world.queue.extend(messages, seconds=60)
    world.queue.extend(messages, seconds=0)
    assert [message.body for message in world.queue.receive(wait_seconds=0)] == ["x"]


def test_a_queue_tells_how_it_is_set_up(world: QueueWorld) -> None:
    assert world.queue.rules() == QueueRules(visibility_seconds=2, dead_letters=False)
