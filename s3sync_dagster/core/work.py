"""What a batch is given and what it gives back: values between the engine and the catalog."""

from dataclasses import dataclass, field
from typing import Literal

from s3sync_dagster.core.state import DocumentState, ObjectState, Outcome, RetryClass, Target
from s3sync_dagster.model.invocation import Invocation, Result


@dataclass(frozen=True, slots=True, kw_only=True)
class SidecarState:
    """What a sidecar asked for when it was read last."""

    sidecar_key: str
    path: str
    custom_id: str
    target_collection_name: str | None
    metadata: dict[str, object]
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkItem:
    """One key of a batch with all that the catalog knows of it."""

    key: str
    invocations: tuple[Invocation, ...]
    object: ObjectState | None
    documents: tuple[DocumentState, ...]
    sidecars: tuple[SidecarState, ...] = ()
    """Sidecars that name this key, the first claim of a collection first."""
    own_sidecar: SidecarState | None = None
    """For a sidecar's own key: what it asked for last time."""

    @property
    def forced(self) -> bool:
        """Whether somebody asked to index again what is unchanged."""
        return any(invocation.force for invocation in self.invocations)


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A document that is about to be written."""

    key: str
    target: Target
    document_id: str
    count: int
    metadata_keys: tuple[str, ...]
    found: int = 0
    """Records of this document that the collection has already, for one new to the catalog."""
    found_keys: tuple[str, ...] = ()
    """Names of metadata keys on them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The answer to an intent: the document as it was, now held by the batch."""

    before: DocumentState
    """State before the claim; a new row is not clean, its high_water is what was found."""
    replaced: DocumentState | None = None
    """The document of the same key under another custom id, now ``removing``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An intent that may not be carried out: the record ids belong to somebody else."""

    message: str
    passes: bool = False
    """True when it is only a matter of time: somebody is clearing these records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentCommit:
    """A document whose every record is acknowledged."""

    id: int
    etag: str
    fingerprint: str
    count: int
    digests: bytes
    metadata_keys: tuple[str, ...]
    text_bytes: int
    pages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOutcome:
    """How a key ended in this batch."""

    key: str
    status: Literal["complete", "failed", "pending"]
    result: Result | None = None
    outcome: Outcome | None = None
    """What the object shows from now on; None with ``pending`` and for what is gone."""
    etag: str | None = None
    """Version that was looked at; None: unknown."""
    size: int | None = None
    version_id: str | None = None
    fingerprint: str | None = None
    reason: str | None = None
    error: str | None = None
    retry_class: RetryClass | None = None
    next_at: float | None = None
    """Next attempt (pending) or next try by a listing (failed)."""
    gone: bool = False
    refused: dict[str, str] = field(default_factory=dict[str, str])
    """Invocation id -> message, for targets that failed alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SidecarChange:
    """What the reading of a sidecar changes."""

    sidecar_key: str
    now: SidecarState | None
    """None: the sidecar is gone or invalid, and asks for nothing any more."""
    before: SidecarState | None
