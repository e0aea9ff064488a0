"""Indexes for what the API lists: a database's invocations, a run's, a source's batches."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_invocations_database_created",
        "invocations",
        ["tenant", "database_name", "created_at"],
        unique=False,
    )
    op.create_index(
        "ix_invocations_run",
        "invocations",
        ["run_id"],
        unique=False,
        sqlite_where=sa.text("run_id IS NOT NULL"),
        postgresql_where=sa.text("run_id IS NOT NULL"),
    )
    op.create_index(
        "ix_batches_source_created", "batches", ["source_id", "created_at"], unique=False
    )


def downgrade() -> None:
    op.drop_index("ix_batches_source_created", table_name="batches")
    op.drop_index("ix_invocations_run", table_name="invocations")
    op.drop_index("ix_invocations_database_created", table_name="invocations")
