"""The memory that repositories' names take of a process, whoever they belong to."""

import threading

import pytest

from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.places.names_room import SMALL_BYTES, Names, NamesRoom

LARGE = 2 * SMALL_BYTES


def test_what_is_small_always_has_room_and_one_alone_too():
    room = NamesRoom(LARGE, wait_seconds=0.05)
    alone = Names(room)
    alone.take(3 * LARGE)
    for _ in range(100):
        Names(room).take(SMALL_BYTES)
    with pytest.raises(Unavailable, match="no room") as caught:
        Names(room).take(SMALL_BYTES + 1)
    assert caught.value.reason == "git_busy"
    alone.shrink(0)
    Names(room).take(SMALL_BYTES + 1)


def test_who_waits_goes_on_as_soon_as_there_is_room():
    room = NamesRoom(LARGE, wait_seconds=60)
    first, second = Names(room), Names(room)
    first.take(LARGE)
    waiting = threading.Thread(target=second.take, args=(LARGE,))
    waiting.start()
    waiting.join(0.1)
    assert waiting.is_alive()
    first.shrink(0)
    waiting.join(30)
    assert not waiting.is_alive()
    second.shrink(SMALL_BYTES)
    second.shrink(LARGE)  # there is no way back
    assert room.taken == SMALL_BYTES
    second.shrink(0)
    assert room.taken == 0


def test_what_nobody_reads_makes_room_at_once():
    room = NamesRoom(LARGE, wait_seconds=60)
    given_up = []

    def give_up():
        given_up.append(True)
        idle.shrink(0)
        return True

    idle, next_one = Names(room, give_up), Names(room)
    idle.take(LARGE)
    next_one.take(LARGE)
    assert given_up == [True]
    assert room.taken == LARGE


def test_who_holds_some_does_not_wait_for_itself():
    room = NamesRoom(LARGE, wait_seconds=0)
    one = Names(room)
    one.take(LARGE)
    one.take(LARGE)
    assert room.taken == LARGE
