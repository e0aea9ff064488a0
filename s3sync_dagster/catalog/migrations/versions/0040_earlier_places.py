"""Where a source that was deleted had its records, kept when code declares it once more."""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "earlier_places",
        sa.Column("source_id", sa.Text(), primary_key=True),
        sa.Column("ended_at", sa.Double(), nullable=False),
        sa.Column("were", sa.JSON(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("earlier_places")
