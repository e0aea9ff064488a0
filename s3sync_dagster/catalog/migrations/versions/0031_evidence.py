"""A removal that waits is evidence only while nothing newer was told of its object.

What waits from before says nothing of that: it asks the bucket, and its evidence is found anew.
Documents that a mode has kept, although the sidecar that asked for them is gone, are told apart.
"""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("invocations", sa.Column("told_count", sa.Integer()))
    op.execute(
        "UPDATE documents SET owner = 'kept:' || substr(owner, 9) "
        "WHERE owner LIKE 'sidecar:%' AND phase <> 'removing' AND NOT EXISTS (SELECT 1 "
        "FROM sidecars WHERE sidecars.source_id = documents.source_id "
        "AND 'sidecar:' || CAST(sidecars.sidecar_key AS TEXT) = documents.owner)"
    )


def downgrade() -> None:
    op.execute(
        "UPDATE documents SET owner = 'sidecar:' || substr(owner, 6) WHERE owner LIKE 'kept:%'"
    )
    op.drop_column("invocations", "told_count")
