"""Sources on the wire of the Sync API: what creates one, what is shown of it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import (
    ConfigDict,
    Field,
    SecretStr,
    create_model,
    model_validator,
)

from s3sync_dagster.api.wire import Answer, Moment, Name, Payload, Text, union_by_key
from s3sync_dagster.api.wire_places import place_payload, place_shown, wire_types
from s3sync_dagster.api.wire_settings import settings_group, settings_payload
from s3sync_dagster.model.source import AutoSync
from s3sync_dagster.setting import Door

_CONTRACT = ("s3", "github", "web_scrape", "file_upload")
WIRE_TYPES = wire_types()
SOURCE_TYPES = tuple(dict.fromkeys((*_CONTRACT, *WIRE_TYPES)))
if TYPE_CHECKING:
    SourceTypeFilter = str
else:
    SourceTypeFilter = Literal[SOURCE_TYPES]
OrderBy = Literal["ASC", "DESC"]
Secret = Annotated[SecretStr, Field(min_length=1, max_length=4096)]


class Task(Payload):
    """What an embedding is for."""

    task_name: Name
    document_prompt: Text | None = None
    query_prompt: Text | None = None


class DenseModel(Payload):
    """The dense embedding model. Any model of this server, not only the one of the contract."""

    model: Name
    task: Task | None = None


class SparseModel(Payload):
    """The sparse embedding model and where its vectors stand."""

    key: Name | None = None
    model: Literal["Chroma/BM25", "prithivida/Splade_PP_en_v1"] | None = None


class Embedding(Payload):
    """Which models make the vectors."""

    dense: DenseModel | None = None
    sparse: SparseModel | None = None


class Chunking(settings_group("chunking")):
    """How documents are cut."""

    type: Literal["tree_sitter", "lines"]

    @model_validator(mode="after")
    def _lines_alone(self) -> Self:
        if self.type == "tree_sitter" and self.max_lines is not None:
            raise ValueError("takes max_lines with type 'lines' only")
        return self


class S3Fields(settings_payload(Door.POST)):
    """The ``s3`` variant of a payload."""

    model_config = ConfigDict(title="S3SourcePayload")

    bucket_name: Name
    region: Text = Field(description="Empty: found by itself where possible.")
    collection_name: Name
    aws_credential_id: Annotated[int, Field(strict=True, ge=-(2**31), le=2**31 - 1)] | None = None
    aws_access_key_id: Secret | None = None
    aws_secret_access_key: Secret | None = None
    aws_session_token: Secret | None = None
    path_prefix: Text | None = None
    auto_sync: AutoSync | None = None
    trigger_mode: AutoSync | None = Field(default=None, description="Older name of `auto_sync`.")

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        pair = (self.aws_access_key_id, self.aws_secret_access_key)
        if (pair[0] is None) != (pair[1] is None):
            raise ValueError("aws_access_key_id and aws_secret_access_key have to come together")
        if pair[0] is not None and self.aws_credential_id is not None:
            raise ValueError("aws_credential_id and an inline pair of keys exclude each other")
        if self.aws_session_token is not None and pair[0] is None:
            raise ValueError("aws_session_token needs the pair of keys that it belongs to")
        if self.trigger_mode and self.auto_sync and self.trigger_mode != self.auto_sync:
            raise ValueError("auto_sync and its older name trigger_mode contradict each other")
        return self


class AnyFields(Payload):
    """The payload of a source type that this server does not create."""

    model_config = ConfigDict(extra="ignore")


def _one_of(schema: dict[str, Any]) -> None:
    union_by_key(schema, SOURCE_TYPES, name="source")


def _union(models: Mapping[str, Any], **more: Any) -> type[Any]:
    """Return the base of a model with a field for each source type, of which one is there."""
    fields: Any = {tag: (kind | None, Field(default=None, **more)) for tag, kind in models.items()}
    return create_model("SourceTypes", **fields)


VARIANTS: Mapping[str, Any] = {
    **dict.fromkeys(_CONTRACT, AnyFields),
    "s3": S3Fields,
    **{tag: place_payload(tag, kind) for tag, kind in WIRE_TYPES.items()},
}
"""The variants of a payload that creates a source, by source type."""


class CreateSource(_union(VARIANTS), Payload):
    """Body of ``POST /api/v1/sources``: one source type by its key, and what all types share."""

    model_config = ConfigDict(title="CreateSourcePayload", json_schema_extra=_one_of)

    database_name: Name
    embedding: Embedding | None = None
    chunking: Chunking | None = None
    embedding_model: DenseModel | Name | None = Field(
        default=None, description="Older form of `embedding.dense`."
    )

    @model_validator(mode="after")
    def _exactly_one_type(self) -> Self:
        given = [name for name in SOURCE_TYPES if getattr(self, name) is not None]
        if len(given) != 1:
            others = ", ".join(SOURCE_TYPES[1:])
            raise ValueError(f"needs exactly one source type as a key: 's3' (others: {others})")
        return self

    @property
    def source_type(self) -> str:
        """The type's key."""
        return next(name for name in SOURCE_TYPES if getattr(self, name) is not None)


class SourceCreated(Answer):
    """Answer to the creation of a source."""

    model_config = ConfigDict(title="CreateSourceResponse")

    source_id: UUID


class S3Shown(Answer):
    """The ``s3`` variant of a source that is shown; secrets are not among its fields."""

    model_config = ConfigDict(title="S3Source")

    bucket_name: str
    region: str
    collection_name: str
    aws_credential_id: int | None
    path_prefix: str | None
    auto_sync: AutoSync


class FileUploadShown(Answer):
    """The ``file_upload`` variant: it has no fields."""

    model_config = ConfigDict(title="FileUploadSource")


class TaskShown(Answer):
    """What an embedding is for."""

    task_name: str
    document_prompt: str | None = None
    query_prompt: str | None = None


class DenseShown(Answer):
    """The model that makes the dense vectors, by its own name."""

    model_config = ConfigDict(title="DenseEmbeddingModel")

    model: str
    task: TaskShown | None = None


class SparseShown(Answer):
    """The model that makes the sparse vectors."""

    key: str
    model: str


class EmbeddingShown(Answer):
    """Which models make the vectors."""

    model_config = ConfigDict(title="SourceEmbeddingConfig")

    dense: DenseShown
    sparse: SparseShown | None = None


class ChunkingShown(Answer):
    """How documents are cut, defaults filled in."""

    model_config = ConfigDict(title="SourceChunkingConfig")

    type: Literal["tree_sitter", "lines"]
    max_size_bytes: int
    max_lines: int | None = Field(default=None, exclude_if=lambda value: value is None)


SHOWN = {
    "s3": S3Shown,
    "file_upload": FileUploadShown,
    **{tag: place_shown(tag, kind) for tag, kind in WIRE_TYPES.items()},
}
"""The variants of a source that is shown, by source type."""


def _shown_one_of(schema: dict[str, Any]) -> None:
    union_by_key(schema, tuple(SHOWN), name="shown")


class SourceShown(_union(SHOWN, exclude_if=lambda value: value is None), Answer):
    """A source, its type as a key."""

    model_config = ConfigDict(title="Source", json_schema_extra=_shown_one_of)

    id: UUID
    database_name: str
    embedding_model: DenseShown
    chunking: ChunkingShown
    embedding: EmbeddingShown
    created_at: Moment
