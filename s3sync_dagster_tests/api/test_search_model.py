"""Which model and which database are meant, where several sources name a collection."""

from types import SimpleNamespace

import pytest

from s3sync_dagster.api.agents import database_of
from s3sync_dagster.api.searching import tenants_embedding
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster_tests.engine_fixture import make_world
from s3sync_dagster_tests.sources import changed


def test_it_is_that_of_the_source_that_has_written_to_the_collection():
    world = make_world()  # whose source names the collection, and never writes
    older = world.source
    later = older.with_changes(
        id="00000000-0000-4000-8000-0000000000ff",
        name="later",
        id_prefix="later-",
        embedding=EmbeddingConfig(kind="static"),
    )
    later = changed(later, bucket_name="another")
    here = SimpleNamespace(catalog=world.catalog, parts=None)
    caller = SimpleNamespace(tenant=older.tenant)
    place = (older.collection_name, older.database_name)
    assert tenants_embedding(here, *place, caller) == older.embedding
    world.source = world.catalog.sources.add(later)
    world.bucket.put("a.md", "text")
    world.sync()
    assert older.embedding != later.embedding
    assert tenants_embedding(here, *place, caller) == later.embedding


def test_an_agent_that_names_no_database_means_the_only_one_that_has_the_collection():
    world = make_world(collection_name="notes", database_name="team")
    here, tenant = SimpleNamespace(catalog=world.catalog), world.source.tenant
    assert database_of(here, "notes", tenant=tenant) == "team"
    assert database_of(here, "notes", tenant="another") == "default_database"
    assert database_of(here, "others", tenant=tenant) == "default_database"
    ids = iter("ef")
    for database in ("second", "default_database"):
        other = world.source.with_changes(
            id=f"00000000-0000-4000-8000-00000000000{next(ids)}",
            name=database,
            database_name=database,
        )
        world.catalog.sources.add(other)
        if database == "second":
            with pytest.raises(InvalidSetting, match="Several databases"):
                database_of(here, "notes", tenant=tenant)
    assert database_of(here, "notes", tenant=tenant) == "default_database"
