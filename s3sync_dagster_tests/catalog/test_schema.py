"""Versions of the schema: who brings it up to date, and which programs work on it meanwhile."""

from contextlib import closing

import pytest
import sqlalchemy as sa
from alembic import command

from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.catalog.database import Database, _alembic_config
from s3sync_dagster.core.state import ListingState
from s3sync_dagster.definitions import read_catalog_sources
from s3sync_dagster.model.errors import AccessDenied, FixConfiguration
from s3sync_dagster.settings import load_settings
from s3sync_dagster_tests.catalog.scenes import index_all, list_all, ref, source
from s3sync_dagster_tests.conftest_catalog import HandClock, fresh_postgres_database

ADDITIVE_FROM = "0007"
"""What later revisions of generation 0 do is held against the rule."""


def bring_to(url, revision):
    database = Database(url)
    config = _alembic_config(database.url)
    with database.engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.commit()
    database.close()


def take_back(url, revision):
    """Leave a database as a program of before has filled it."""
    with closing(Database(url)) as database, database.engine.connect() as connection:
        config = _alembic_config(database.url)
        config.attributes["connection"] = connection
        command.downgrade(config, revision)
        connection.commit()


def set_revision(url, revision, *statements):
    """Do what a later version of this program would have done to its catalog."""
    with closing(Database(url)) as database, database.write() as tx:
        for statement in statements:
            tx.execute(sa.text(statement))
        tx.execute(sa.text("UPDATE alembic_version SET version_num = :r"), {"r": revision})


def columns(url):
    with closing(Database(url)) as database, database.read() as tx:
        inspector = sa.inspect(tx)
        return {
            (table, column["name"]): column
            for table in inspector.get_table_names()
            for column in inspector.get_columns(table)
        }


def test_a_program_goes_on_beside_a_newer_one_of_its_generation(catalog_url):
    with closing(open_catalog(catalog_url)) as running:
        running.sources.add(source())
        set_revision(catalog_url, "0999", "ALTER TABLE sources ADD COLUMN later TEXT")
        changed = source().with_changes(mode="append")
        running.sources.update(changed)
        with closing(open_catalog(catalog_url)) as again:
            assert again.sources.find("docs") == changed
            assert again.database.current_revision() == "0999", "nothing takes it back"


def test_a_catalog_of_the_next_generation_is_refused_in_one_sentence(catalog_url, tmp_path):
    open_catalog(catalog_url).close()
    set_revision(catalog_url, "1001", "ALTER TABLE sources RENAME TO places")
    with pytest.raises(FixConfiguration, match="newer than this program") as refused:
        open_catalog(catalog_url)
    assert refused.value.reason == "catalog_newer"
    home = {"S3SYNC_HOME": str(tmp_path), "S3SYNC_DATABASE_URL": catalog_url}
    sources, [problem] = read_catalog_sources(load_settings(home))
    assert sources == []
    assert "newer than this program" in problem


def test_an_older_catalog_on_postgres_waits_for_a_person(postgres_url):
    url = fresh_postgres_database(postgres_url)
    bring_to(url, "0005")
    with pytest.raises(FixConfiguration, match="s3sync migrate") as refused:
        open_catalog(url)
    assert refused.value.reason == "catalog_older"
    with closing(Database(url)) as database:
        assert database.current_revision() == "0005"
        database.migrate()
    open_catalog(url).close()


def test_an_older_catalog_in_a_file_is_brought_up_to_date_at_its_open(tmp_path):
    url = f"sqlite:///{tmp_path}/catalog.db"
    bring_to(url, "0005")
    with closing(open_catalog(url)) as catalog:
        assert catalog.database.current_revision() == catalog.database.head_revision()


def test_a_user_of_postgres_without_rights_on_tables_is_told_who_has_to_migrate(postgres_url):
    url = fresh_postgres_database(postgres_url)
    role = "runtime_role"
    with closing(Database(url)) as owner:
        with owner.write() as tx:
            tx.execute(sa.text(f"DROP ROLE IF EXISTS {role}"))
            tx.execute(sa.text(f"CREATE ROLE {role} LOGIN"))
        limited = sa.make_url(url).set(username=role).render_as_string(hide_password=False)
        with pytest.raises(AccessDenied, match="s3sync migrate") as refused:
            open_catalog(limited)
        assert refused.value.reason == "catalog_rights"
        owner.migrate()
        with owner.write() as tx:
            tx.execute(sa.text(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}"))
            tx.execute(sa.text(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}"))
        with closing(open_catalog(limited)) as catalog:
            catalog.sources.add(source())
        with owner.write() as tx:
            tx.execute(sa.text(f"DROP OWNED BY {role}"))
            tx.execute(sa.text(f"DROP ROLE {role}"))


def test_what_an_older_program_has_blocked_is_shown_by_the_next_listing(catalog_url):
    names = [f"k{n:03}.md" for n in range(100)]
    left = [ref(name) for name in names[60:]]
    with closing(open_catalog(catalog_url, clock=HandClock())) as catalog:
        catalog.sources.add(docs := source())
        index_all(catalog, docs, names)
        blocked = list_all(catalog, docs, left)
        assert blocked.state is ListingState.BLOCKED
        assert len(catalog.listings.departing_keys(blocked)[0]) == 60
        before = catalog.documents.of_key(docs.id, "k000.md")
    take_back(catalog_url, "0028")
    bring_to(catalog_url, "head")
    with closing(open_catalog(catalog_url, clock=HandClock())) as catalog:
        assert catalog.documents.of_key(docs.id, "k000.md") == before
        assert catalog.listings.departing_keys(blocked)[0] == []
        catalog.listings.approve(docs.id, blocked.id)
        assert catalog.documents.count(docs.id) == 100
        blocked = list_all(catalog, docs, left)
        assert blocked.state is ListingState.BLOCKED
        assert len(catalog.listings.departing_keys(blocked)[0]) == 60


def test_later_revisions_only_add_what_an_older_program_does_without(empty_url):
    bring_to(empty_url, ADDITIVE_FROM)
    before = columns(empty_url)
    bring_to(empty_url, "head")
    after = columns(empty_url)
    assert before.keys() <= after.keys(), "an older program asks for these columns"
    for name, column in before.items():
        assert str(after[name]["type"]) == str(column["type"]), name
        assert after[name]["nullable"] >= column["nullable"], name
    for (table, name), column in after.items():
        if (table, name) not in before and table in {one for one, _ in before}:
            assert column["nullable"] or column["default"] is not None, (table, name)
