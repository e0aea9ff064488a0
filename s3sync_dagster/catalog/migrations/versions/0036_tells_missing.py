"""Whether a listing tells what is missing: a site's first crawls name what they have seen."""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("listings", sa.Column("tells_missing", sa.Boolean()))


def downgrade() -> None:
    op.drop_column("listings", "tells_missing")
