"""Documents under the batch's intent: nothing is written whose record ids are not ours."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from s3sync_dagster.core.intent import Claim, Intent, Refusal, being_cleared
from s3sync_dagster.core.patience import busy
from s3sync_dagster.core.plan import metadata_keys, split_record_id
from s3sync_dagster.core.state import RESTORED, DocumentState
from s3sync_dagster.core.vouching import NOBODY
from s3sync_dagster.core.writers import Writers
from s3sync_dagster.engine.batch.found_text import is_unknown, keep_found, texts_found
from s3sync_dagster.engine.batch.groups import Write, WriteGroup
from s3sync_dagster.engine.batch.lease import Lease
from s3sync_dagster.engine.batch.ledger import Ledger
from s3sync_dagster.engine.batch.parts import BatchParts
from s3sync_dagster.engine.own_records import (
    IDS_AT_ONCE,
    owner_of,
    standing_under,
    under_ids,
    writers_of,
)
from s3sync_dagster.engine.ports import CollectionPort, StoredRecord
from s3sync_dagster.engine.rebuilding import RecoveredDocument, documents_of
from s3sync_dagster.model.document import MetadataValue
from s3sync_dagster.model.errors import FixConfiguration


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a collection has under the ids of a document that is new to the catalog."""

    count: int = 0
    """Records, as the first of them says; 0: none."""
    metadata_keys: tuple[str, ...] = ()
    written_as: tuple[str, ...] = ()
    """Whose name the first of them bears, where it is not this source's."""
    told: Mapping[str, MetadataValue] = field(default_factory=dict[str, MetadataValue])
    """What the first of them says of a document of this source, or of one that nobody knows."""
    refusal: str | None = None
    """Why they may not be written over."""


_NOTHING = Found()


def claim_group(
    parts: BatchParts,
    lease: Lease,
    group: WriteGroup,
    ledger: Ledger,
    *,
    is_to_come: Callable[[Write], bool],
) -> list[Write]:
    """Put a group's documents under the batch's intent; returns those that it got.

    Args:
        parts: of the batch.
        lease: of the batch.
        group: what is to be claimed.
        ledger: takes what is refused.
        is_to_come: whether another key of the batch has the ids of a document, and its next attempt
            will give them up.

    Records with our ids are looked for before: a row of the catalog is the right to delete them.

    Raises:
        LeaseLost: another batch took over.
    """
    committed = {
        (document.collection_name, document.document_id)
        for one in group.writes
        for document in one.deed.decision.facts.documents
        # In another collection of the same name these ids may be somebody else's.
        if document.collection_id == group.collection.id and not is_unknown(document, parts.source)
    }
    name = group.collection.name
    new = [one.document_id for one in group.writes if (name, one.document_id) not in committed]
    found = _look_for_owners(parts, group.collection, new)
    counts = {document_id: one.count for document_id, one in found.items()}
    found |= _with_tails(parts, group, found)
    refused = [document_id for document_id, one in found.items() if one.refusal is not None]
    # Of a source that is being deleted, or was: a matter of time.
    cleared = (
        parts.catalog.documents.being_cleared(parts.source, name, refused)
        if refused
        else set[str]()
    )
    free: list[Write] = []
    for one in group.writes:
        refusal = found.get(one.document_id, _NOTHING).refusal
        if one.document_id in cleared:
            ledger.fail(one.key, busy(being_cleared(one.key, name)))
        elif refusal is not None:
            ledger.refuse(one.key, name, refusal)
        else:
            free.append(_unless_others_read(parts, one, found.get(one.document_id, _NOTHING)))
    texts = texts_found(parts, group.collection, free, counts)
    free = keep_found(parts, group.collection, free, texts, ledger)
    intents = [
        _intent(
            one,
            group.collection.id,
            found.get(one.document_id, _NOTHING),
            texts.get(one.document_id),
        )
        for one in free
    ]
    answers = parts.catalog.documents.claim(lease.token, parts.source, intents)
    claimed: list[Write] = []
    for one, answer in zip(free, answers, strict=True):
        match answer:
            case Refusal(passes=True):
                ledger.fail(one.key, busy(answer.message))
            case Refusal(reason=str(reason)):
                ledger.fail(one.key, FixConfiguration(answer.message, reason=reason))
            case Refusal() if is_to_come(one):
                ledger.fail(one.key, busy(answer.message))
            case Refusal():
                ledger.refuse(one.key, name, answer.message, document_id=one.document_id)
            case Claim():
                ledger.hold(one.key, answer.before)
                claimed.append(replace(one, before=answer.before, replaced=answer.replaced))
    return claimed


