"""Files that people uploaded."""

import sqlalchemy as sa

from s3sync_dagster.catalog.tables.schema import Key, Time, metadata

# What people uploaded; the bytes of a file are rows of upload_bytes under its body's name.
upload_files = sa.Table(
    "upload_files",
    metadata,
    sa.Column("source_id", sa.Text, primary_key=True),
    sa.Column("object_key", Key, primary_key=True),
    sa.Column("etag", sa.Text, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("modified_at", Time, nullable=False),
    sa.Column("content_type", sa.Text),
    sa.Column("metadata", sa.JSON, nullable=False),
    sa.Column("body", sa.Text, nullable=False, unique=True),
)
upload_bytes = sa.Table(
    "upload_bytes",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("place", sa.Integer, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.Column("written_at", Time, nullable=False),
    sa.UniqueConstraint("body", "place"),
)
# Sources whose files may still lie in the data folder of a host, from before they lay here.
uploads_elsewhere = sa.Table(
    "uploads_elsewhere", metadata, sa.Column("source_id", sa.Text, primary_key=True)
)
