"""The schema. Times are seconds since 1970 (UTC) as floats; migrations/ builds it step by step."""

import sqlalchemy as sa

from s3sync_dagster.catalog.key_text import KeyText

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Key = KeyText()
Time: sa.Double[float] = sa.Double()

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
    # forgotten; NULL where the catalog was not put back from a copy: none were.
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
    sa.Column("outcome", sa.Text),
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

documents = sa.Table(
    "documents",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("source_id", sa.Text, nullable=False),
    sa.Column("object_key", Key, nullable=False),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("database_name", sa.Text, nullable=False),
    sa.Column("collection_name", sa.Text, nullable=False),
    sa.Column("document_id", sa.Text, nullable=False),
    sa.Column("custom_id", sa.Text),
    sa.Column("metadata", sa.JSON, nullable=False),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("phase", sa.Text, nullable=False),
    sa.Column("etag", sa.Text),
    sa.Column("fingerprint", sa.Text),
    sa.Column("chunks", sa.Integer, nullable=False, server_default="0"),
    sa.Column("high_water", sa.Integer, nullable=False, server_default="0"),
    sa.Column("digests", sa.LargeBinary, nullable=False),
    sa.Column("metadata_keys", sa.JSON, nullable=False),
    sa.Column("batch_token", sa.Text),
    sa.Column("text_bytes", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("pages", sa.Integer, nullable=False, server_default="0"),
    sa.Column("indexed_at", Time),
    # Chroma's id of the collection that it was written to: what its record ids are good for.
    sa.Column("collection_id", sa.Text),
    # What the object carried besides its bytes when it was written, as metadata.
    sa.Column("carried", sa.JSON, nullable=False, server_default="{}"),
    # Reader keys under which its records have nothing that a member said (core.vouching).
    sa.Column("withheld", sa.Text),
    # What an owner asked of it and could not be written yet (core.state.Said).
    sa.Column("said", sa.JSON(none_as_null=True)),
    # Ids of other sources that its records may name until it is written anew.
    sa.Column("written_as", sa.JSON(none_as_null=True)),
    sa.CheckConstraint("phase IN ('writing', 'clean', 'removing')", name="ck_documents_phase"),
    sa.CheckConstraint("chunks <= high_water", name="ck_documents_high_water"),
    sa.CheckConstraint(
        "phase <> 'clean' OR (etag IS NOT NULL AND fingerprint IS NOT NULL"
        " AND batch_token IS NULL)",
        name="ck_documents_clean",
    ),
    sqlite_autoincrement=True,  # an id that a late worker remembers is never another document's
)
# What an owner has asked for in vain is a row before it is anything that could be removed.
has_records = documents.c.high_water > 0
# One owner of a record id in a collection, whatever its phase: a removal never meets a new owner.
sa.Index(
    "uq_documents_record_ids",
    documents.c.tenant,
    documents.c.database_name,
    documents.c.collection_name,
    documents.c.document_id,
    unique=True,
)
sa.Index(
    "uq_documents_object",
    documents.c.source_id,
    documents.c.object_key,
    documents.c.tenant,
    documents.c.database_name,
    documents.c.collection_name,
    unique=True,
    sqlite_where=documents.c.phase != "removing",
    postgresql_where=documents.c.phase != "removing",
)
sa.Index("ix_documents_source", documents.c.source_id, documents.c.object_key)
sa.Index("ix_documents_written", documents.c.source_id, documents.c.indexed_at)
sa.Index(
    "ix_documents_unclean",
    documents.c.source_id,
    sqlite_where=documents.c.phase != "clean",
    postgresql_where=documents.c.phase != "clean",
)
sa.Index(
    "ix_documents_batch",
    documents.c.batch_token,
    sqlite_where=documents.c.batch_token.is_not(None),
    postgresql_where=documents.c.batch_token.is_not(None),
)
sa.Index(
    "ix_documents_withheld",
    documents.c.source_id,
    documents.c.withheld,
    sqlite_where=documents.c.withheld.is_not(None),
    postgresql_where=documents.c.withheld.is_not(None),
)
sa.Index(
    "ix_documents_kept",
    documents.c.source_id,
    documents.c.object_key,
    sqlite_where=(_kept := sa.text("substr(owner, 1, 5) = 'kept:'")),
    postgresql_where=_kept,
)
is_kept = sa.text("substr(documents.owner, 1, 5) = 'kept:'")

# The collections that a source writes to. No row of theirs is trusted under another id.
collections = sa.Table(
    "collections",
    metadata,
    sa.Column("source_id", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("database_name", sa.Text, primary_key=True),
    sa.Column("collection_name", sa.Text, primary_key=True),
    sa.Column("collection_id", sa.Text),  # None: not met since ids are kept; "": it was absent
    # How far the rolling check has come: a document, the next of its records, and when.
    sa.Column("checked_document", sa.Integer, nullable=False, server_default="0"),
    sa.Column("checked_record", sa.Integer, nullable=False, server_default="0"),
    sa.Column("checked_at", Time, nullable=False, server_default="0"),
)

invocations = sa.Table(
    "invocations",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("source_id", sa.Text, nullable=False),
    sa.Column("object_key", Key, nullable=False),
    # Which of its key's requests it is: they grow, whatever the clocks say.
    sa.Column("number", sa.Integer, nullable=False, server_default="0"),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("database_name", sa.Text, nullable=False),
    sa.Column("collection_name", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("trigger", sa.Text, nullable=False),
    sa.Column("automatic", sa.Boolean, nullable=False),
    sa.Column("priority", sa.SmallInteger, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("target_collection_name", sa.Text),
    sa.Column("custom_id", sa.Text),
    sa.Column("metadata", sa.JSON),
    sa.Column("vouched", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("owner", sa.Text),  # sidecar:<key> for a sidecar's wish
    sa.Column("force", sa.Boolean, nullable=False, server_default=sa.false()),
    # An older fingerprint is reason enough, whatever the source says who does the work.
    sa.Column("reindex", sa.Boolean, nullable=False, server_default=sa.false()),
    # It waited in a copy that the catalog was put back from: it may have been done since.
    sa.Column("restored", sa.Boolean, nullable=False, server_default=sa.false()),
    # How often something had been told of its object when a removal was asked for: it is evidence
    # for one until something newer is told.
    sa.Column("told_count", sa.Integer),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("deaths", sa.Integer, nullable=False, server_default="0"),
    sa.Column("deaths_alone", sa.Integer, nullable=False, server_default="0"),
    sa.Column("silent_deaths", sa.Integer, nullable=False, server_default="0"),
    sa.Column("begun", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("next_attempt_at", Time, nullable=False, server_default="0"),
    sa.Column("batch_token", sa.Text),
    sa.Column("run_id", sa.Text),
    sa.Column("result", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("error", sa.Text),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("started_at", Time),
    sa.Column("finished_at", Time),
    sa.CheckConstraint(
        "status IN ('pending', 'processing', 'complete', 'failed', 'cancelled')",
        name="ck_invocations_status",
    ),
    sa.CheckConstraint(
        "(status = 'processing') = (batch_token IS NOT NULL)", name="ck_invocations_leased"
    ),
    sa.CheckConstraint(
        "status NOT IN ('complete', 'failed', 'cancelled') OR finished_at IS NOT NULL",
        name="ck_invocations_finished",
    ),
)
_pending = invocations.c.status == "pending"
# With its words in the statement: SQLite holds an IN of parameters against no index's condition.
is_live = invocations.c.status.in_(
    [sa.literal_column("'pending'"), sa.literal_column("'processing'")]
)
coalescing = sa.and_(_pending, invocations.c.automatic, invocations.c.owner.is_(None))
sa.Index(
    "ix_invocations_pending",
    invocations.c.source_id,
    invocations.c.priority,
    invocations.c.created_at,
    sqlite_where=_pending,
    postgresql_where=_pending,
)
sa.Index(
    "ix_invocations_live",
    invocations.c.source_id,
    invocations.c.object_key,
    sqlite_where=is_live,
    postgresql_where=is_live,
)
# Automatic wishes for one key coalesce while they wait.
sa.Index(
    "uq_invocations_coalesce",
    invocations.c.source_id,
    invocations.c.object_key,
    unique=True,
    sqlite_where=coalescing,
    postgresql_where=coalescing,
)
sa.Index(
    "ix_invocations_batch",
    invocations.c.batch_token,
    sqlite_where=invocations.c.batch_token.is_not(None),
    postgresql_where=invocations.c.batch_token.is_not(None),
)
sa.Index(
    "ix_invocations_key",
    invocations.c.source_id,
    invocations.c.object_key,
    invocations.c.number,
)
sa.Index("ix_invocations_source_created", invocations.c.source_id, invocations.c.created_at)
sa.Index("ix_invocations_tenant_created", invocations.c.tenant, invocations.c.created_at)
sa.Index(
    "ix_invocations_tenant_status",
    invocations.c.tenant,
    invocations.c.status,
    invocations.c.created_at,
)
sa.Index(
    "ix_invocations_database_created",
    invocations.c.tenant,
    invocations.c.database_name,
    invocations.c.created_at,
)
sa.Index(
    "ix_invocations_run",
    invocations.c.run_id,
    sqlite_where=invocations.c.run_id.is_not(None),
    postgresql_where=invocations.c.run_id.is_not(None),
)

batches = sa.Table(
    "batches",
    metadata,
    sa.Column("token", sa.Text, primary_key=True),
    sa.Column("source_id", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("priority", sa.SmallInteger, nullable=False),
    sa.Column("size", sa.Integer, nullable=False),
    sa.Column("lease_until", Time, nullable=False),
    sa.Column("owner", sa.Text),
    sa.Column("run_id", sa.Text),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("yielded_at", Time),
    sa.Column("finished_at", Time),
    sa.CheckConstraint(
        "state IN ('reserved', 'running', 'done', 'released')", name="ck_batches_state"
    ),
)
sa.Index("ix_batches_source_created", batches.c.source_id, batches.c.created_at)
_live_batch = batches.c.state.in_(["reserved", "running"])
sa.Index(
    "ix_batches_live",
    batches.c.source_id,
    sqlite_where=_live_batch,
    postgresql_where=_live_batch,
)

listings = sa.Table(
    "listings",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("source_id", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("cursor", Key),
    sa.Column("owner", sa.Text),
    sa.Column("lease_until", Time, nullable=False),
    sa.Column("started_at", Time, nullable=False),
    sa.Column("pages", sa.Integer, nullable=False, server_default="0"),
    sa.Column("finished_at", Time),
    sa.Column("listed", sa.Integer, nullable=False, server_default="0"),
    sa.Column("new", sa.Integer, nullable=False, server_default="0"),
    sa.Column("changed", sa.Integer, nullable=False, server_default="0"),
    sa.Column("selected", sa.Integer, nullable=False, server_default="0"),
    sa.Column("gone", sa.Integer, nullable=False, server_default="0"),
    # New keys that were not stored: the tenant had all the objects it may have.
    sa.Column("left_out", sa.Integer, nullable=False, server_default="0"),
    # Whether what none of its pages named is not there; NULL: none has told it.
    sa.Column("tells_missing", sa.Boolean),
    sa.Column("error", sa.Text),
    # The inventory report of which it is made (core.state.ListedReport).
    sa.Column("report", sa.JSON(none_as_null=True)),
    sa.CheckConstraint(
        "state IN ('running', 'complete', 'failed', 'blocked', 'approved')",
        name="ck_listings_state",
    ),
    sqlite_autoincrement=True,  # numbers only grow: "missed by listing n or a later one"
)
sa.Index("ix_listings_source", listings.c.source_id, listings.c.id)
sa.Index(
    "uq_listings_running",
    listings.c.source_id,
    unique=True,
    sqlite_where=listings.c.state == "running",
    postgresql_where=listings.c.state == "running",
)

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

wholes = sa.Table(
    "wholes",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("source_id", sa.Text, nullable=False),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("database_name", sa.Text, nullable=False),
    sa.Column("collection_name", sa.Text, nullable=False),
    sa.Column("place_type", sa.Text, nullable=False),
    sa.Column("ref", sa.JSON, nullable=False),
    # The newest listing when it was asked for: one that began later answers.
    sa.Column("after_listing", sa.Integer, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("finished_at", Time),
)
sa.Index("ix_wholes_source", wholes.c.source_id, wholes.c.created_at)
sa.Index("ix_wholes_tenant", wholes.c.tenant, wholes.c.created_at)

credentials = sa.Table(
    "credentials",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("access_key_hint", sa.Text, nullable=False),
    sa.Column("encrypted", sa.LargeBinary, nullable=False),
    sa.Column("created_at", Time, nullable=False),
)
sa.Index("ix_credentials_tenant", credentials.c.tenant)

tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("sha256", sa.Text, nullable=False, unique=True),
    sa.Column("hint", sa.Text, nullable=False),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False, server_default=""),
    sa.Column("created_at", Time, nullable=False),
    sa.Column("revoked_at", Time),
    # What a member may read of sources that say who may (core.rights); null: nothing of those.
    sa.Column("groups", sa.JSON),
    sa.CheckConstraint("role IN ('owner', 'member')", name="ck_tokens_role"),
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("at", Time, nullable=False),
    sa.Column("tenant", sa.Text),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("door", sa.Text, nullable=False),
    sa.Column("address", sa.Text),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
)
sa.Index("ix_audit_at", audit.c.at)
sa.Index("ix_audit_tenant", audit.c.tenant, audit.c.id)

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
