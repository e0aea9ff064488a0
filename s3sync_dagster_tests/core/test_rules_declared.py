"""A source that code declares stays what it is, whatever is declared under its name."""

import pytest
import sqlalchemy as sa

from s3sync_dagster.core.source_identity import identity_changes, refusal
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster_tests.sources import changed


@pytest.fixture
def declared(world):
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
    return world


def register(world, **changes):
    return world.catalog.sources.register(changed(world.source, id="of the code", **changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"bucket_name": "bucket-eu"},
        {"endpoint_url": "http://127.0.0.1:9"},
        {"path_prefix": "a/"},
        {"tenant": "other"},
        {"database_name": "other_db"},
        {"collection_name": "docs2"},
        {"id_prefix": "p-"},
        {"collection_name": "docs2", "metadata": {"team": "red"}},
    ],
)
def test_a_declaration_of_another_source_is_refused_until_it_is_taken_back(
    declared, changes, caplog
):
    declared.bucket.put("a.md", "text")
    declared.sync()
    assert register(declared, **changes) == declared.source
    wanted = declared.catalog.sources.refused(declared.source.id)
    said = refusal(declared.source, wanted)
    assert "s3sync source move docs" in said
    assert said in caplog.text
    caplog.clear()
    assert register(declared, **changes) == declared.source
    assert caplog.text == ""  # said once, not at each tick
    assert declared.catalog.sources.find("docs") == declared.source
    assert register(declared) == declared.source
    assert declared.catalog.sources.refused(declared.source.id) is None


def test_other_settings_and_a_source_that_met_no_object_are_what_code_says(declared):
    assert register(declared, collection_name="docs2").collection_name == "docs2"
    declared.source = declared.catalog.sources.find("docs")
    declared.bucket.put("a.md", "text")
    declared.sync()
    assert register(declared, mode=DeleteMode.APPEND).mode is DeleteMode.APPEND
    assert declared.catalog.sources.refused(declared.source.id) is None


def test_identity_is_told_by_the_names_of_settings(world):
    after = changed(world.source, bucket_name="b2", id_prefix="p-")
    assert identity_changes(world.source, after) == {
        "bucket": ("bucket", "b2"),
        "id_prefix": ("", "p-"),
    }
