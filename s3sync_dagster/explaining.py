"""What a source does with an object, and what became of it: for ``why`` at every door."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from s3sync_dagster.catalog import Catalog
from s3sync_dagster.catalog.rights import seen_keys
from s3sync_dagster.catalog.views import ObjectRow
from s3sync_dagster.core.keys import validate_object_key
from s3sync_dagster.core.path_metadata import with_path_metadata
from s3sync_dagster.core.rights import Rights
from s3sync_dagster.core.selection import explain
from s3sync_dagster.core.sidecar_owners import sidecar_claims
from s3sync_dagster.core.state import DocumentPhase, ListingRow, ListingState
from s3sync_dagster.core.vouching import disputed, in_doubt
from s3sync_dagster.model.errors import Conflict
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.model.source import AutoSync, DeleteMode, Source

MOST_METADATA = 300
"""Characters of a sidecar's metadata that are shown."""
UNSEEN = "No listing has seen this key."
UNTOLD = (
    "Only owners see its records: they are not known to say who may read it by now, by settings, "
    "sidecar, tags or what an owner has asked for. That ends when they are written, or a look "
    "finds them to say it; after `rebuild --catalog` when somebody asks for it anew."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """One source's answer about one key."""

    decision: list[str]
    """Step by step: whether the object is there, what becomes of its records where it is not, and
    why the source takes it or not."""
    row: ObjectRow | None
    """None: the bucket was not seen to have it, or has it no more."""
    known: bool
    """The catalog has heard of the key, also where the object is gone."""

    @property
    def state(self) -> str:
        """The object's state; ``gone`` or ``unknown`` where there is none."""
        if self.row is not None:
            return self.row.state
        return "gone" if self.known else "unknown"


def explain_key(catalog: Catalog, source: Source, key: str, *, rights: Rights) -> Explained:
    """Return what a source does with the object of a key.

    Of one that is kept from the reader only what the settings say of any such key is told.

    Raises:
        InvalidSetting: S3 cannot have such a key.
    """
    validate_object_key(key, field="key")
    seen = key in seen_keys(catalog, rights, source, [key])
    known = catalog.work.object(source.id, key) if seen else None
    there = known is not None and not known.gone
    if known is None:
        presence = [UNSEEN]
    elif known.gone:
        presence = [_last_seen(catalog, source, key), _after_the_end(catalog, source, key)]
    else:
        presence = _missing(catalog, source, key, missed=known.missed)
    ref = ObjectRef(
        key=key,
        etag=known.etag if known else "",
        size=known.size if known and there else -1,
        storage_class=known.storage_class if known and there else "STANDARD",
    )
    rows = catalog.views.object_rows(source.id, key=key) if seen else []
    # What sidecars are called and say may be kept from readers with groups.
    named = _sidecars(catalog, source, key) if there and rights.whole else []
    paused = _paused(catalog, source) if rows and rows[0].state == "pending" else []
    kept_back = _kept_back(catalog, source, key) if seen and source.reader_keys else []
    tried = _tried(catalog, source, key) if seen else []
    return Explained(
        decision=[
            *presence,
            *explain(source, ref, there=there),
            *named,
            *paused,
            *kept_back,
            *tried,
        ],
        row=rows[0] if rows else None,
        known=known is not None,
    )


def not_to_approve(source: Source, listing_id: int, *, waiting: ListingRow | None) -> Conflict:
    """Return what to say where somebody approves a listing that does not wait.

    Args:
        source: whose listing it was said to be.
        listing_id: what was approved.
        waiting: the listing that waits instead, if there is one.
    """
    told = f"Listing {listing_id} of {source.name!r} has no removals that wait for an approval"
    if waiting is not None:
        told += (
            f"; those of listing {waiting.id} wait, which would remove {waiting.gone} documents: "
            f"look at them first (s3sync approve-deletes {source.name})"
        )
    return Conflict(f"{told}.", reason="nothing_blocked")


def _sidecars(catalog: Catalog, source: Source, key: str) -> list[str]:
    """Return which sidecars name an object, and what they say of it."""
    named = catalog.work.claims_of(source.id, [key]).get(key, [])
    claims = sidecar_claims(tuple(named), source)
    if not claims and source.auto_sync is AutoSync.METADATA:
        none = "No sidecar names it that was read and could be followed (others: `s3sync failures "
        return [none + f"{source.name}`), and auto-sync metadata takes only what one names."]
    told = [
        f"The sidecar {one.sidecar_key!r} names it, for the collection {collection!r}: "
        f"custom id {one.custom_id or 'none'}, metadata {_short(one.metadata)}."
        for collection, one in claims.items()
    ]
    less = [one.sidecar_key for one in named if one not in claims.values()]
    if told and less:
        told.append(f"Not followed, as those come first: {', '.join(map(repr, less))}.")
    return told


def _short(metadata: Mapping[str, object]) -> str:
    text = json.dumps(metadata, ensure_ascii=False)
    return text if len(text) <= MOST_METADATA else f"{text[:MOST_METADATA]}..."


def _kept_back(catalog: Catalog, source: Source, key: str) -> list[str]:
    """Return whether nobody knows who may read what was made of an object."""
    keys, told = source.reader_keys, list[str]()
    for one in catalog.documents.of_key(source.id, key):
        own = {**with_path_metadata(source, key), **one.carried}
        if which := disputed(own, one.metadata, vouched=one.vouched, keys=keys):
            told.append(
                f"Only owners see its records in {one.collection_name!r}: metadata that no owner "
                f"is known to have given say else under {', '.join(which)} than the source, the "
                "path and the object do. That ends when an owner asks for the object again, with "
                "the metadata that are to hold."
            )
        elif one.untold:
            told.append(UNTOLD)
        elif in_doubt(one, keys):
            told.append(
                f"Only owners see its records in {one.collection_name!r} until they are written "
                "anew, or found as the catalog says."
            )
    return told


def _paused(catalog: Catalog, source: Source) -> list[str]:
    """Return why an object waits for more than its turn."""
    if catalog.sources.deleting(source.id) or not catalog.sources.paused(source.id):
        return []
    return [f"It waits: the source is paused, until `s3sync source resume {source.name}`."]


def _tried(catalog: Catalog, source: Source, key: str) -> list[str]:
    """Return why an object waits that was worked on already."""
    return [
        f"The last attempt failed: {one.reason}: {one.error.rstrip('.')}. It is tried again after "
        f"{datetime.fromtimestamp(one.next_at, UTC):%Y-%m-%d %H:%M:%S} UTC."
        for one in catalog.history.waiting(source.id, key=key)
    ]


def _last_seen(catalog: Catalog, source: Source, key: str) -> str:
    seen_at = datetime.fromtimestamp(catalog.views.seen_at(source.id, key), UTC)
    return f"The object is gone: it was seen last at {seen_at:%Y-%m-%d %H:%M} UTC."


def _after_the_end(catalog: Catalog, source: Source, key: str) -> str:
    """Return what becomes of the records of an object that is known to be gone."""
    documents = catalog.documents.of_key(source.id, key)
    if not any(one.high_water for one in documents):
        return "No record of it is left."
    if catalog.listings.holds(source.id, key):
        return _held(source)
    if source.mode is not DeleteMode.MIRROR and all(
        one.phase is not DocumentPhase.REMOVING for one in documents
    ):
        return f"Its records stay: the source's delete mode is {source.mode}."
    return "Its records are removed by the next run or sync."


def _missing(catalog: Catalog, source: Source, key: str, *, missed: bool) -> list[str]:
    """Return what stands between an object and its end; nothing where it was found."""
    if catalog.listings.holds(source.id, key):
        found = "A whole listing did not find the object. " if missed else ""
        return [found + _held(source)]
    if not missed:
        return []
    newest = catalog.listings.latest(source.id)
    if newest is not None and newest.state is ListingState.RUNNING:
        return ["The listing at work has not found the object; its end decides on the records."]
    return ["A listing that did not end well missed the object; the next one decides."]


def _held(source: Source) -> str:
    return (
        "Its records stay until a person approves their removal: more would go than may go by "
        f"itself (s3sync approve-deletes {source.name})."
    )
