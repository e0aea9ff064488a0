"""What waited in a copy that the catalog was put back from, and what was closed since.

A request may have been done after the copy, and records that the catalog has forgotten may name
readers by settings of before.
"""

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "invocations",
        sa.Column("restored", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.add_column(
        "sources",
        sa.Column("closed_unseen", sa.Boolean(), server_default=sa.false(), nullable=False),
    )


def downgrade() -> None:
    op.drop_column("sources", "closed_unseen")
    op.drop_column("invocations", "restored")
