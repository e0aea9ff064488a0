"""first"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "batches",
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("lease_until", sa.Double(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("yielded_at", sa.Double(), nullable=True),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.CheckConstraint(
            "state IN ('reserved', 'running', 'done', 'released')", name="ck_batches_state"
        ),
        sa.PrimaryKeyConstraint("token", name=op.f("pk_batches")),
    )
    op.create_index(
        "ix_batches_live",
        "batches",
        ["source_id"],
        unique=False,
        sqlite_where=sa.text("state IN ('reserved', 'running')"),
        postgresql_where=sa.text("state IN ('reserved', 'running')"),
    )
    op.create_table(
        "credentials",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("access_key_hint", sa.Text(), nullable=False),
        sa.Column("encrypted", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credentials")),
    )
    op.create_index("ix_credentials_tenant", "credentials", ["tenant"], unique=False)
    op.create_table(
        "documents",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column(
            "object_key",
            sa.Text().with_variant(sa.TEXT(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("database_name", sa.Text(), nullable=False),
        sa.Column("collection_name", sa.Text(), nullable=False),
        sa.Column("document_id", sa.Text(), nullable=False),
        sa.Column("custom_id", sa.Text(), nullable=True),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("etag", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.Text(), nullable=True),
        sa.Column("chunks", sa.Integer(), server_default="0", nullable=False),
        sa.Column("high_water", sa.Integer(), server_default="0", nullable=False),
        sa.Column("digests", sa.LargeBinary(), nullable=False),
        sa.Column("metadata_keys", sa.JSON(), nullable=False),
        sa.Column("batch_token", sa.Text(), nullable=True),
        sa.Column("text_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("pages", sa.Integer(), server_default="0", nullable=False),
        sa.Column("indexed_at", sa.Double(), nullable=True),
        sa.CheckConstraint(
            "phase <> 'clean' OR (etag IS NOT NULL AND fingerprint IS NOT NULL AND batch_token IS NULL)",
            name="ck_documents_clean",
        ),
        sa.CheckConstraint("phase IN ('writing', 'clean', 'removing')", name="ck_documents_phase"),
        sa.CheckConstraint("chunks <= high_water", name="ck_documents_high_water"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_documents")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_documents_batch",
        "documents",
        ["batch_token"],
        unique=False,
        sqlite_where=sa.text("batch_token IS NOT NULL"),
        postgresql_where=sa.text("batch_token IS NOT NULL"),
    )
    op.create_index("ix_documents_source", "documents", ["source_id", "object_key"], unique=False)
    op.create_index(
        "ix_documents_unclean",
        "documents",
        ["source_id"],
        unique=False,
        sqlite_where=sa.text("phase != 'clean'"),
        postgresql_where=sa.text("phase != 'clean'"),
    )
    op.create_index(
        "uq_documents_object",
        "documents",
        ["source_id", "object_key", "tenant", "database_name", "collection_name"],
        unique=True,
        sqlite_where=sa.text("phase != 'removing'"),
        postgresql_where=sa.text("phase != 'removing'"),
    )
    op.create_index(
        "uq_documents_record_ids",
        "documents",
        ["tenant", "database_name", "collection_name", "document_id"],
        unique=True,
    )
    op.create_table(
        "invocations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column(
            "object_key",
            sa.Text().with_variant(sa.TEXT(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("database_name", sa.Text(), nullable=False),
        sa.Column("collection_name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("automatic", sa.Boolean(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("target_collection_name", sa.Text(), nullable=True),
        sa.Column("custom_id", sa.Text(), nullable=True),
        sa.Column("metadata", sa.JSON(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("force", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("deaths", sa.Integer(), server_default="0", nullable=False),
        sa.Column("deaths_alone", sa.Integer(), server_default="0", nullable=False),
        sa.Column("silent_deaths", sa.Integer(), server_default="0", nullable=False),
        sa.Column("begun", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("next_attempt_at", sa.Double(), server_default="0", nullable=False),
        sa.Column("batch_token", sa.Text(), nullable=True),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=True),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.CheckConstraint(
            "(status = 'processing') = (batch_token IS NOT NULL)", name="ck_invocations_leased"
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'processing', 'complete', 'failed', 'cancelled')",
            name="ck_invocations_status",
        ),
        sa.CheckConstraint(
            "status NOT IN ('complete', 'failed', 'cancelled') OR finished_at IS NOT NULL",
            name="ck_invocations_finished",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invocations")),
    )
    op.create_index(
        "ix_invocations_batch",
        "invocations",
        ["batch_token"],
        unique=False,
        sqlite_where=sa.text("batch_token IS NOT NULL"),
        postgresql_where=sa.text("batch_token IS NOT NULL"),
    )
    op.create_index(
        "ix_invocations_key", "invocations", ["source_id", "object_key", "created_at"], unique=False
    )
    op.create_index(
        "ix_invocations_live",
        "invocations",
        ["source_id", "object_key"],
        unique=False,
        sqlite_where=sa.text("status IN ('pending', 'processing')"),
        postgresql_where=sa.text("status IN ('pending', 'processing')"),
    )
    op.create_index(
        "ix_invocations_pending",
        "invocations",
        ["source_id", "priority", "created_at"],
        unique=False,
        sqlite_where=sa.text("status = 'pending'"),
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_index(
        "ix_invocations_source_created", "invocations", ["source_id", "created_at"], unique=False
    )
    op.create_index(
        "ix_invocations_tenant_created", "invocations", ["tenant", "created_at"], unique=False
    )
    op.create_index(
        "ix_invocations_tenant_status",
        "invocations",
        ["tenant", "status", "created_at"],
        unique=False,
    )
    op.create_index(
        "uq_invocations_coalesce",
        "invocations",
        ["source_id", "object_key"],
        unique=True,
        sqlite_where=sa.text("status = 'pending' AND automatic AND owner IS NULL"),
        postgresql_where=sa.text("status = 'pending' AND automatic AND owner IS NULL"),
    )
    op.create_table(
        "listings",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column(
            "cursor", sa.Text().with_variant(sa.TEXT(collation="C"), "postgresql"), nullable=True
        ),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.Double(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.Column("listed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("new", sa.Integer(), server_default="0", nullable=False),
        sa.Column("changed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("selected", sa.Integer(), server_default="0", nullable=False),
        sa.Column("gone", sa.Integer(), server_default="0", nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state IN ('running', 'complete', 'failed', 'blocked', 'approved')",
            name="ck_listings_state",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_listings")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_listings_source", "listings", ["source_id", "id"], unique=False)
    op.create_index(
        "uq_listings_running",
        "listings",
        ["source_id"],
        unique=True,
        sqlite_where=sa.text("state = 'running'"),
        postgresql_where=sa.text("state = 'running'"),
    )
    op.create_table(
        "objects",
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column(
            "object_key",
            sa.Text().with_variant(sa.TEXT(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("partition_key", sa.Text(), nullable=False),
        sa.Column("etag", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("last_modified", sa.Double(), nullable=True),
        sa.Column("version_id", sa.Text(), nullable=True),
        sa.Column("sequencer", sa.Text(), nullable=True),
        sa.Column("storage_class", sa.Text(), server_default="STANDARD", nullable=False),
        sa.Column("missed_listing_id", sa.Integer(), server_default="0", nullable=False),
        sa.Column("seen_at", sa.Double(), nullable=False),
        sa.Column("gone", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("skip_reason", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("outcome_etag", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("retry_class", sa.Text(), nullable=True),
        sa.Column("next_retry_at", sa.Double(), nullable=True),
        sa.Column("partition_added", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.CheckConstraint(
            "outcome IN ('indexed', 'skipped', 'failed')", name="ck_objects_outcome"
        ),
        sa.PrimaryKeyConstraint("source_id", "object_key", name=op.f("pk_objects")),
    )
    op.create_index(
        "ix_objects_gone",
        "objects",
        ["source_id", "object_key"],
        unique=False,
        sqlite_where=sa.text("gone"),
        postgresql_where=sa.text("gone"),
    )
    op.create_index(
        "ix_objects_left_out",
        "objects",
        ["source_id", "object_key"],
        unique=False,
        sqlite_where=sa.text("skip_reason IS NOT NULL"),
        postgresql_where=sa.text("skip_reason IS NOT NULL"),
    )
    op.create_index(
        "ix_objects_missed",
        "objects",
        ["source_id", "object_key"],
        unique=False,
        sqlite_where=sa.text("missed_listing_id > 0"),
        postgresql_where=sa.text("missed_listing_id > 0"),
    )
    op.create_index(
        "ix_objects_outcome", "objects", ["source_id", "outcome", "reason"], unique=False
    )
    op.create_index("uq_objects_partition", "objects", ["source_id", "partition_key"], unique=True)
    op.create_table(
        "sidecars",
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column(
            "sidecar_key",
            sa.Text().with_variant(sa.TEXT(collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column(
            "path", sa.Text().with_variant(sa.TEXT(collation="C"), "postgresql"), nullable=False
        ),
        sa.Column("custom_id", sa.Text(), nullable=False),
        sa.Column("target_collection_name", sa.Text(), nullable=True),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("etag", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("source_id", "sidecar_key", name=op.f("pk_sidecars")),
    )
    op.create_index("ix_sidecars_path", "sidecars", ["source_id", "path"], unique=False)
    op.create_table(
        "sources",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("database_name", sa.Text(), nullable=False),
        sa.Column("collection_name", sa.Text(), nullable=False),
        sa.Column("endpoint_url", sa.Text(), server_default="", nullable=False),
        sa.Column("bucket_name", sa.Text(), nullable=False),
        sa.Column(
            "path_prefix",
            sa.Text().with_variant(sa.TEXT(collation="C"), "postgresql"),
            server_default="",
            nullable=False,
        ),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("paused", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("deleting", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.Column("list_due_at", sa.Double(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sources")),
        sa.UniqueConstraint("name", name=op.f("uq_sources_name")),
    )
    op.create_index("ix_sources_tenant", "sources", ["tenant", "created_at"], unique=False)
    op.create_index(
        "uq_sources_identity",
        "sources",
        [
            "endpoint_url",
            "bucket_name",
            "path_prefix",
            "tenant",
            "database_name",
            "collection_name",
        ],
        unique=True,
    )
    op.create_table(
        "tokens",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("revoked_at", sa.Double(), nullable=True),
        sa.CheckConstraint("role IN ('owner', 'member')", name="ck_tokens_role"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
        sa.UniqueConstraint("sha256", name=op.f("uq_tokens_sha256")),
    )


def downgrade() -> None:
    op.drop_table("tokens")
    op.drop_index("uq_sources_identity", table_name="sources")
    op.drop_index("ix_sources_tenant", table_name="sources")
    op.drop_table("sources")
    op.drop_index("ix_sidecars_path", table_name="sidecars")
    op.drop_table("sidecars")
    op.drop_index("uq_objects_partition", table_name="objects")
    op.drop_index("ix_objects_outcome", table_name="objects")
    op.drop_index(
        "ix_objects_missed",
        table_name="objects",
        sqlite_where=sa.text("missed_listing_id > 0"),
        postgresql_where=sa.text("missed_listing_id > 0"),
    )
    op.drop_index(
        "ix_objects_left_out",
        table_name="objects",
        sqlite_where=sa.text("skip_reason IS NOT NULL"),
        postgresql_where=sa.text("skip_reason IS NOT NULL"),
    )
    op.drop_index(
        "ix_objects_gone",
        table_name="objects",
        sqlite_where=sa.text("gone"),
        postgresql_where=sa.text("gone"),
    )
    op.drop_table("objects")
    op.drop_index(
        "uq_listings_running",
        table_name="listings",
        sqlite_where=sa.text("state = 'running'"),
        postgresql_where=sa.text("state = 'running'"),
    )
    op.drop_index("ix_listings_source", table_name="listings")
    op.drop_table("listings")
    op.drop_index(
        "uq_invocations_coalesce",
        table_name="invocations",
        sqlite_where=sa.text("status = 'pending' AND automatic AND owner IS NULL"),
        postgresql_where=sa.text("status = 'pending' AND automatic AND owner IS NULL"),
    )
    op.drop_index("ix_invocations_tenant_status", table_name="invocations")
    op.drop_index("ix_invocations_tenant_created", table_name="invocations")
    op.drop_index("ix_invocations_source_created", table_name="invocations")
    op.drop_index(
        "ix_invocations_pending",
        table_name="invocations",
        sqlite_where=sa.text("status = 'pending'"),
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.drop_index(
        "ix_invocations_live",
        table_name="invocations",
        sqlite_where=sa.text("status IN ('pending', 'processing')"),
        postgresql_where=sa.text("status IN ('pending', 'processing')"),
    )
    op.drop_index("ix_invocations_key", table_name="invocations")
    op.drop_index(
        "ix_invocations_batch",
        table_name="invocations",
        sqlite_where=sa.text("batch_token IS NOT NULL"),
        postgresql_where=sa.text("batch_token IS NOT NULL"),
    )
    op.drop_table("invocations")
    op.drop_index("uq_documents_record_ids", table_name="documents")
    op.drop_index(
        "uq_documents_object",
        table_name="documents",
        sqlite_where=sa.text("phase != 'removing'"),
        postgresql_where=sa.text("phase != 'removing'"),
    )
    op.drop_index(
        "ix_documents_unclean",
        table_name="documents",
        sqlite_where=sa.text("phase != 'clean'"),
        postgresql_where=sa.text("phase != 'clean'"),
    )
    op.drop_index(
        "ix_documents_batch",
        table_name="documents",
        sqlite_where=sa.text("batch_token IS NOT NULL"),
        postgresql_where=sa.text("batch_token IS NOT NULL"),
    )
    op.drop_index("ix_documents_source", table_name="documents")
    op.drop_table("documents")
    op.drop_index("ix_credentials_tenant", table_name="credentials")
    op.drop_table("credentials")
    op.drop_index(
        "ix_batches_live",
        table_name="batches",
        sqlite_where=sa.text("state IN ('reserved', 'running')"),
        postgresql_where=sa.text("state IN ('reserved', 'running')"),
    )
    op.drop_table("batches")
