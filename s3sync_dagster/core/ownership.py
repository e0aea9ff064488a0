"""Records with our ids that the catalog does not know: whose are they?"""

from collections.abc import Sequence
from dataclasses import replace

from s3sync_dagster.core.engine import Engine
from s3sync_dagster.core.interfaces import CollectionPort
from s3sync_dagster.core.state import DocumentPhase, DocumentState
from s3sync_dagster.core.work import Refusal


def settle_ownership(
    engine: Engine, collection: CollectionPort, befores: Sequence[DocumentState]
) -> dict[str, DocumentState | Refusal]:
    """Look at the first record of documents that are new to the catalog.

    Records of this source (a catalog that was lost) raise the high-water mark, so that their
    tail is cleared; records of another or no source are never overwritten without ``adopt``.

    Returns:
        document id -> the state to plan with, or why it may not be written.
    """
    answers: dict[str, DocumentState | Refusal] = {before.document_id: before for before in befores}
    new = [
        before
        for before in befores
        if before.phase is DocumentPhase.WRITING and before.etag is None
    ]
    if not new:
        return answers
    found = collection.get([f"{before.document_id}-0" for before in new])
    marks: dict[int, int] = {}
    for before in new:
        stored = found.get(f"{before.document_id}-0")
        if stored is None:
            continue
        owner = stored.metadata.get("s3sync_source")
        if owner != engine.source.id and not engine.source.adopt:
            answers[before.document_id] = Refusal(
                message=(
                    f"Collection {collection.name!r} already has records of {before.object_key!r} "
                    f"that {'another source' if owner else 'no source'} wrote. Use another "
                    "collection, give the source an id_prefix, take the records over with "
                    "--adopt, or recover a lost catalog with `s3sync rebuild --catalog`."
                )
            )
            continue
        count = stored.metadata.get("s3sync_chunk_count")
        if isinstance(count, int) and count > before.high_water:
            marks[before.id] = count
            answers[before.document_id] = replace(
                before,
                high_water=count,
                metadata_keys=tuple(sorted({*before.metadata_keys, *stored.metadata})),
            )
    if marks:
        engine.catalog.documents.raise_high_water(marks)
    return answers
