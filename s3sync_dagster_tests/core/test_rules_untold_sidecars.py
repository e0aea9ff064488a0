"""A sidecar that was read, and of whose object nothing has told: a listing ends it too."""

import sqlalchemy as sa

from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster_tests.core.rules import Died, event, sidecar, work_and_die
from s3sync_dagster_tests.core.test_rules_found_texts import settle
from s3sync_dagster_tests.engine_fixture import make_world


def test_what_a_sidecar_asked_for_ends_with_it_though_only_its_batch_has_met_it():
    world = make_world(mode=DeleteMode.MIRROR)
    world.bucket.put("a.md", "one")
    world.sync()
    world.bucket.put("z.meta.json", sidecar("a.md", target_collection_name="second"))
    event(world, "z.meta.json")

    # A catalog that was put back has what it asks for, and nothing that names it any more.
    def dies(place):
        if place == "sidecars":
            raise Died

    work_and_die(world, workers=1, at=dies)
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("DELETE FROM invocations WHERE object_key = 'z.meta.json'"))
    world.bucket.delete("z.meta.json")
    world.run_batches()
    assert list(world.texts("second").values()) == ["one"]
    settle(world)
    assert world.texts("second") == {}
