"""What objects carry besides their bytes stands beside the documents that were made of them."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("documents", sa.Column("carried", sa.JSON(), nullable=False, server_default="{}"))


def downgrade() -> None:
    op.drop_column("documents", "carried")
