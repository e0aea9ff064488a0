"""A source's settings as people write them: in Python, in YAML, shown in the UI."""

import uuid
from dataclasses import fields as dataclass_fields
from typing import Any, Literal, TypeVar

import pydantic
from pydantic import Field

from s3sync_dagster.core.keys import (
    validate_collection_name,
    validate_id_prefix,
    validate_source_name,
)
from s3sync_dagster.core.selection import validate_selection
from s3sync_dagster.model.document import MetadataValue
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.source import (
    AutoSync,
    ChunkingConfig,
    CredentialsConfig,
    DeleteMode,
    EmbeddingConfig,
    ExtractionConfig,
    Source,
)

_NAMESPACE = uuid.UUID("5b9c4a52-6a4e-4a4c-8e0e-3f1f6b2f9f10")


class SourceFields(pydantic.BaseModel):
    """The settings of a source; secrets are given by the names of environment variables."""

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
    extraction: dict[str, Any] = Field(
        default_factory=dict,
        description="engines (suffix to engine), ocr, ocr_languages, boilerplate, vision_url, "
        "vision_model, vision_api_key_env.",
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
    owners: list[str] = Field(
        default_factory=list, description="Of the asset in Dagster: e-mail, or team:name."
    )
    group_name: str | None = Field(
        default=None, description="Of the asset in Dagster; the source's name when not set."
    )

    def to_source(self) -> Source:
        """Return the source as a value; its id is the catalog's once it is registered.

        Raises:
            InvalidSetting: a setting breaks its rule; the message names it.
        """
        metadata: dict[str, MetadataValue] = dict(self.metadata)
        source = Source(
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
            chunking=_nested(ChunkingConfig, self.chunking, "chunking"),
            embedding=_nested(EmbeddingConfig, self.embedding, "embedding"),
            extraction=_nested(ExtractionConfig, self.extraction, "extraction"),
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
        validate_source_name(source.name)
        validate_collection_name(source.collection_name)
        validate_id_prefix(source.id_prefix)
        validate_selection(source)
        return source


_Nested = TypeVar("_Nested", ChunkingConfig, EmbeddingConfig, ExtractionConfig)


def _nested(kind: type[_Nested], given: dict[str, Any], field: str) -> _Nested:
    unknown = sorted(set(given) - {one.name for one in dataclass_fields(kind)})
    if unknown:
        raise InvalidSetting(f"{field} has no setting {unknown[0]!r}.")
    return kind(**given)
