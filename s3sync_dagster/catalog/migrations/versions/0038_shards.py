"""A source has an asset for each hundred thousand keys; what Dagster knows so far is in the first.

No row of an object is written to: one without a shard whose partition Dagster knows is in the first.
"""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("objects", sa.Column("shard", sa.Integer()))
    op.create_table(
        "shards",
        sa.Column("source_id", sa.Text(), primary_key=True),
        sa.Column("shard", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("partitions", sa.Integer(), nullable=False),
    )
    op.execute(
        "INSERT INTO shards (source_id, shard, partitions) "
        "SELECT source_id, 1, COUNT(*) FROM objects WHERE partition_added GROUP BY source_id"
    )


def downgrade() -> None:
    op.drop_table("shards")
    op.drop_column("objects", "shard")
