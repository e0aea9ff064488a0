"""The intent to write a document: asked of the catalog before, made true after."""

from dataclasses import dataclass, field

from s3sync_dagster.core.state import DocumentState, Target
from s3sync_dagster.model.document import Metadata, MetadataValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A document that is about to be written."""

    key: str
    target: Target
    document_id: str
    count: int
    metadata_keys: tuple[str, ...]
    carried: Metadata = field(default_factory=dict[str, MetadataValue])
    """What the object carries besides its bytes."""
    collection_id: str | None = None
    """Chroma's id of the collection that is written to."""
    found: int = 0
    """Records of this document that the collection has already, for one new to the catalog."""
    found_keys: tuple[str, ...] = ()
    """Names of metadata keys on them."""
    found_as: tuple[str, ...] = ()
    """Whose name they bear, where it is not the source's own (``DocumentState.written_as``)."""
    found_etag: str | None = None
    """Of which bytes they are, where they are a whole text that the source's mode keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The answer to an intent: the document as it was, now held by the batch."""

    before: DocumentState
    """State before the claim; a new row is not clean, its high_water is what was found."""
    replaced: DocumentState | None = None
    """The document of the same key under another custom id, now ``removing``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An intent that may not be carried out: mostly the record ids belong to somebody else."""

    message: str
    passes: bool = False
    """True when it is only a matter of time: somebody is clearing these records."""
    reason: str | None = None
    """Stable word where it is not about the record ids, such as ``too_many_objects``."""


def being_cleared(key: str, collection_name: str) -> str:
    """Return the sentence about a document that waits for its record ids."""
    return (
        f"The record ids of {key!r} in collection {collection_name!r} are being cleared; "
        "it comes next."
    )


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
    withheld: str | None = None
    """See ``DocumentState.withheld``."""
