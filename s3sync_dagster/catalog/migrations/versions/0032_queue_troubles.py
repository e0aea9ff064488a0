"""Why the queue of a source cannot be read, for whoever looks at the source."""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sources", sa.Column("queue_trouble", sa.JSON()))


def downgrade() -> None:
    op.drop_column("sources", "queue_trouble")
