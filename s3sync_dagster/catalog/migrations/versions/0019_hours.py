"""What each source was like, hour by hour: for charts. It decides nothing."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "hours",
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("hour", sa.Integer(), nullable=False),
        sa.Column("noted_at", sa.Double()),
        sa.Column("states", sa.JSON()),
        sa.Column("failed", sa.JSON()),
        sa.Column("lag_seconds", sa.Double(), nullable=False, server_default="0"),
        sa.Column("complete_invocations", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("failed_invocations", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("texts", sa.BigInteger(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("source_id", "hour", name="pk_hours"),
    )


def downgrade() -> None:
    op.drop_table("hours")
