"""When definitions are loaded again, on a clock of the test's own."""

from s3sync_dagster.api.reloader import RETRY_SECONDS, UNTICKED_SECONDS, Reloader
from s3sync_dagster.model.errors import FixConfiguration, Unavailable


class Dagster:
    """Counts reloads; ``broken`` makes them fail, ``ticks`` are the daemon's."""

    def __init__(self):
        self.reloads = 0
        self.broken = False
        self.ticks = []

    def reload(self):
        self.reloads += 1
        if self.broken:
            raise FixConfiguration("broken")

    def tick_times(self, sensor, *, limit):
        return self.ticks[:limit]


class World:
    def __init__(self):
        self.now = 1000.0
        self.version = 1
        self.dagster = Dagster()
        self.reloader = Reloader(
            self.dagster, self.read, clock=lambda: self.now, wall=lambda: self.now
        )

    def read(self):
        if isinstance(self.version, Exception):
            raise self.version
        return self.version

    def after(self, seconds):
        """Look each second; return how many reloads that made."""
        before = self.dagster.reloads
        for _ in range(seconds):
            self.now += 1
            self.reloader.look()
        return self.dagster.reloads - before


def test_nothing_changed_nothing_loaded():
    assert World().after(100) == 0


def test_a_change_is_loaded_at_once_and_a_loop_of_them_every_ten_seconds():
    world = World()
    world.version += 1
    assert world.after(1) == 1
    loads = 0
    for _ in range(50):
        world.version += 1
        loads += world.after(1)
    assert loads == 5
    assert world.after(10) <= 1
    assert world.after(60) == 0


def test_broken_definitions_are_tried_again_after_the_next_change_or_a_minute():
    world = World()
    world.dagster.broken = True
    world.version = 2
    assert world.after(1) == 1
    assert world.after(int(RETRY_SECONDS) - 1) == 0
    assert world.after(1) == 1
    world.version, world.dagster.broken = 1, False  # back to what was loaded at the start
    assert world.after(11) == 1
    assert world.after(100) == 0


def test_who_knows_not_what_is_loaded_loads_once():
    world = World()
    world.reloader = Reloader(
        world.dagster, world.read, clock=lambda: world.now, wall=lambda: world.now, loaded=False
    )
    assert world.after(100) == 1


def test_a_catalog_that_does_not_answer_is_asked_again():
    world = World()
    world.version = Unavailable("locked")
    assert world.after(30) == 0
    world.version = 2
    assert world.after(11) == 1


def test_a_new_daemon_ticks_before_a_reload():
    world = World()
    world.dagster.ticks = [world.now - 5]  # of the daemon before
    world.reloader.daemon_started()
    world.version = 2
    assert world.after(10) == 0
    world.dagster.ticks.insert(0, world.now)
    assert world.after(1) == 1


def test_a_daemon_without_sensors_is_not_waited_for_forever():
    world = World()
    world.reloader.daemon_started()
    world.version = 2
    assert world.after(int(UNTICKED_SECONDS) - 1) == 0
    assert world.after(1) == 1
