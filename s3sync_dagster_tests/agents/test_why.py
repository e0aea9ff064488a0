"""``why`` among more sources than one answer names."""

import pytest

from s3sync_dagster.agents.door import Door
from s3sync_dagster.agents.tools import SOURCES_PAGE, Why, why
from s3sync_dagster.catalog.tables import objects
from s3sync_dagster.core.rights import Reader
from s3sync_dagster.ports.memory_chroma import MemoryCollections
from s3sync_dagster.settings import load_settings
from s3sync_dagster.wiring import Parts
from s3sync_dagster_tests.sources import s3_source

KEY = "report.md"


@pytest.fixture
def parts(tmp_path):
    made = Parts(load_settings({"S3SYNC_HOME": str(tmp_path / "home")}), connect=MemoryCollections)
    yield made
    made.close()


def _fill(parts, **last):
    """Add one source more than are named, of which the youngest knows the key."""
    for number in range(SOURCES_PAGE + 1):
        options = last if number == SOURCES_PAGE else {}
        source = s3_source(
            id=f"i{number}",
            name=f"s{number}",
            bucket_name=f"bucket-{number}",
            collection_name=f"docs-{number}",
            **options,
        )
        source = parts.catalog.sources.add(source)
    with parts.catalog.database.write() as tx:
        values = {"object_key": KEY, "etag": "e", "size": 1, "partition_key": KEY, "seen_at": 1.0}
        tx.execute(objects.insert().values(source_id=source.id, **values))


def test_a_source_that_knows_the_key_is_named_first(parts):
    _fill(parts)
    told = why(Door(parts=parts), Why(key=KEY))
    assert told.startswith(f"s{SOURCES_PAGE}: pending")
    assert "s0: unknown" in told
    assert told.endswith("1 more sources: name one.")


def test_the_order_tells_nobody_what_is_kept_from_him(parts):
    _fill(parts, reader_keys=("team",))
    told = why(Door(parts=parts, reader=Reader(groups=frozenset(("b",)))), Why(key=KEY))
    assert told.startswith("s0: unknown")
