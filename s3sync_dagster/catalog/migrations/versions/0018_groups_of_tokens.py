"""Tokens carry groups: what a member may read of sources that say who may."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tokens", sa.Column("groups", sa.JSON))


def downgrade() -> None:
    op.drop_column("tokens", "groups")