def _unless_others_read(parts: BatchParts, one: Write, found: Found) -> Write:
    """Return a write that keeps a document from readers where its records name others.

    A catalog that does not know it was restored, and what an owner said since stands in its records
    alone: nobody knows who said it, as of documents that are read back from records. What
    waited in a backup may have been done before that.
    """
    keys, facts, asked = parts.source.reader_keys, one.deed.end.facts, one.deed.decision.asked
    name = one.target.collection_name
    if (
        not one.records
        or found.told.get("document_key") != one.key  # of another one, which had the id before
        or any(
            (name, one.document_id) == (row.collection_name, row.document_id)
            and not _is_unseen(row)
            for row in facts.documents
        )
        or any(
            one.vouched and not one.restored and asked.get(one.id) == name
            for one in facts.invocations
        )
    ):
        return one
    now = one.records[0].metadata
    others = {key: found.told.get(key) for key in keys if found.told.get(key) != now.get(key)}
    if found.written_as:  # by a program that did not ask: it names readers, or leaves it to us
        others = {key: value for key, value in others.items() if value is not None}
    if not others:
        return one
    target = replace(
        one.target, metadata={**one.target.metadata, **others}, vouched=False, recovered=True
    )
    # As ``with_said`` has it of what is disputed.
    records = [
        replace(
            record,
            metadata={
                **{key: value for key, value in record.metadata.items() if key not in keys},
                **dict.fromkeys(others, NOBODY),
            },
        )
        for record in one.records
    ]
    return replace(one, target=target, records=tuple(records))


def _is_unseen(document: DocumentState) -> bool:
    """Return whether a restored catalog knows of no record of it, so that none was compared."""
    return document.high_water == 0 and (document.collection_id or "").startswith(RESTORED)


def _intent(one: Write, collection_id: str, found: Found, text: RecoveredDocument | None) -> Intent:
    here = text if text is not None and text.object_key == one.key else None
    return Intent(
        key=one.key,
        target=one.target,
        document_id=one.document_id,
        collection_id=collection_id,
        count=len(one.records),
        metadata_keys=metadata_keys(one.records),
        carried=one.deed.carried,
        found=found.count,
        found_keys=found.metadata_keys,
        found_as=found.written_as,
        found_etag=here.etag if here else None,
    )


def _look_for_owners(
    parts: BatchParts, collection: CollectionPort, document_ids: Iterable[str]
) -> dict[str, Found]:
    """Look at the first record of documents that are new to the catalog, before they are claimed.

    Records of this source (a catalog that was lost) raise the high-water mark, so that their
    tail is cleared; records of another or no source are never overwritten without ``adopt``. Whose
    document the catalog has under the id, written, says more than its records: those of a restored
    catalog may say who had them later.

    Returns:
        What was found, by document id; ids without records are absent.
    """
    first = {f"{document_id}-0": document_id for document_id in document_ids}
    if not first:
        return {}
    found: dict[str, Found] = {}
    ours = {parts.source.id}
    stored_first = collection.get(list(first))
    owners = set(map(owner_of, stored_first.values()))
    rows: dict[str, str] = {}
    known = parts.catalog.sources.ids() - ours if parts.source.reader_keys else set[str]()
    if not owners <= ours:
        rows = parts.catalog.documents.written_by(
            parts.source,
            collection.name,
            [first[name] for name in stored_first],
            collection_id=collection.id,
        )
        # Of those that wrote them, as the catalog has it: wherever the source had its records.
        ours |= {*parts.catalog.documents.may_write_over(parts.source.id, {*rows.values()} - ours)}
    writers = _writers(parts, collection, stored_first.values())
    for name, stored in stored_first.items():
        owner = owner_of(stored)
        is_ours = rows.get(first[name]) in ours or writers.wrote(name, stored.metadata)
        if not is_ours and not parts.source.adopt:
            found[first[name]] = Found(
                refusal=(
                    f"Collection {collection.name!r} already has records with the ids "
                    f"{first[name]!r} that {'another source' if owner else 'no source'} wrote. "
                    "Use another collection, give the source an id_prefix, take the records over "
                    "with --adopt, or recover a lost catalog with `s3sync rebuild --catalog`, with "
                    "--adopt where a deleted source kept them."
                )
            )
            continue
        found[first[name]] = Found(
            count=_count_of(collection, stored),
            told={} if owner in known else stored.metadata,
            metadata_keys=tuple(sorted(stored.metadata)),
            written_as=() if owner == parts.source.id else (owner,),
        )
    return found


