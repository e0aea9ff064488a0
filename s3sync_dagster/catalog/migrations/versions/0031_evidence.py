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
    where = sa.text("substr(owner, 1, 5) = 'kept:'")
    op.create_index(
        "ix_documents_kept",
        "documents",
        ["source_id", "object_key"],
        unique=False,
        sqlite_where=where,
        postgresql_where=where,
    )
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
    op.drop_index("ix_documents_kept", table_name="documents")
    op.drop_column("invocations", "told_count")
