"""What each source has: objects, their places in Dagster, and what sidecars say of them."""

import sqlalchemy as sa

from s3sync_dagster.catalog.tables.schema import Key, Time, Word, metadata

objects = sa.Table(
    "objects",
    metadata,
    sa.Column("source_id", sa.Text, primary_key=True),
    sa.Column("object_key", Key, primary_key=True),
    sa.Column("partition_key", sa.Text, nullable=False),
    sa.Column("etag", sa.Text, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("last_modified", Time),
    sa.Column("version_id", sa.Text),
    sa.Column("sequencer", sa.Text),
    sa.Column("storage_class", sa.Text, nullable=False, server_default="STANDARD"),
    # The newest listing that did not see it; 0 once it was seen or told of again. Unchanged
    # objects are not written to by a listing that sees them.
    sa.Column("missed_listing_id", sa.Integer, nullable=False, server_default="0"),
    # The first listing of those that missed it one after the other.
    sa.Column("first_missed_listing_id", sa.Integer, nullable=False, server_default="0"),
    # The listing that was blocked last and shows it as one whose records would go.
    sa.Column("shown_listing_id", sa.Integer, nullable=False, server_default="0"),
    # Number of the listing's page (core.state.page_number) that was the newest when it was told.
    sa.Column("told_number", sa.BigInteger, nullable=False, server_default="0"),
    # How often something was told of it: who began with it before knows whether there are news.
    sa.Column("told_count", sa.Integer, nullable=False, server_default="0"),
    sa.Column("seen_at", Time, nullable=False),
    sa.Column("gone", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("skip_reason", sa.Text),
    sa.Column("outcome", Word("indexed", "skipped", "failed")),
    sa.Column("outcome_etag", sa.Text),
    sa.Column("fingerprint", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("error", sa.Text),
    sa.Column("retry_class", sa.Text),
    sa.Column("next_retry_at", Time),
    sa.Column("partition_added", sa.Boolean, nullable=False, server_default=sa.false()),
    # Which asset of its source shows it (core.shards); NULL: none yet, or the first one where
    # ``partition_added`` says that a program told of it that knows no others.
    sa.Column("shard", sa.Integer),
    sa.CheckConstraint("outcome IN ('indexed', 'skipped', 'failed')", name="ck_objects_outcome"),
)
sa.Index("uq_objects_partition", objects.c.source_id, objects.c.partition_key, unique=True)
sa.Index("ix_objects_outcome", objects.c.source_id, objects.c.outcome, objects.c.reason)
for _name, _where in (
    ("ix_objects_missed", objects.c.missed_listing_id > 0),
    ("ix_objects_gone", objects.c.gone),
    ("ix_objects_left_out", objects.c.skip_reason.is_not(None)),
):
    sa.Index(
        _name,
        objects.c.source_id,
        objects.c.object_key,
        sqlite_where=_where,
        postgresql_where=_where,
    )

sa.Index(
    "ix_objects_not_indexed",
    objects.c.source_id,
    objects.c.object_key,
    sqlite_where=(_not_indexed := sa.text("outcome IS NULL OR outcome <> 'indexed'")),
    postgresql_where=_not_indexed,
)
# Text, because SQLite takes a partial index only for a condition that reads like its own.
is_gone = sa.text("objects.gone")
# Dagster knows its partition, was about to, or did until a program of before has lost sight of it.
has_place = sa.or_(objects.c.partition_added.is_(True), objects.c.shard.is_not(None))
is_missed = sa.text("objects.missed_listing_id > 0")
is_not_indexed = sa.text("(objects.outcome IS NULL OR objects.outcome <> 'indexed')")

# How many partitions the assets of a source have. One that was opened stays.
shards = sa.Table(
    "shards",
    metadata,
    sa.Column("source_id", sa.Text, primary_key=True),
    sa.Column("shard", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("partitions", sa.Integer, nullable=False),
)

sidecars = sa.Table(
    "sidecars",
    metadata,
    sa.Column("source_id", sa.Text, primary_key=True),
    sa.Column("sidecar_key", Key, primary_key=True),
    sa.Column("path", Key, nullable=False),
    sa.Column("custom_id", sa.Text, nullable=False),
    sa.Column("target_collection_name", sa.Text),
    sa.Column("metadata", sa.JSON, nullable=False),
    sa.Column("etag", sa.Text, nullable=False),
)
# A key that two sidecars claim for one collection: the first keeps it.
sa.Index("ix_sidecars_path", sidecars.c.source_id, sidecars.c.path)
