"""Which server answered for a source that names none."""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sources", sa.Column("asked_server", sa.Text()))


def downgrade() -> None:
    op.drop_column("sources", "asked_server")
