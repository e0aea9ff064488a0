"""Resources: a source as people configure it, and the parts that runs and sensors work with."""

import uuid
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Literal

import dagster as dg
from pydantic import Field

from s3sync_dagster.model.document import MetadataValue
from s3sync_dagster.model.source import (
    AutoSync,
    ChunkingConfig,
    CredentialsConfig,
    DeleteMode,
    EmbeddingConfig,
    Source,
)
from s3sync_dagster.settings import load_settings
from s3sync_dagster.wiring import Parts, open_parts

_NAMESPACE = uuid.UUID("5b9c4a52-6a4e-4a4c-8e0e-3f1f6b2f9f10")


class S3Source(dg.ConfigurableResource):
    """A bucket and prefix whose objects become searchable records of a Chroma collection.

    Hand it to ``build_source_definitions``. Secrets are given by the *names* of environment
    variables, never by value.
    """

    name: str = Field(description="Letters, digits, underscores; names asset, job and sensor.")
    bucket_name: str = Field(description="The bucket, without s3://.")
    collection_name: str = Field(description="The Chroma collection that is kept in step.")
    path_prefix: str = Field(default="", description="Only keys that begin with this.")
    region: str | None = Field(default=None, description="Found by itself where possible.")
    endpoint_url: str | None = Field(default=None, description="For MinIO and other S3 servers.")
    addressing_style: Literal["auto", "path", "virtual"] = Field(
        default="auto", description="How the bucket stands in the URL."
    )
    tenant: str = Field(default="default_tenant", description="Chroma tenant.")
    database_name: str = Field(default="default_database", description="Chroma database.")
    id_prefix: str = Field(default="", description="Before each record id, at most 56 bytes.")
    metadata: dict[str, Any] = Field(
        default_factory=dict, description="Added to each record: scalars or arrays of one type."
    )
    include_globs: list[str] = Field(
        default_factory=list, description="`**` crosses folders, `*` does not; empty: all."
    )
    exclude_globs: list[str] = Field(default_factory=list, description="Win over include_globs.")
    extensions: list[str] = Field(default_factory=list, description="Such as .md; empty: all.")
    max_size_bytes: int = Field(
        default=200 * 1024 * 1024, description="Larger objects are skipped: too_large."
    )
    document_limit: int | None = Field(
        default=None, description="Take the first so many keys in key order."
    )
    chunking: dict[str, Any] = Field(
        default_factory=dict, description="type tree_sitter or lines, max_size_bytes, max_lines."
    )
    embedding: dict[str, Any] = Field(
        default_factory=dict,
        description="kind minilm, static, openai, chroma-cloud or hash; model, endpoint_url, "
        "api_key_env.",
    )
    auto_sync: Literal["none", "direct", "metadata"] = Field(
        default="direct", description="Who starts work: nobody, listings and events, sidecars."
    )
    queue_url: str | None = Field(default=None, description="SQS queue with the bucket's events.")
    list_interval: int = Field(default=300, description="Seconds between listings; 0: never.")
    mode: Literal["mirror", "append", "keep_deleted"] = Field(
        default="mirror", description="What happens to records of changed and deleted objects."
    )
    on_config_change: Literal["keep", "reindex"] = Field(
        default="keep", description="Whether older documents are indexed again by themselves."
    )
    profile: str | None = Field(default=None, description="AWS profile.")
    access_key_id_env: str | None = Field(default=None, description="Variable with the key id.")
    secret_access_key_env: str | None = Field(default=None, description="Variable: the secret.")
    session_token_env: str | None = Field(default=None, description="Variable: session token.")
    credential_id: int | None = Field(default=None, description="Stored credential's number.")
    role_arn: str | None = Field(default=None, description="Role to assume.")
    external_id: str | None = Field(default=None, description="For the role.")
    requester_pays: bool = Field(default=False, description="Send RequestPayer.")
    expected_bucket_owner: str | None = Field(default=None, description="Account id, checked.")
    adopt: bool = Field(default=False, description="Take over records that others wrote.")

    def to_source(self) -> Source:
        """Return the source as a value; its id is the catalog's once it is registered."""
        metadata: dict[str, MetadataValue] = dict(self.metadata)
        return Source(
            id=str(uuid.uuid5(_NAMESPACE, self.name)),
            name=self.name,
            bucket_name=self.bucket_name,
            collection_name=self.collection_name,
            path_prefix=self.path_prefix,
            region=self.region,
            endpoint_url=self.endpoint_url,
            addressing_style=self.addressing_style,
            tenant=self.tenant,
            database_name=self.database_name,
            id_prefix=self.id_prefix,
            metadata=metadata,
            include_globs=tuple(self.include_globs),
            exclude_globs=tuple(self.exclude_globs),
            extensions=tuple(self.extensions),
            max_size_bytes=self.max_size_bytes,
            document_limit=self.document_limit,
            chunking=ChunkingConfig(**self.chunking),
            embedding=EmbeddingConfig(**self.embedding),
            auto_sync=AutoSync(self.auto_sync),
            queue_url=self.queue_url,
            list_interval_seconds=self.list_interval,
            mode=DeleteMode(self.mode),
            on_config_change=self.on_config_change,
            credentials=CredentialsConfig(
                profile=self.profile,
                access_key_id_env=self.access_key_id_env,
                secret_access_key_env=self.secret_access_key_env,
                session_token_env=self.session_token_env,
                credential_id=self.credential_id,
                role_arn=self.role_arn,
                external_id=self.external_id,
            ),
            requester_pays=self.requester_pays,
            expected_bucket_owner=self.expected_bucket_owner,
            adopt=self.adopt,
        )

    @classmethod
    def of(cls, source: Source) -> "S3Source":
        """Return the resource that shows a source of the catalog."""
        credentials = source.credentials
        return cls(
            name=source.name,
            bucket_name=source.bucket_name,
            collection_name=source.collection_name,
            path_prefix=source.path_prefix,
            region=source.region,
            endpoint_url=source.endpoint_url,
            addressing_style=source.addressing_style,
            tenant=source.tenant,
            database_name=source.database_name,
            id_prefix=source.id_prefix,
            metadata=dict(source.metadata),
            include_globs=list(source.include_globs),
            exclude_globs=list(source.exclude_globs),
            extensions=list(source.extensions),
            max_size_bytes=source.max_size_bytes,
            document_limit=source.document_limit,
            chunking=_given(source.chunking),
            embedding=_given(source.embedding),
            auto_sync=source.auto_sync.value,
            queue_url=source.queue_url,
            list_interval=source.list_interval_seconds,
            mode=source.mode.value,
            on_config_change=source.on_config_change,
            profile=credentials.profile,
            access_key_id_env=credentials.access_key_id_env,
            secret_access_key_env=credentials.secret_access_key_env,
            session_token_env=credentials.session_token_env,
            credential_id=credentials.credential_id,
            role_arn=credentials.role_arn,
            external_id=credentials.external_id,
            requester_pays=source.requester_pays,
            expected_bucket_owner=source.expected_bucket_owner,
            adopt=source.adopt,
        )


def _given(config: ChunkingConfig | EmbeddingConfig) -> dict[str, Any]:
    """Return the fields that differ from the defaults; Dagster's config knows no null here."""
    default = asdict(type(config)())
    return {key: value for key, value in asdict(config).items() if value != default[key]}


class Runtime:
    """The parts of one process, and what a run has to end whatever happens."""

    def __init__(self, parts: Parts, *, hooks: dict[str, Any] | None = None) -> None:
        self.parts = parts
        self.hooks = hooks or {}
        """Fields of ``Engine`` that this process sets: patience, reports, test hooks."""
        self.at_end: list[Any] = []
        """Called in reverse order when the run's resources are torn down."""

    def end(self) -> None:
        """Call what has to happen at the end of a run."""
        while self.at_end:
            self.at_end.pop()()


@dg.resource(description="Catalog, Chroma, models and worker processes of this deployment.")
def runtime_resource(_context: dg.InitResourceContext) -> Iterator[Runtime]:
    """Give a run its parts and close them after it."""
    runtime = Runtime(open_parts(load_settings()))
    try:
        yield runtime
    finally:
        runtime.end()
        runtime.parts.close()
