"""A source that was moved to another address stands until its successor is whole."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sources", sa.Column("moved_to", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("sources", "moved_to")
