"""Where a source that is no more had its records: Chroma may be put back from a copy of before."""

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("deleted_sources", sa.Column("was", sa.JSON()))


def downgrade() -> None:
    op.drop_column("deleted_sources", "was")
