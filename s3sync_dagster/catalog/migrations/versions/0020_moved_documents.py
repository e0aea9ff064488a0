"""Documents of a source that was moved leave one by one, within what it had then."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

COLUMNS = {
    "moved_documents": sa.Integer(),
    "moved_gone": sa.Integer(),
    "leaving_until": sa.Double(),
}


def upgrade() -> None:
    for name, kind in COLUMNS.items():
        op.add_column("sources", sa.Column(name, kind, nullable=False, server_default="0"))


def downgrade() -> None:
    for name in COLUMNS:
        op.drop_column("sources", name)
