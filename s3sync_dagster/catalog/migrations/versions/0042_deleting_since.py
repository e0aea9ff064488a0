"""Since when records that no document has are deleted in a collection: who did may have died."""

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("collections", sa.Column("deleting_since", sa.Double()))


def downgrade() -> None:
    op.drop_column("collections", "deleting_since")
