"""A source has a place: its type among the identity, its settings together in the configuration."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_IDENTITY = [
    "endpoint_url",
    "bucket_name",
    "path_prefix",
    "tenant",
    "database_name",
    "collection_name",
]
_PLACE = (
    "type",
    "bucket_name",
    "path_prefix",
    "region",
    "endpoint_url",
    "addressing_style",
    "credentials",
    "requester_pays",
    "expected_bucket_owner",
    "queue_url",
)
_SOURCES = sa.table(
    "sources",
    sa.column("id", sa.Text),
    sa.column("place_type", sa.Text),
    sa.column("config", sa.JSON),
)


def upgrade() -> None:
    op.add_column(
        "sources", sa.Column("place_type", sa.Text(), nullable=False, server_default="s3")
    )
    connection = op.get_bind()
    for row in connection.execute(sa.select(_SOURCES.c.id, _SOURCES.c.config)).all():
        config = nested(row.config)
        connection.execute(
            _SOURCES.update()
            .where(_SOURCES.c.id == row.id)
            .values(config=config, place_type=config["place"]["type"])
        )
    op.drop_index("uq_sources_identity", table_name="sources")
    op.create_index("uq_sources_identity", "sources", ["place_type", *_IDENTITY], unique=True)


def downgrade() -> None:
    connection = op.get_bind()
    for row in connection.execute(sa.select(_SOURCES.c.id, _SOURCES.c.config)).all():
        place = dict(row.config["place"])
        if place["type"] == "file_upload":
            place["bucket_name"] = "file_upload"
        config = {key: value for key, value in row.config.items() if key != "place"}
        connection.execute(
            _SOURCES.update().where(_SOURCES.c.id == row.id).values(config={**config, **place})
        )
    op.drop_index("uq_sources_identity", table_name="sources")
    op.create_index("uq_sources_identity", "sources", _IDENTITY, unique=True)
    op.drop_column("sources", "place_type")


def nested(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with the settings of its place under ``place``."""
    common = {key: value for key, value in config.items() if key not in _PLACE}
    if config.get("type", "s3") == "file_upload":
        return {**common, "place": {"type": "file_upload"}}
    place = {key: config[key] for key in _PLACE if key in config}
    return {**common, "place": {"type": "s3", **place}}
