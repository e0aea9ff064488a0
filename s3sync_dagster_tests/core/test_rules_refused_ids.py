"""A request that is refused its custom id changes nothing of who may read."""

import pytest

from s3sync_dagster_tests.core.test_rules_closing import readers
from s3sync_dagster_tests.engine_fixture import make_world

HR = {"team": "hr"}


def seen(world):
    """Return who finds which of the two."""
    return readers(world, "sales/a.md"), readers(world, "sales/b.md")


@pytest.mark.parametrize("owner", [True, False])
@pytest.mark.parametrize("metadata", [HR, {}])
@pytest.mark.parametrize("had", [None, "own"])
@pytest.mark.parametrize("together", [True, False])
def test_a_request_that_is_refused_its_custom_id_closes_nothing(owner, metadata, had, together):
    world = make_world(path_metadata="(?P<team>[^/]+)/", reader_keys=("team",))
    world.bucket.put("sales/a.md", "a")
    world.bucket.put("sales/b.md", "b")
    world.sync()
    world.ask("sales/a.md", custom_id="x", vouched=True)
    if had:
        world.ask("sales/b.md", custom_id=had, vouched=True)
    if not together:
        world.run_batches()
    world.ask("sales/b.md", custom_id="x", metadata=metadata, vouched=owner)
    world.run_batches()
    for _ in range(3):
        assert seen(world) == (["sales"], ["sales"])
        world.clock.seconds += 4000
        world.sync()
