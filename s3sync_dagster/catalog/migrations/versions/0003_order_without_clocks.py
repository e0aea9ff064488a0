"""Order without clocks: pages have numbers, and objects keep the first listing that missed them."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "objects",
        sa.Column("first_missed_listing_id", sa.Integer(), server_default="0", nullable=False),
    )
    op.add_column(
        "objects", sa.Column("told_number", sa.BigInteger(), server_default="0", nullable=False)
    )
    op.add_column("listings", sa.Column("pages", sa.Integer(), server_default="0", nullable=False))
    op.execute(
        "UPDATE objects SET first_missed_listing_id = missed_listing_id WHERE missed_listing_id > 0"
    )


def downgrade() -> None:
    op.drop_column("listings", "pages")
    op.drop_column("objects", "told_number")
    op.drop_column("objects", "first_missed_listing_id")
