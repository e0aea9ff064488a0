"""Records with our ids that the catalog does not know: whose are they?"""

from collections.abc import Iterable
from dataclasses import dataclass

from s3sync_dagster.engine.batch.parts import Engine
from s3sync_dagster.engine.ports import CollectionPort


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a collection has under the ids of a document that is new to the catalog."""

    count: int = 0
    """Records, as the first of them says; 0: none."""
    metadata_keys: tuple[str, ...] = ()
    refusal: str | None = None
    """Why they may not be written over."""


def look_for_owners(
    engine: Engine, collection: CollectionPort, document_ids: Iterable[str]
) -> dict[str, Found]:
    """Look at the first record of documents that are new to the catalog, before they are claimed.

    Records of this source (a catalog that was lost) raise the high-water mark, so that their
    tail is cleared; records of another or no source are never overwritten without ``adopt``.

    Returns:
        What was found, by document id; ids without records are absent.
    """
    first = {f"{document_id}-0": document_id for document_id in document_ids}
    if not first:
        return {}
    found: dict[str, Found] = {}
    for name, stored in collection.get(list(first)).items():
        owner = stored.metadata.get("s3sync_source")
        if owner != engine.source.id and not engine.source.adopt:
            found[first[name]] = Found(
                refusal=(
                    f"Collection {collection.name!r} already has records with the ids "
                    f"{first[name]!r} that {'another source' if owner else 'no source'} wrote. "
                    "Use another collection, give the source an id_prefix, take the records over "
                    "with --adopt, or recover a lost catalog with `s3sync rebuild --catalog`."
                )
            )
            continue
        count = stored.metadata.get("s3sync_chunk_count")
        found[first[name]] = Found(
            count=count if isinstance(count, int) else 1,
            metadata_keys=tuple(sorted(stored.metadata)),
        )
    return found
