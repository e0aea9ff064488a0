"""What the operations beyond the contract are sent and answer (``/s3sync/v1``)."""

from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, Field, StrictBool, StringConstraints, model_validator

from s3sync_dagster.api.wire import Answer, Count, Moment, Name, Payload, Text
from s3sync_dagster.api.wire_settings import settings_payload
from s3sync_dagster.api.wire_source import Chunking, Secret
from s3sync_dagster.engine.hybrid import Ranking
from s3sync_dagster.model.place_types import place_classes
from s3sync_dagster.setting import Door

ObjectWord = Literal["indexed", "pending", "processing", "skipped", "failed"]
MAX_RETRY_KEYS = 10_000


class ListingShown(Answer):
    """One pass over the source's prefix."""

    id: int
    state: str
    listed: int
    new: int
    changed: int
    gone: int = Field(description="Documents that it removed, or would remove where it is blocked.")
    left_out: int = Field(
        description="New objects that were not taken: the tenant has all that it may have."
    )
    started_at: Moment
    finished_at: Moment | None
    error: str | None


class QueueTroubleShown(Answer):
    """Why a queue could not be read when it was asked last."""

    reason: str
    error: str
    since: Moment = Field(description="When it was met first.")


class CountsShown(Answer):
    """Objects by state; the numbers add up to `objects`."""

    objects: int
    indexed: int
    pending: int
    processing: int
    skipped: dict[str, int]
    failed: dict[str, int]
    documents: int
    chunks: int
    text_bytes: int = Field(description="Of those chunks: what models read, and services bill.")
    outdated: int = Field(description="Documents written under an older configuration.")
    leaving: dict[str, int] = Field(
        description="Documents whose objects are gone and that are still in Chroma: `waiting`, or "
        "the reason for which their removal failed."
    )


class ManagedSource(Answer):
    """A source with all its settings, its counts and its newest listing."""

    id: UUID
    name: str
    type: Literal[tuple(place_classes())]  # type: ignore[valid-type]
    origin: str
    paused: bool
    address: str = Field(description="Where its objects are.")
    settings: dict[str, Any] = Field(description="All settings. Never a secret.")
    counts: CountsShown
    listing: ListingShown | None = Field(description="The newest one.")
    blocked_listing: ListingShown | None = Field(
        description="The one whose removals wait for an approval: newer ones may fail or go on."
    )
    listing_error: str | None = Field(
        description="Why the newest listing failed; while one has met nothing yet, the one before."
    )
    queue_trouble: QueueTroubleShown | None = Field(
        description="Why its queue could not be read when it was asked last; null: it was read."
    )
    last_indexed_at: Moment | None
    lag_seconds: float | None = Field(description="Age of the oldest work that waits.")
    created_at: Moment
    dagster_url: str | None


class SourceChange(settings_payload(Door.PATCH)):
    """Settings that may change while a source lives; what is left out stays."""

    chunking: Chunking | None = None
    aws_credential_id: Annotated[int, Field(strict=True, ge=-(2**31), le=2**31 - 1)] | None = None
    aws_access_key_id: Secret | None = None
    aws_secret_access_key: Secret | None = None
    aws_session_token: Secret | None = None

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if (self.aws_access_key_id is None) != (self.aws_secret_access_key is None):
            raise ValueError("aws_access_key_id and aws_secret_access_key have to come together")
        if self.aws_access_key_id is not None and self.aws_credential_id is not None:
            raise ValueError("aws_credential_id and an inline pair of keys exclude each other")
        return self


class Backfill(Answer):
    """A listing that was started now."""

    started: bool


class DryRun(Answer):
    """What a listing would do now. Nothing was changed."""

    complete: bool = Field(description="False: time was up before the end of the prefix.")
    listed: int
    selected: int
    work: int = Field(description="Objects that would be synced.")
    work_bytes: int = Field(description="Their bytes, each read with one GET.")
    work_texts: int = Field(
        description="What they come to, by names and sizes, when they are embedded: rough."
    )
    work_text_bytes: int
    work_tokens: int
    work_price: float | None = Field(
        description="Of those tokens, where S3SYNC_EMBEDDING_PRICES has the model; else null."
    )
    new: int
    changed: int
    retried: int = Field(description="Failed or unfinished before, and due again.")
    unchanged: int
    removed: int = Field(description="Objects whose records would go.")
    needs_approval: bool = Field(description="True when the guard would stop the removals.")
    skipped: dict[str, int]
    failed: dict[str, int] = Field(description="Of those that would not be read again now.")
    work_keys: list[str] = Field(description="The first hundred of those that would be synced.")


