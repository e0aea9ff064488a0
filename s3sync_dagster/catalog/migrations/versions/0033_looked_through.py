"""How far the deletion of a source has looked through the collections of its database."""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sources", sa.Column("looked_through", sa.Text()))


def downgrade() -> None:
    op.drop_column("sources", "looked_through")
