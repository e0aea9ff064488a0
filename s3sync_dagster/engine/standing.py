"""What stands in Chroma in the place of records of a source before (``core.standing``).

Asked of Chroma right before such records go, by the ids of what should be there: the catalog alone
does not know that Chroma was put back from a copy of its data.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from s3sync_dagster.core.forgotten import is_over
from s3sync_dagster.core.lives import Place
from s3sync_dagster.core.plan import record_ids, split_record_id
from s3sync_dagster.core.standing import may_go, may_tell
from s3sync_dagster.core.state import RESTORED, DocumentPhase, DocumentState
from s3sync_dagster.engine.as_written import as_written
from s3sync_dagster.engine.deletions_port import StandingDocuments
from s3sync_dagster.engine.own_records import by_ids, open_there, owner_of
from s3sync_dagster.engine.ports import CollectionPort, Collections, StoredRecord
from s3sync_dagster.model.source import DeleteMode, Source

DOCUMENTS_A_LOOK = 200
Opened = Callable[[Place], CollectionPort | None]
"""Opens a collection to look at; None: it is gone."""


@dataclass(slots=True)
class Stood:
    """What was found of documents whose records should be there."""

    whole: set[int] = field(default_factory=set[int])
    """Row ids of those of which each record is as it was written."""
    standing: set[int] = field(default_factory=set[int])
    """Those, and such as have nothing but metadata keys more, which somebody has added."""
    damaged: list[DocumentState] = field(default_factory=list[DocumentState])
    """Those others of which something is there."""
    keys_met: dict[int, set[str]] = field(default_factory=dict[int, set[str]])
    """Metadata keys of the records of these, by row id: who writes them next clears what does not
    belong there."""
    lost: list[DocumentState] = field(default_factory=list[DocumentState])
    """Those of which nothing is."""
    elsewhere: int = 0
    """How many others were written to another collection than the one of that name here, which may
    be another server's: whoever looks at collections (``identity``) tells of that."""


@dataclass(frozen=True, slots=True)
class Before:
    """What becomes of records of sources before."""

    over: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """Ids of those that may go, by the source that they name."""
    waiting: set[str] = field(default_factory=set[str])
    """Keys of the objects of the others: nothing stands in their place."""
    fallen: list[Stood] = field(default_factory=list[Stood])
    """What should stand there, and does not."""


def opening(collections: Collections) -> Opened:
    """Return what opens each collection once."""
    there: dict[Place, CollectionPort | None] = {}

    def opened(place: Place) -> CollectionPort | None:
        if place not in there:
            tenant, database, name = place
            there[place] = open_there(collections, name, tenant=tenant, database=database)
        return there[place]

    return opened


def what_stands(documents: Iterable[DocumentState], opened: Opened) -> Stood:
    """Ask for each record of clean documents, wherever they are.

    Raises:
        S3SyncError: Chroma does not answer.
    """
    found = Stood()
    by_place: dict[Place, list[DocumentState]] = {}
    for one in documents:
        place = one.tenant, one.database_name, one.collection_name
        by_place.setdefault(place, []).append(one)
    for place, some in by_place.items():
        port = opened(place)
        if port is None:
            found.elsewhere += len(some)
            continue
        for start in range(0, len(some), DOCUMENTS_A_LOOK):
            _look(some[start : start + DOCUMENTS_A_LOOK], port, found)
    return found


def _look(documents: Sequence[DocumentState], port: CollectionPort, found: Stood) -> None:
    of_name = {one.document_id: one for one in documents}
    met, as_they_were = dict.fromkeys(of_name, 0), dict.fromkeys(of_name, 0)
    stands, keys = dict.fromkeys(of_name, 0), {name: set[str]() for name in of_name}
    ids = (name for one in documents for name in record_ids(one.document_id, 0, one.count))
    for page in by_ids(port, ids):
        for record in page:
            name, place = split_record_id(record.id)
            if place is not None:
                one, own = of_name[name], _without_added(record, of_name[name])
                met[name] += owner_of(record) in {one.source_id}
                as_they_were[name] += as_written(one, place, record, text=False)
                stands[name] += as_written(one, place, own, text=False)
                keys[name] |= record.metadata.keys()
    for name, one in of_name.items():
        if as_they_were[name] == one.count:
            found.whole.add(one.id)
        if stands[name] == one.count:
            found.standing.add(one.id)
        elif (one.collection_id or port.id).removeprefix(RESTORED) != port.id:
            found.elsewhere += 1
        else:
            (found.damaged if met[name] else found.lost).append(one)
            found.keys_met[one.id] = keys[name]