class RetryPayload(Payload):
    """Which failed objects are tried again; without keys and reason all."""

    keys: list[Text] | None = Field(default=None, max_length=MAX_RETRY_KEYS)
    reason: Annotated[Text, StringConstraints(max_length=100)] | None = Field(
        default=None, description="Those that failed for it alone."
    )


class Retried(Answer):
    """How many objects are tried again."""

    retried: int


class ApprovePayload(Payload):
    """The listing whose removals are approved: what you saw is what you approve."""

    listing_id: Annotated[int, Field(strict=True, ge=1, le=2**63 - 1)]


class ObjectShown(Answer):
    """One object and what became of it."""

    key: str
    state: ObjectWord
    reason: str | None
    error: str | None
    size: int
    etag: str
    chunks: int
    next_try_at: Moment | None


class ObjectPage(Answer):
    """A page of objects in key order."""

    objects: list[ObjectShown]
    next_after: str | None = Field(description="Give it as `after` for the next page.")


class DocumentShown(Answer):
    """What a collection has of an object."""

    collection_name: str
    document_id: str = Field(description="Record ids are `{document_id}-{0..chunks-1}`.")
    custom_id: str | None
    state: Literal["writing", "clean", "removing"]
    chunks: int
    metadata: dict[str, Any]


class ObjectDetail(Answer):
    """One object with the reasons for what happened to it."""

    object: ObjectShown | None
    decision: list[str] = Field(description="Step by step, why the source takes it or not.")
    documents: list[DocumentShown]


class FailureShown(Answer):
    """An invocation that failed."""

    invocation_id: UUID
    object_key: str
    reason: str
    error: str
    failed_at: Moment


class RunShown(Answer):
    """One batch and the run that did it."""

    run_id: str | None
    status: Literal["reserved", "running", "done", "released"]
    triggers: dict[str, int]
    items: int
    items_processed: int
    items_failed: int
    started_at: Moment
    finished_at: Moment | None
    failures: list[FailureShown] = Field(description="At most 20; items_failed is the true count.")
    dagster_url: str | None


class HistoryShown(Answer):
    """The newest batches and listings of a source."""

    runs: list[RunShown]
    listings: list[ListingShown]


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("is blank: say what to search for")
    return text


SearchWords = Annotated[Text, AfterValidator(_not_blank), Field(json_schema_extra={"minLength": 1})]
"""A question; no ``Name``, whose own limit would hold too."""


class SearchPayload(Payload):
    """A search in one collection."""

    query: SearchWords
    collection_name: Name
    database_name: Name = "default_database"
    limit: Annotated[Count, Field(ge=1, le=100)] = 10
    ranking: Ranking = Field(
        default="hybrid", description="What orders the hits: vectors, words, or both together."
    )
    hybrid: StrictBool | None = Field(
        default=None, description="Older name: true is the ranking `hybrid`, false is `dense`."
    )
    where: dict[str, Any] | None = None
    context: Annotated[Count, Field(le=20)] = Field(
        default=0, description="Chunks before and after each hit that come with it."
    )
    group: StrictBool = Field(
        default=False, description="Hits of one document stand together, the best document first."
    )

    @property
    def wanted(self) -> Ranking:
        """The ranking, by whichever name."""
        if self.hybrid is None:
            return self.ranking
        return "hybrid" if self.hybrid else "dense"


class PlaceShown(Answer):
    """Where a chunk stands."""

    id: str
    document_id: str = Field(description="Hits that have it in common stand in one document.")
    object_key: str | None
    start_line: int | None
    end_line: int | None
    page: str | None


class AroundShown(PlaceShown):
    """A chunk beside one that was found."""

    document: str


class HitShown(AroundShown):
    """A chunk that was found."""

    score: float = Field(description="By which the hits are ordered.")
    dense: float | None = Field(description="1 - cosine distance; null: not among the nearest.")
    words: float | None = Field(description="BM25; null: not among the best by words.")
    reranked: float | None = Field(
        description="How well the reranker finds that it answers, 0 to 1; null: there is none."
    )
    metadata: dict[str, Any]
    copies: list[PlaceShown] = Field(description="Other places with the same text.")
    before: list[AroundShown]
    after: list[AroundShown]


class SearchAnswer(Answer):
    """Chunks, best first."""

    hits: list[HitShown]
    lacks: list[str] = Field(
        default_factory=list,
        description="What was not looked at, for people; empty: the hits are the best there are.",
    )


class CredentialPayload(Payload):
    """An AWS key pair to store."""

    aws_access_key_id: Secret
    aws_secret_access_key: Secret
    aws_session_token: Secret | None = None


class CredentialShown(Answer):
    """A stored key pair: never more than this."""

    id: int
    hint: str
    created_at: Moment
