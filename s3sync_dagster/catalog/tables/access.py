"""Who may do what, and who did: credentials, tokens, the audit log."""

import sqlalchemy as sa

from s3sync_dagster.catalog.tables.schema import Time, metadata

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
