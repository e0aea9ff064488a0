"""A catalog of the version before places is carried over, on SQLite and Postgres alike."""

import pytest
import sqlalchemy as sa

from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.catalog.database import Database, _alembic_config
from s3sync_dagster.definitions import read_catalog_sources
from s3sync_dagster.model.errors import Conflict
from s3sync_dagster.model.place import CredentialsConfig, UploadPlace
from s3sync_dagster.model.s3_place import S3Place
from s3sync_dagster.model.source import AutoSync, Source
from s3sync_dagster.settings import load_settings
from s3sync_dagster_tests.catalog.scenes import source

NESTED = {"sparse_key": "sparse_embedding", "kind": "hash"}
COMMON = {
    "tenant": "default_tenant", "database_name": "default_database", "id_prefix": "",
    "metadata": {"team": "red"}, "include_globs": ["**/*.md"], "exclude_globs": [],
    "extensions": [], "max_size_bytes": 1000, "document_limit": None,
    "chunking": {"type": "lines", "max_lines": 5}, "embedding": NESTED, "extraction": {},
    "auto_sync": "none", "list_interval_seconds": 7, "mode": "append",
    "on_config_change": "keep", "adopt": False,
}  # fmt: skip
BUCKET = COMMON | {
    "id": "id-docs", "name": "docs", "bucket_name": "company", "path_prefix": "docs/ü/",
    "collection_name": "texts", "region": "eu-west-1", "endpoint_url": "http://minio:9000",
    "addressing_style": "path", "queue_url": "http://sqs/1/q", "requester_pays": True,
    "expected_bucket_owner": "123", "type": "s3",
    "credentials": {"profile": None, "credential_id": 7, "role_arn": "arn:x"},
}  # fmt: skip
UPLOADS = COMMON | {
    "id": "id-up", "name": "file_upload_1", "bucket_name": "file_upload", "path_prefix": "",
    "collection_name": "texts", "region": None, "endpoint_url": None, "type": "file_upload",
    "addressing_style": "auto", "queue_url": None, "requester_pays": False,
    "expected_bucket_owner": None, "credentials": {},
}  # fmt: skip
COLUMNS = ("id", "name", "tenant", "database_name", "collection_name", "bucket_name")


def upgraded(url):
    """Return the catalog as ``s3sync migrate`` leaves it."""
    database = Database(url)
    database.migrate()
    database.close()
    return open_catalog(url)


@pytest.fixture
def old(empty_url):
    """A database at the revision before, with the rows that its version wrote."""
    from alembic import command

    database = Database(empty_url)
    config = _alembic_config(database.url)
    table = sa.table(
        "sources", *(sa.column(name) for name in (*COLUMNS, "endpoint_url", "origin")),
        sa.column("path_prefix"), sa.column("config", sa.JSON), sa.column("created_at"),
        sa.column("updated_at"),
    )  # fmt: skip
    with database.engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
        for row in (BUCKET, UPLOADS):
            connection.execute(
                table.insert().values(
                    **{name: row[name] for name in COLUMNS}, config=row, origin="catalog",
                    endpoint_url=row["endpoint_url"] or "", created_at=1.0, updated_at=1.0,
                    path_prefix=row["path_prefix"],
                )
            )  # fmt: skip
        connection.commit()
    database.close()
    return empty_url


def test_what_was_stored_is_read_with_its_place(old):
    catalog = upgraded(old)
    docs, uploads = catalog.sources.all()
    assert docs == Source(
        id="id-docs", name="docs", collection_name="texts", metadata={"team": "red"},
        place=S3Place(
            bucket_name="company", path_prefix="docs/ü/", region="eu-west-1",
            endpoint_url="http://minio:9000", addressing_style="path", queue_url="http://sqs/1/q",
            requester_pays=True, expected_bucket_owner="123",
            credentials=CredentialsConfig(credential_id=7, role_arn="arn:x"),
        ),
        include_globs=("**/*.md",), max_size_bytes=1000, auto_sync=AutoSync.NONE,
        list_interval_seconds=7, mode=docs.mode, chunking=docs.chunking, embedding=docs.embedding,
    )  # fmt: skip
    assert (docs.mode.value, docs.chunking.max_lines, docs.embedding.kind) == ("append", 5, "hash")
    assert uploads.place == UploadPlace()
    with catalog.database.read() as tx:
        types = tx.execute(sa.text("SELECT place_type FROM sources ORDER BY id")).scalars().all()
    assert types == ["s3", "file_upload"]
    assert docs.place.credential_id == 7
    assert catalog.sources.find_identity(docs) == docs
    assert catalog.sources.find_identity(uploads) == uploads
    catalog.sources.update(docs)
    catalog.close()


def test_uploads_of_before_count_as_elsewhere_until_they_are_brought(old):
    catalog = upgraded(old)
    assert catalog.uploads.elsewhere("id-up")
    assert not catalog.uploads.elsewhere("id-docs")
    catalog.close()


def test_a_bucket_may_have_the_name_that_uploads_had(old):
    catalog = upgraded(old)
    twin = source(bucket_name="file_upload", collection_name="texts")
    catalog.sources.add(twin.with_changes(id="1", name="twin"))
    with pytest.raises(Conflict, match="file_upload_1"):
        catalog.sources.add(twin.with_changes(id="2", name="again", place=UploadPlace()))
    catalog.close()


def test_the_definitions_read_a_catalog_that_is_not_migrated_yet(old, tmp_path):
    environ = {"S3SYNC_HOME": str(tmp_path), "S3SYNC_DATABASE_URL": old}
    found, problems = read_catalog_sources(load_settings(environ))
    assert problems == []
    assert [one.place.address() for one in found] == ["s3://company/docs/ü/", "upload:/"]


def test_the_way_back_gives_the_rows_of_before(old):
    from alembic import command

    upgraded(old).close()
    database = Database(old)
    config = _alembic_config(database.url)
    with database.engine.connect() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0003")
        connection.commit()
        rows = connection.execute(
            sa.text("SELECT config FROM sources ORDER BY id").columns(config=sa.JSON)
        ).all()
    database.close()
    assert rows[0].config == BUCKET
    assert {key: UPLOADS[key] for key in rows[1].config} == rows[1].config
