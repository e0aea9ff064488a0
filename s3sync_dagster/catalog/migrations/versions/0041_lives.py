"""A row for each life of a source that ended, in place of what 0039 and 0040 added.

No program that was ever released asks for these: older ones go on beside it.
"""

import sqlalchemy as sa
from alembic import op

from s3sync_dagster.catalog.key_text import KeyText

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None

LIVES = sa.table(
    "lives",
    sa.column("source_id"),
    sa.column("ended_at"),
    sa.column("kept"),
    sa.column("places", sa.JSON()),
    sa.column("bucket_name"),
    sa.column("path_prefix"),
)
DELETED = sa.table(
    "deleted_sources",
    sa.column("id"),
    sa.column("keeps_records", sa.Boolean()),
    sa.column("deleted_at"),
    sa.column("was", sa.JSON(none_as_null=True)),
)
EARLIER = sa.table(
    "earlier_places",
    sa.column("source_id"),
    sa.column("ended_at"),
    sa.column("were", sa.JSON()),
)


def upgrade() -> None:
    op.create_table(
        "lives",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=False),
        sa.Column("kept", sa.Boolean(), nullable=False),
        sa.Column("places", sa.JSON(), nullable=False),
        sa.Column("bucket_name", sa.Text(), nullable=False),
        sa.Column("path_prefix", KeyText(), nullable=False),
        sa.Column("chroma", sa.Text()),
        sa.Column("name", sa.Text()),
        sa.Column("moved_to", sa.Text()),
        sa.Column("deleted", sa.Boolean()),
    )
    op.create_index("ix_lives_source", "lives", ["source_id"])
    tx = op.get_bind()
    ended = [
        {"source_id": row.source_id, "ended_at": row.ended_at, "kept": False, **was}
        for row in tx.execute(sa.select(EARLIER))
        for was in row.were
    ]
    ended += [
        {"source_id": row.id, "ended_at": row.deleted_at, "kept": row.keeps_records, **row.was}
        for row in tx.execute(sa.select(DELETED))
        if row.was is not None
    ]
    if ended:
        tx.execute(LIVES.insert(), ended)
    op.drop_table("earlier_places")
    op.drop_column("deleted_sources", "was")


def downgrade() -> None:
    op.add_column("deleted_sources", sa.Column("was", sa.JSON()))
    op.create_table(
        "earlier_places",
        sa.Column("source_id", sa.Text(), primary_key=True),
        sa.Column("ended_at", sa.Double(), nullable=False),
        sa.Column("were", sa.JSON(), nullable=False),
    )
    op.drop_index("ix_lives_source", "lives")
    op.drop_table("lives")
