"""Sources, and their days: what is declared, what is gone, and what each was like."""

import sqlalchemy as sa

from s3sync_dagster.catalog.tables.schema import Key, Time, metadata

sources = sa.Table(
    "sources",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("origin", sa.Text, nullable=False),  # python | yaml | catalog | moved
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("database_name", sa.Text, nullable=False),
    sa.Column("collection_name", sa.Text, nullable=False),
    sa.Column("place_type", sa.Text, nullable=False, server_default="s3"),
    # What makes a place the same one (model.place.PlaceIdentity), under the names that S3 gave.
    sa.Column("endpoint_url", sa.Text, nullable=False, server_default=""),
    sa.Column("bucket_name", sa.Text, nullable=False),
    sa.Column("path_prefix", Key, nullable=False, server_default=""),
    sa.Column("config", sa.JSON, nullable=False),
    sa.Column("paused", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("deleting", sa.Text),  # None | records | keep
    sa.Column("created_at", Time, nullable=False),
    sa.Column("updated_at", Time, nullable=False),
    sa.Column("list_due_at", Time, nullable=False, server_default="0"),
    # Documents that went although HEADs alone told it, and since when they are counted.
    sa.Column("removed_by_heads", sa.Integer, nullable=False, server_default="0"),
    sa.Column("heads_counted_since", Time, nullable=False, server_default="0"),
    # Since when a service has not answered; 0: it answers again, and what it has failed is due;
    # None: nothing is known against any.
    sa.Column("unanswered_at", Time),
    # When a key was last sent before its time to see whether it answers again.
    sa.Column("scouted_at", Time),
    # What code declares instead, where that would be another source: refused until it is moved.
    sa.Column("wanted", sa.JSON),
    # The source that has its name since it was moved; it stands until that one is whole.
    sa.Column("moved_to", sa.Text),
    # What it had indexed then, how many of that went without a successor, and until when one
    # process has the right to delete what it has claimed of it.
    sa.Column("moved_documents", sa.Integer, nullable=False, server_default="0"),
    sa.Column("moved_gone", sa.Integer, nullable=False, server_default="0"),
    sa.Column("leaving_until", Time, nullable=False, server_default="0"),
    # Who declares it, and for which Chroma (core.declaration); None: nobody has said so yet.
    sa.Column("declared", sa.JSON),
    # Why its queue could not be read when it was asked last (core.state.QueueTrouble).
    sa.Column("queue_trouble", sa.JSON),
    # Up to which collection of its database its deletion has looked for records that were
    # forgotten, and that it has none left to look at (core.state.LOOKED_THROUGH); NULL where the
    # catalog was not put back from a copy: none were.
    sa.Column("looked_through", sa.Text),
    # Its settings of who may read were changed before all was known that a restored catalog may
    # have forgotten: what no document has is for nobody with groups until then.
    sa.Column("closed_unseen", sa.Boolean, nullable=False, server_default=sa.false()),
    # Of a source that names no server: the names under which one was asked, a line each, the last
    # one first; empty: AWS, NULL: none is known.
    sa.Column("asked_server", sa.Text),
)
sa.Index(
    "uq_sources_identity",
    sources.c.place_type,
    sources.c.endpoint_url,
    sources.c.bucket_name,
    sources.c.path_prefix,
    sources.c.tenant,
    sources.c.database_name,
    sources.c.collection_name,
    unique=True,
)
sa.Index("ix_sources_tenant", sources.c.tenant, sources.c.created_at)

# Sources that are no more, for a while: a worker that did not know it may still write for one. For
# good where their records stay: whoever searches may read them.
deleted_sources = sa.Table(
    "deleted_sources",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("keeps_records", sa.Boolean, nullable=False),
    sa.Column("deleted_at", Time, nullable=False),
)

# Lives of sources that ended (core.lives). One id may have several: what a person had kept may have
# gone on and ended again, and a source of code that was declared again had the id that it had
# before 0041. None is known of what ended before the catalog was put back from a copy, but what was
# to stay.
lives = sa.Table(
    "lives",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("source_id", sa.Text, nullable=False),
    sa.Column("ended_at", Time, nullable=False),
    sa.Column("kept", sa.Boolean, nullable=False),  # a person's word: its records stay
    # Tenant, database and name of the collections that it had written to, and of its own.
    sa.Column("places", sa.JSON, nullable=False),
    sa.Column("bucket_name", sa.Text, nullable=False),
    sa.Column("path_prefix", Key, nullable=False),
    # Address of the Chroma that its declaration named; NULL: the environment's.
    sa.Column("chroma", sa.Text),
    sa.Column("name", sa.Text),  # of one that code declared
    sa.Column("moved_to", sa.Text),  # the source that came in its place
    # It was deleted, and none came. NULL: nobody knows how it ended, before catalogs noted it.
    sa.Column("deleted", sa.Boolean),
)
sa.Index("ix_lives_source", lives.c.source_id)

# What each source was like, hour by hour since 1970: for charts, and for nothing that decides.
hours = sa.Table(
    "hours",
    metadata,
    sa.Column("source_id", sa.Text, primary_key=True),
    sa.Column("hour", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("noted_at", Time),
    sa.Column("states", sa.JSON(none_as_null=True)),
    sa.Column("failed", sa.JSON(none_as_null=True)),
    sa.Column("lag_seconds", Time, nullable=False, server_default="0"),
    sa.Column("complete_invocations", sa.Integer, nullable=False, server_default="0"),
    sa.Column("failed_invocations", sa.Integer, nullable=False, server_default="0"),
    sa.Column("texts", sa.BigInteger, nullable=False, server_default="0"),
)
