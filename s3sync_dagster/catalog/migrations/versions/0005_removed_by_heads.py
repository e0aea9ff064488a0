"""Removals that HEADs alone told are counted across batches."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "sources", sa.Column("removed_by_heads", sa.Integer(), nullable=False, server_default="0")
    )
    op.add_column(
        "sources",
        sa.Column("heads_counted_since", sa.Double(), nullable=False, server_default="0"),
    )


def downgrade() -> None:
    op.drop_column("sources", "heads_counted_since")
    op.drop_column("sources", "removed_by_heads")
