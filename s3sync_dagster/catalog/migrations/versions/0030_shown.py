"""Which objects a blocked listing has shown: an approval ends these alone.

What was blocked before shows nothing, and is approved as such: the next listing shows all anew.
"""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "objects", sa.Column("shown_listing_id", sa.Integer, nullable=False, server_default="0")
    )


def downgrade() -> None:
    op.drop_column("objects", "shown_listing_id")
