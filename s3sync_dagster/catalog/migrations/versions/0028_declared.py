"""Who declares a source, when that was last seen, and which Chroma the declaration names."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sources", sa.Column("declared", sa.JSON()))


def downgrade() -> None:
    op.drop_column("sources", "declared")
