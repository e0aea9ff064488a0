"""Records of a source that no document of it has: which of them are over, and which stay.

A catalog that was restored does not know what came and went since. A mode that keeps what is gone
reads back what it does not know; mode ``mirror`` removes it, but takes evidence for that as it does
everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from s3sync_dagster.core.forgotten import is_over
from s3sync_dagster.core.plan import split_record_id
from s3sync_dagster.engine.expected import Expected, VerifiedDocuments, of_collection
from s3sync_dagster.engine.rebuilding import documents_of
from s3sync_dagster.model.source import DeleteMode

if TYPE_CHECKING:
    from s3sync_dagster.engine.ports import CollectionPort
    from s3sync_dagster.engine.rebuilding import RecoveredDocument
    from s3sync_dagster.model.source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Strays:
    """What becomes of records that no document has."""

    over: Sequence[str] = ()
    """Ids of those that may be deleted."""
    recovered: Sequence[RecoveredDocument] = ()
    """Documents to be read back."""
    beside: Sequence[RecoveredDocument] = ()
    """Documents that the mode keeps, of objects of which another one is known there."""
    held_back: Sequence[RecoveredDocument] = ()
    """Documents of which it is not known that they are over."""
    unlisted: bool = False
    """True where no listing has told of that."""
    unsettled: bool = False
    """True where their objects are there, and the ordinary work has not come to an end of them."""


def sort_out(
    ids: Sequence[str],
    source: Source,
    collection: CollectionPort,
    expected: Expected,
    documents: VerifiedDocuments,
) -> Strays:
    """Return what becomes of strays, by the mode of their source and by what is known of objects.

    The tail of a document, and one of an object that is whole under another id, are of a write
    before; not so in mode ``append``, which keeps what it indexed first: there one of other bytes
    is a text that it keeps. The catalog has one document of an object in a collection, so
    what stays beside that is not read back.
    """
    unknown = documents_of(
        [
            one
            for one in collection.get(ids).values()
            if not expected.knows(split_record_id(one.id)[0])
        ],
        source,
    )
    followed = _bytes_that_follow(unknown, source, documents)
    stays = [
        one for one in unknown if not expected.writes_over(one, etags=followed.get(one.document_id))
    ]
    if source.mode is not DeleteMode.MIRROR:
        beside = [one for one in stays if expected.has_of(one.object_key)]
        back = [one for one in stays if not expected.has_of(one.object_key)]
        return Strays(over=without(ids, stays), recovered=back, beside=beside)
    unlisted = bool(stays) and documents.listing_asked(source.id)
    unsettled = False
    if stays and not unlisted and not documents.removal_blocked(source.id):
        stays = _not_over(stays, source, collection.name, documents)
        unsettled = bool(stays)
    return Strays(
        over=without(ids, stays),
        held_back=stays,
        unlisted=unlisted and bool(stays),
        unsettled=unsettled,
    )


def _bytes_that_follow(
    strays: Sequence[RecoveredDocument], source: Source, documents: VerifiedDocuments
) -> dict[str, set[str]]:
    """Return of which bytes a document has to be to stand in the place of a stray; absent: any.

    In append mode of the very same; in ``keep_deleted``, of a whole text, or of those that the
    object has: which of two others is the later one nothing tells.
    """
    if source.mode is DeleteMode.MIRROR:
        return {}
    if source.mode is DeleteMode.APPEND:
        return {one.document_id: one.etags if len(one.etags) == 1 else set() for one in strays}
    whole = [one for one in strays if one.whole]
    told = documents.objects_there(source.id, sorted({one.object_key for one in whole}))
    follow: dict[str, set[str]] = {}
    for one in whole:
        known = told.get(one.object_key)
        follow[one.document_id] = one.etags | ({known.etag} if known is not None else set())
    return follow


def _not_over(
    strays: Sequence[RecoveredDocument],
    source: Source,
    collection_name: str,
    documents: VerifiedDocuments,
) -> list[RecoveredDocument]:
    told = documents.objects_there(source.id, sorted({one.object_key for one in strays}))
    there = [one for one in strays if one.object_key in told]
    if not there:
        return []
    sidecars_known = documents.sidecars_known(source)
    restored = documents.may_have_forgotten(source.id, collection_name)
    return [
        one
        for one in there
        if not is_over(
            told[one.object_key],
            documents.of_key(source.id, one.object_key),
            source=source,
            collection_name=collection_name,
            etags=one.etags,
            sidecars_known=sidecars_known,
            restored=restored,
        )
    ]


def without(ids: Sequence[str], documents: Sequence[RecoveredDocument]) -> list[str]:
    """Return those of the ids that are of none of these documents."""
    names = {one.document_id for one in documents}
    return [one for one in ids if split_record_id(one)[0] not in names]


def still_stray(
    ids: Sequence[str],
    source: Source,
    collection: CollectionPort,
    documents: VerifiedDocuments,
) -> list[str]:
    """Return the ids that are still there, still this source's, and still without a document.

    What another source has a document of is its to write: after a restore in the middle of a move
    that is the one before, and this one takes it over.
    """
    if not ids:
        return []
    expected = Expected(of_collection(source, documents, collection.name))
    found = [
        record.id
        for record in collection.get(ids).values()
        if record.metadata.get("s3sync_source") == source.id and not expected.meets(record)
    ]
    document_ids = sorted({name.rpartition("-")[0] for name in found})
    writers = documents.written_by(
        source, collection.name, document_ids, collection_id=collection.id
    )
    return [name for name in found if writers.get(name.rpartition("-")[0], source.id) == source.id]
