"""The server that is asked for a source here."""

from s3sync_dagster.core.source_identity import server_name
from s3sync_dagster.model.s3_place import S3Place
from s3sync_dagster.model.source import Source


def server_of(source: Source) -> str:
    """Return the server that is asked for a source here; empty: the one that all know."""
    if not isinstance(source.place, S3Place):
        return source.server
    found: str | None = source.server
    if not found:
        from s3sync_dagster.ports.s3_endpoint import configured_endpoint  # noqa: PLC0415  (botocore)

        found = configured_endpoint(source.place)
    return server_name(found)
