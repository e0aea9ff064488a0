"""A transaction that met another one is done again, and given up once, whoever called whom."""

import pytest

from s3sync_dagster.catalog.collisions import FIRST_PAUSE_SECONDS, TRIES, again_after_collisions
from s3sync_dagster.catalog.database import Collided


@again_after_collisions
class Door:
    """Each of its transactions meets another one so many times."""

    def __init__(self, times):
        self.times, self.begun = times, 0

    def ask(self, first, *, second):
        self.begun += 1
        if self.begun <= self.times:
            raise Collided("met another one")
        return first, second

    def ask_by_another(self):
        return self.ask(1, second=2)


@pytest.fixture
def pauses(monkeypatch):
    made = []
    monkeypatch.setattr("time.sleep", made.append)
    return made


@pytest.mark.parametrize("times", [0, 1, TRIES - 1])
def test_it_is_done_again_after_longer_and_longer_pauses(pauses, times):
    door = Door(times)
    assert door.ask(1, second=2) == (1, 2)
    assert door.begun == times + 1
    assert pauses == [FIRST_PAUSE_SECONDS * 2**attempt for attempt in range(1, times + 1)]


@pytest.mark.parametrize("by_another", [False, True])
def test_it_is_given_up_after_so_many_tries(pauses, by_another):
    door = Door(TRIES)
    with pytest.raises(Collided) as caught:
        door.ask_by_another() if by_another else door.ask(1, second=2)
    assert caught.value.given_up
    assert (door.begun, len(pauses)) == (TRIES, TRIES - 1)
