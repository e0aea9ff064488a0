"""What modes that keep texts know of these after a look at records."""

from s3sync_dagster.core.state import DocumentPhase
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster_tests.core.rules import states
from s3sync_dagster_tests.core.test_rules_owner_words import goes_on
from s3sync_dagster_tests.core.test_rules_restore_ends import checks
from s3sync_dagster_tests.core.test_rules_restored_owners import declared


def test_the_check_tells_of_which_bytes_a_text_is_that_a_late_writer_had_forgotten():
    """Nobody writes what append mode keeps of an object that is gone, and asks its records so."""
    world = declared(["a.md", "b.md"], mode=DeleteMode.APPEND)
    (before,) = world.catalog.documents.of_key(world.source.id, "a.md")
    world.bucket.delete("a.md")
    goes_on(world, 1)
    world.catalog.documents.distrust([before], spoilt=True)
    world.catalog.documents.distrust(world.catalog.documents.of_key(world.source.id, "a.md"))
    (forgotten,) = world.catalog.documents.of_key(world.source.id, "a.md")
    assert forgotten.etag == ""
    checks(world)
    (now,) = world.catalog.documents.of_key(world.source.id, "a.md")
    assert (now.phase, now.etag) == (DocumentPhase.CLEAN, before.etag)
    world.bucket.put("a.md", "a.md one\n\na.md two")
    goes_on(world, 1)
    assert states(world)["a.md"] == ("indexed", None)
