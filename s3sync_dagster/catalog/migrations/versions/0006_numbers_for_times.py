"""Numbers where clocks told an order; when a service was silent; which sources were deleted."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "objects", sa.Column("told_count", sa.Integer(), server_default="0", nullable=False)
    )
    op.add_column(
        "invocations", sa.Column("number", sa.Integer(), server_default="0", nullable=False)
    )
    op.drop_index("ix_invocations_key", table_name="invocations")
    op.create_index(
        "ix_invocations_key", "invocations", ["source_id", "object_key", "number"], unique=False
    )
    op.add_column("sources", sa.Column("unanswered_at", sa.Double(), nullable=True))
    op.add_column("sources", sa.Column("scouted_at", sa.Double(), nullable=True))
    op.create_table(
        "deleted_sources",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("keeps_records", sa.Boolean(), nullable=False),
        sa.Column("deleted_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_deleted_sources"),
    )


def downgrade() -> None:
    op.drop_table("deleted_sources")
    op.drop_column("sources", "scouted_at")
    op.drop_column("sources", "unanswered_at")
    op.drop_index("ix_invocations_key", table_name="invocations")
    op.create_index(
        "ix_invocations_key", "invocations", ["source_id", "object_key", "created_at"], unique=False
    )
    op.drop_column("invocations", "number")
    op.drop_column("objects", "told_count")