def _with_tails(
    parts: BatchParts, group: WriteGroup, found: Mapping[str, Found]
) -> dict[str, Found]:
    """Return what was found with all records of this source's that stand under the ids.

    Whichever object they name: one that gets an id writes over what the one before had under it.
    """
    keys, custom_ids, held = dict[str, str](), dict[str, str](), set[str]()
    for one in group.writes:
        name, there, facts = one.document_id, found.get(one.document_id), one.deed.decision.facts
        if there is not None and there.refusal is not None:
            continue
        if any(
            row.document_id == name and (row.collection_id or "").startswith(RESTORED)
            for row in (*facts.documents, *facts.before)
        ):
            held.add(name)
        if there is not None or name in held:
            keys[name] = one.key
            if one.target.custom_id is not None:
                custom_ids[name] = one.target.custom_id
    stand = standing_under(group.collection, keys, custom_ids)
    own = _own_among(parts, group.collection, stand, found, held)
    ends: dict[str, Found] = {}
    for one in documents_of(own, parts.source):
        before = found.get(one.document_id, _NOTHING)
        ends[one.document_id] = replace(
            before,
            count=max(before.count, one.high_water),
            metadata_keys=tuple(sorted({*before.metadata_keys, *one.metadata_keys})),
        )
    return ends


def _own_among(
    parts: BatchParts,
    collection: CollectionPort,
    records: Iterable[StoredRecord],
    found: Mapping[str, Found],
    held: Collection[str],
) -> Iterator[StoredRecord]:
    """Yield those of the records under ids that are a source's, or go on from what it takes.

    Args:
        parts: the batch's.
        collection: where.
        records: what stands there: of a large document never all are held.
        found: see ``Found``.
        held: ids that the source had by the time of a backup that the catalog was put back from.
    """
    of_owner: dict[str, Writers] = {}
    for one in records:
        name, owner = split_record_id(one.id)[0], owner_of(one)
        if owner not in of_owner:
            of_owner[owner] = _writers(parts, collection, [one])
        writers = of_owner[owner]
        held_by = parts.source if name in held else None
        taken = found.get(name, _NOTHING).written_as
        if writers.wrote(one.id, one.metadata, held_by=held_by) or (
            owner in taken and owner not in writers.others
        ):
            yield one


def _writers(
    parts: BatchParts, collection: CollectionPort, records: Iterable[StoredRecord]
) -> Writers:
    here = (parts.source.tenant, parts.source.database_name)
    return writers_of(
        parts.source.id,
        records,
        place=(*here, collection.name),
        places={(*here, collection.name), (*here, parts.source.collection_name)},
        catalog=parts.catalog,
    )


def _count_of(collection: CollectionPort, first: StoredRecord) -> int:
    """Return how many records a document has, as its first one tells, or, of many, as there are."""
    told = first.metadata.get("s3sync_chunk_count")
    count = told if isinstance(told, int) else 1
    if count <= IDS_AT_ONCE:
        return count
    name = first.id.removesuffix("-0")
    pages = under_ids(collection, {name: count})
    return 1 + max(split_record_id(one.id)[1] or 0 for page in pages for one in page)
