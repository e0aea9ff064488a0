"""Uploaded files lie in the catalog, where every worker sees them.

Those of sources that are there already may still lie in the data folder of the host that took
them: until it has brought them here, what is missing here is elsewhere, not gone.
"""

import sqlalchemy as sa
from alembic import op

from s3sync_dagster.catalog.key_text import KeyText

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "upload_files",
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("object_key", KeyText(), nullable=False),
        sa.Column("etag", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("modified_at", sa.Double(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=True),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("source_id", "object_key"),
        sa.UniqueConstraint("body"),
    )
    op.create_table(
        "upload_bytes",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("written_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("body", "place"),
    )
    op.create_table(
        "uploads_elsewhere",
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("source_id"),
    )
    op.execute(
        "INSERT INTO uploads_elsewhere (source_id) "
        "SELECT id FROM sources WHERE place_type = 'file_upload'"
    )


def downgrade() -> None:
    op.drop_table("uploads_elsewhere")
    op.drop_table("upload_bytes")
    op.drop_table("upload_files")
