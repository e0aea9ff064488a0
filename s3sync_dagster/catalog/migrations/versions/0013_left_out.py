"""What a listing has no room for is counted."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "listings", sa.Column("left_out", sa.Integer(), nullable=False, server_default="0")
    )


def downgrade() -> None:
    op.drop_column("listings", "left_out")
