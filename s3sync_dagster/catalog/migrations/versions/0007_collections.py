"""Identities: Chroma's id of a collection, and a source that code declares to be another one.

And an order to reindex, which travels with the work.

What was written before is believed to be in the collection that is met first.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sources", sa.Column("wanted", sa.JSON()))
    op.add_column(
        "invocations", sa.Column("reindex", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.add_column("documents", sa.Column("collection_id", sa.Text()))
    op.create_table(
        "collections",
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("database_name", sa.Text(), nullable=False),
        sa.Column("collection_name", sa.Text(), nullable=False),
        sa.Column("collection_id", sa.Text()),
        sa.Column("checked_document", sa.Integer(), server_default="0", nullable=False),
        sa.Column("checked_record", sa.Integer(), server_default="0", nullable=False),
        sa.Column("checked_at", sa.Double(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint(
            "source_id", "tenant", "database_name", "collection_name", name="pk_collections"
        ),
    )
    op.execute(
        "INSERT INTO collections (source_id, tenant, database_name, collection_name) "
        "SELECT DISTINCT source_id, tenant, database_name, collection_name FROM documents"
    )


def downgrade() -> None:
    op.drop_table("collections")
    op.drop_column("documents", "collection_id")
    op.drop_column("invocations", "reindex")
    op.drop_column("sources", "wanted")
