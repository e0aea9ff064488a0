"""What is asked for and done: invocations, batches, listings."""

import sqlalchemy as sa

from s3sync_dagster.catalog.tables.schema import Key, Time, Word, metadata

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
    sa.Column(
        "status",
        Word("pending", "processing", "complete", "failed", "cancelled"),
        nullable=False,
    ),
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
is_live = invocations.c.status.in_(["pending", "processing"])
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
    sa.Column("state", Word("reserved", "running", "done", "released"), nullable=False),
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
    sa.Column(
        "state", Word("running", "complete", "failed", "blocked", "approved"), nullable=False
    ),
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
