"""Two sources in Python: ``dagster dev -f examples/python/definitions.py``.

Chroma is named by S3SYNC_CHROMA_URL, the data folder by S3SYNC_HOME; see docs/dagster.md.
"""

from s3sync_dagster import S3Source, build_definitions

handbook = S3Source(
    name="handbook",
    bucket_name="company-files",
    path_prefix="handbook/",
    collection_name="handbook",
    metadata={"department": "people"},
    owners=["team:people"],
)

tickets = S3Source(
    name="tickets",
    bucket_name="company-tickets",
    collection_name="tickets",
    queue_url="https://sqs.eu-central-1.amazonaws.com/111122223333/ticket-events",
    include_globs=["**/*.md", "**/*.html"],
    access_key_id_env="TICKETS_ACCESS_KEY_ID",  # names of variables: a value would show in the UI
    secret_access_key_env="TICKETS_SECRET_ACCESS_KEY",
)

defs = build_definitions([handbook, tickets])
