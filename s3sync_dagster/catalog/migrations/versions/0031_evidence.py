"""A removal that waits is evidence only while nothing newer was told of its object.

What waits from before says nothing of that: it asks the bucket, and its evidence is found anew.
"""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("invocations", sa.Column("told_count", sa.Integer()))


def downgrade() -> None:
    op.drop_column("invocations", "told_count")
