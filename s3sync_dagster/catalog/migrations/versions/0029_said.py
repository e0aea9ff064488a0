"""What an owner asked of a document is kept until it can be written."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("documents", sa.Column("said", sa.JSON()))


def downgrade() -> None:
    op.drop_column("documents", "said")
