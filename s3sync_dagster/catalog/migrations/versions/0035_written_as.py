"""Whose names the records of a document may bear that was taken over and is not written anew."""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("documents", sa.Column("written_as", sa.JSON()))


def downgrade() -> None:
    op.drop_column("documents", "written_as")
