"""A listing may be made of an inventory report."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("listings", sa.Column("report", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("listings", "report")
