"""Invocations on the wire of the Sync API (where they are called jobs)."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field, StringConstraints

from s3sync_dagster.api.wire import Answer, Moment, Name, Payload, Text, union_by_key

MAX_KEYS = 10_000
CustomId = Annotated[Text, StringConstraints(max_length=120)]
StatusWord = Literal["pending", "processing", "complete", "failed", "cancelled"]


class GitRef(Payload):
    """A commit or a branch; only for GitHub sources."""

    sha: Text | None = None
    branch: Text | None = None


class CreateInvocation(Payload):
    """Body of ``POST /api/v1/sources/{source_id}/invocations``."""

    model_config = ConfigDict(title="CreateJobPayload")

    object_key: Text | None = Field(
        default=None, description="Full key from the bucket root; required for S3 sources."
    )
    custom_id: CustomId | None = None
    metadata: dict[str, Any] | None = None
    target_collection_name: Name | None = None
    ref_identifier: GitRef | None = None


class InvocationCreated(Answer):
    """Answer to the creation of an invocation."""

    model_config = ConfigDict(title="CreateJobResponse")

    invocation_id: UUID


class Cancelled(Answer):
    """Answer to a cancellation: an empty object."""

    model_config = ConfigDict(title="CancelJobResponse")


class LatestByKeys(Payload):
    """Body of ``latest-by-keys``."""

    model_config = ConfigDict(title="LatestByKeysRequest")

    object_keys: list[Text] = Field(max_length=MAX_KEYS)


class CompleteFields(Answer):
    """When and how long."""

    finished_at: Moment
    duration_ms: int = Field(ge=0, json_schema_extra={"format": "int64"})


class Complete(Answer):
    """Status of an invocation that did its work."""

    complete: CompleteFields


class FailedFields(Answer):
    """Why."""

    error: str


class Failed(Answer):
    """Status of an invocation that could not do its work."""

    failed: FailedFields


JobStatus = Literal["pending", "processing", "cancelled"] | Complete | Failed


class S3JobFields(Answer):
    """What is asked of an S3 source."""

    bucket_name: str
    object_key: str | None = None
    custom_id: str | None = None
    additional_metadata: dict[str, Any] | None = None


class GitRefShown(Answer):
    """A commit or a branch."""

    sha: str | None = Field(default=None, exclude_if=lambda value: value is None)
    branch: str | None = Field(default=None, exclude_if=lambda value: value is None)


class GitHubJobFields(Answer):
    """What is asked of a GitHub source; its file is an extension of ours."""

    git_ref_identifier: GitRefShown
    object_key: str | None = None


class WebJobFields(Answer):
    """What is asked of a site; its page is an extension of ours."""

    object_key: str | None = None


def _one_kind(schema: dict[str, Any]) -> None:
    union_by_key(schema, ("s3", "github", "web_scrape"), name="job")


class JobMetadata(Answer):
    """What an invocation is about."""

    model_config = ConfigDict(title="IndexJobMetadata", json_schema_extra=_one_kind)

    s3: S3JobFields | None = Field(default=None, exclude_if=lambda value: value is None)
    github: GitHubJobFields | None = Field(default=None, exclude_if=lambda value: value is None)
    web_scrape: WebJobFields | None = Field(default=None, exclude_if=lambda value: value is None)
    database_name: str
    collection_name: str


class Job(Answer):
    """An invocation."""

    model_config = ConfigDict(title="Job")

    id: UUID
    status: JobStatus
    metadata: JobMetadata
    created_at: Moment
    source_id: UUID | None = None