def _without_added(record: StoredRecord, document: DocumentState) -> StoredRecord:
    own = {key: value for key, value in record.metadata.items() if key in document.metadata_keys}
    return replace(record, metadata=own)


def sort_out_before(
    records: Iterable[StoredRecord],
    place: Place,
    documents: StandingDocuments,
    opened: Opened,
    *,
    said: bool = False,
) -> Before:
    """Return which records of sources that ended, or end, may go.

    Args:
        records: that no document has, all in one collection.
        place: of it.
        documents: the catalog's.
        opened: opens the collections where what came after should stand.
        said: a person's word that what nothing followed goes, too.

    Raises:
        S3SyncError: Chroma does not answer.
    """
    found = Before()
    of_owner: dict[str, list[StoredRecord]] = {}
    for one in records:
        of_owner.setdefault(owner_of(one), []).append(one)
    if not of_owner:
        return found
    heirs = documents.heirs(sorted(of_owner))
    for owner, some in of_owner.items():
        heir = heirs.get(owner)
        texts: dict[tuple[str, str], list[StoredRecord]] = {}
        for one in some:
            key = str(one.metadata.get("document_key", ""))
            texts.setdefault((key, split_record_id(one.id)[0]), []).append(one)
        theirs: dict[str, list[DocumentState]] = {}
        stood, gone = Stood(), set[tuple[str, str]]()
        if isinstance(heir, Source):
            keys = sorted({key for key, _ in texts})
            theirs = {key: documents.of_key(heir.id, key) for key in keys}
            each = (one for has in theirs.values() for one in has)
            stood = what_stands((one for one in each if one.phase is DocumentPhase.CLEAN), opened)
            found.fallen.append(stood)
            gone = _gone(heir, texts, place, documents, theirs)
        for (key, name), of_text in texts.items():
            standing = [one.etag for one in theirs.get(key, ()) if one.id in stood.standing]
            if may_go(
                heir,
                etags=_etags(of_text),
                standing=standing,
                gone=(key, name) in gone,
                said=said and not theirs.get(key),
            ):
                found.over.setdefault(owner, []).extend(one.id for one in of_text)
            else:
                found.waiting.add(key)
    return found


def distrust_fallen(fallen: Iterable[Stood], documents: StandingDocuments) -> int:
    """Have documents written again that were found not to stand; returns how many."""
    number = 0
    for stood in fallen:
        damaged, lost = (
            [one for one in some if one in documents.of_key(one.source_id, one.object_key)]
            for some in (stood.damaged, stood.lost)
        )
        documents.distrust([_with_keys(one, stood) for one in damaged], spoilt=True)
        documents.distrust(lost)
        number += len(damaged) + len(lost)
    return number


def _with_keys(document: DocumentState, stood: Stood) -> DocumentState:
    keys = {*document.metadata_keys, *stood.keys_met.get(document.id, ())}
    return replace(document, metadata_keys=tuple(sorted(keys)))


def _gone(
    heir: Source,
    texts: Mapping[tuple[str, str], Sequence[StoredRecord]],
    place: Place,
    documents: StandingDocuments,
    theirs: Mapping[str, Sequence[DocumentState]],
) -> set[tuple[str, str]]:
    """Return those of which the catalog has evidence that no text is to be, through the guard."""
    if heir.mode is not DeleteMode.MIRROR:
        return set()
    if documents.listing_asked(heir.id) or documents.removal_blocked(heir.id):
        return set()
    told = documents.objects_there(heir.id, sorted({key for key, _ in texts}))
    sidecars_known = documents.sidecars_known(heir)
    restored = documents.may_have_forgotten(heir.id, place[2])
    return {
        (key, name)
        for (key, name), some in texts.items()
        if key not in told
        or (
            may_tell(told[key])
            and is_over(
                told[key],
                theirs[key],
                source=heir,
                collection_name=place[2],
                etags=_etags(some),
                sidecars_known=sidecars_known,
                restored=restored,
            )
        )
    }


def _etags(records: Sequence[StoredRecord]) -> set[str]:
    return {str(one.metadata.get("s3sync_etag", "")) for one in records}
