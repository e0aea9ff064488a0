"""The end of a source that was moved: its documents leave one by one, each on its own evidence."""

from collections.abc import Callable
from functools import partial
from typing import cast

from s3sync_dagster.core.lives import Place
from s3sync_dagster.core.moving import which_may_go, why_it_stays, why_unwritten
from s3sync_dagster.core.news import Told
from s3sync_dagster.core.selection import decide
from s3sync_dagster.core.state import RESTORED, DocumentState
from s3sync_dagster.engine.catalog_port import CatalogPort
from s3sync_dagster.engine.clock import Clock
from s3sync_dagster.engine.deleting import delete_records, take_down
from s3sync_dagster.engine.last_look import may_have_forgotten, read_back_forgotten
from s3sync_dagster.engine.own_records import names_there, open_there
from s3sync_dagster.engine.ports import CollectionPort, Collections
from s3sync_dagster.engine.readers_told import hear_all
from s3sync_dagster.engine.standing import Opened, distrust_fallen, what_stands
from s3sync_dagster.engine.store_ports import ObjectStore, UnsureStore
from s3sync_dagster.model.errors import Conflict, S3SyncError, Unavailable
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.model.source import Source

_ENDING = {
    "records": "the records of before are being deleted",
    "keep": "the source before ends, what is left of its records stays",
}
"""What becomes of a source before, by ``Sources.deleting``."""


def how_far(source: Source, *, catalog: CatalogPort) -> str | None:
    """Return why records of the sources before still stand; None where there were none."""
    said = [_how_far_of(before, source, catalog) for before in catalog.moves.left_by(source.id)]
    return "; ".join(said) or None


def _how_far_of(before: Source, source: Source, catalog: CatalogPort) -> str:
    so_far, told = catalog.moves.succession(source, before), catalog.sources.deleting(before.id)
    if told is not None:
        waits = why_unwritten(so_far)
        why, going = waits or _ENDING[told], waits is None and told == "records"
    else:
        stays = why_it_stays(source.name, so_far)
        why = stays or "what is left of before goes with the next tick of the dispatcher"
        going = stays is None or any(map(so_far.count, which_may_go(so_far)))
    if not going:
        return why
    # No row says what Chroma refused at the last tick: who looks here alone would wait for ever.
    return (
        f"{why} (where their collection refuses every call: `s3sync source move {source.name} "
        "--keep-records` leaves them and ends the move)"
    )


def finish_move(
    source: Source,
    *,
    catalog: CatalogPort,
    collections: Callable[[], Collections],
    clock: Clock,
    log: Callable[[str], None],
    now: bool = False,
    keep: bool = False,
    budget_seconds: float = 20.0,
) -> str | None:
    """Remove what may go of the sources in whose place one stands, and end those without any.

    Who dies in between leaves documents that are claimed, or a source that is being deleted: the
    next call goes on.

    Args:
        source: the new one.
        catalog: the catalog.
        collections: opens Chroma.
        clock: time.
        log: takes the last word.
        now: a person's word that the records of before may go, whole or not.
        keep: a person's word that those that are left stay where they are, as nobody's.
        budget_seconds: for this call, of all sources before; what is left follows at the next one.

    Returns:
        A sentence on how far it came; None where nothing is left of a move.

    Raises:
        Conflict: with ``keep``, records of before stand where the source writes, or say who may
            read them; with ``now``, they may say it, and nothing was compared with them yet.
        S3SyncError: Chroma or the catalog does not answer; the next call goes on.
    """
    if keep:
        left = catalog.moves.left_by(source.id)
        for before in left:
            _refuse_where_it_writes(source, before, catalog)
        catalog.sources.mark_deleting(*(one.id for one in left), keep_records=True)
    if now:
        for before in catalog.moves.left_by(source.id):
            _refuse_unheard(source, before, catalog, collections, log)
    lines: list[str] = []
    until = clock.monotonic() + budget_seconds
    for number, before in enumerate(catalog.moves.left_by(source.id)):
        if number and clock.monotonic() > until:
            lines.append(f"{source.name}: other records of before follow")
            break
        if catalog.sources.deleting(before.id) is None:
            try:
                alone = _let_leave(source, before, catalog, collections, clock=clock, until=until)
            except S3SyncError as error:
                if not now:
                    raise _or_leave(source, before, error, collections()) from error
                alone = True  # all goes below, but where Chroma refuses it
            so_far = catalog.moves.succession(source, before)
            why = why_it_stays(source.name, so_far)
            if not alone:
                why, now = why or "records of before are being removed", False
            if (
                why is None
                and not now
                # What a restored catalog has forgotten is kept like all that the mode keeps, or
                # goes through the guard like all else: nothing tells by now that it was restored.
                and read_back_forgotten(before, catalog=catalog, collections=collections(), log=log)
            ):
                why = why_it_stays(source.name, catalog.moves.succession(source, before))
            if why is not None and not now:
                lines.append(f"{source.name}: {why}")
                continue
            catalog.sources.mark_deleting(before.id, keep_records=False)
        elif now and catalog.sources.deleting(before.id) == "keep":
            catalog.sources.mark_deleting(before.id, keep_records=False)
        try:
            line = take_down(
                before,
                catalog=catalog,
                collections=collections,
                clock=clock,
                drop_partitions=partial(_hand_over, catalog, source, before.id),
                log=log,
                budget_seconds=max(0.0, until - clock.monotonic()),
                said=now,
            )
        except S3SyncError as error:
            if catalog.sources.deleting(before.id) == "keep":
                raise
            raise _or_leave(source, before, error, collections()) from error
        if catalog.sources.deleting(before.id) is not None:
            why = why_unwritten(catalog.moves.succession(source, before))
            lines.append(line if why is None else f"{source.name}: {why}")
    return "; ".join(lines) or None


def _or_leave(
    source: Source, before: Source, error: S3SyncError, collections: Collections
) -> S3SyncError:
    """Return a refusal with what a person may do about it.

    Raises:
        S3SyncError: Chroma does not answer for the database either: that passes.
    """
    names_there(collections, tenant=before.tenant, database=before.database_name)
    return Unavailable(
        f"{error.message.rstrip('.')}. Have Chroma answer, or delete that collection; or end the "
        f"move and leave what stands of before: `s3sync source move {source.name} --keep-records`.",
        reason=error.reason,
    )


def _refuse_where_it_writes(source: Source, before: Source, catalog: CatalogPort) -> None:
    """Refuse to leave records where the source writes: nobody's would keep its ids for ever."""
    names = ", ".join(map(repr, catalog.moves.meeting(source, before)))
    if names:
        raise Conflict(
            f"Records of before stand in {names}, where {source.name!r} itself writes, or would by "
            "what a sidecar or a request names: it would find its ids taken for good. `s3sync "
            f"source move {source.name} --now` removes them there, also where it is refused "
            "elsewhere."
        )


def _refuse_unheard(
    source: Source,
    before: Source,
    catalog: CatalogPort,
    collections: Callable[[], Collections],
    log: Callable[[str], None],
) -> None:
    """Refuse to delete what alone may tell who may read, before the source has looked at it.

    An owner may have said it, also after the backup of a catalog that was restored.
    """
    if not source.reader_keys:
        return
    forgotten = may_have_forgotten(before, catalog=catalog)
    if catalog.moves.succession(source, before).listed:
        if forgotten:  # a batch may have asked in vain, as long as Chroma did not answer
            hear_all(
                before.with_changes(reader_keys=source.reader_keys),
                catalog=catalog,
                collections=collections(),
            )
        return
    if forgotten:
        read_back_forgotten(before, catalog=catalog, collections=collections(), log=log)
    after = 0
    while page := catalog.documents.of_source(before.id, after_id=after):
        after = page[-1].id
        if any(map(_may_say_who_reads, page)):
            raise Conflict(
                f"Records of before may alone say who may read them, and {source.name!r} has not "
                f"asked for all of them yet: `s3sync sync -c {source.collection_name}` first, then "
                f"`s3sync source move {source.name} --now`.",
                reason="readers_would_be_lost",
            )


def _may_say_who_reads(document: DocumentState) -> bool:
    restored = (document.collection_id or "").startswith(RESTORED)
    return restored or document.owner == "request" or not document.vouched


def ask_for_unseen(source: Source, *, store: ObjectStore, catalog: CatalogPort) -> None:
    """Have looked for what the sources before had, after a listing that may lack what is there.

    It is no evidence against them: a key that the place could have counts as there and unread,
    until somebody has read it or a listing knows that it is gone.
    """
    unsure = cast("UnsureStore", store)

    def told(key: str) -> Told | None:
        ref = ObjectRef(key=key, etag="unread", size=-1)
        skip = decide(source, ref)
        return (ref, skip.reason if skip else None) if unsure.may_have(key) else None

    catalog.moves.ask_for_unseen(source, told)


def _let_leave(
    source: Source,
    before: Source,
    catalog: CatalogPort,
    collections: Callable[[], Collections],
    *,
    clock: Clock,
    until: float,
) -> bool:
    """Remove the documents that may go; False: another process is at it."""
    moves = catalog.moves
    moves.hand_requests(before.id, source)
    opened = partial(_opened, collections)
    if not _give_back(source, before, catalog, opened):
        return False
    while documents := _claim(source, before, catalog, opened, lambda: clock.monotonic() > until):
        gone: list[int] = []
        try:
            delete_records(
                documents, catalog=catalog, collections=collections(), forget=gone.extend
            )
        finally:
            if not moves.forget_left(before.id, [one.id for one in documents], gone=gone):
                # Another process took over: whoever has the ids now may have lost records.
                catalog.documents.distrust(documents)
        if clock.monotonic() > until:
            break
    return documents is not None


def _give_back(source: Source, before: Source, catalog: CatalogPort, opened: Opened) -> bool:
    """Have what is left of a claim stand again; False: another process is at it.

    Who claimed it had asked whether its successors stand. Chroma may have been put back since.
    """
    claimed = catalog.moves.left_claimed(before.id)
    if not claimed:
        return claimed is not None
    stood = what_stands(claimed, opened)
    fallen = {one.id for one in (*stood.damaged, *stood.lost)}
    whole = {one.id for one in claimed if one.etag and one.high_water <= one.count} - fallen
    ids = [one.id for one in claimed]
    return catalog.moves.give_back(source.id, before.id, ids, whole=whole)


def _claim(
    source: Source,
    before: Source,
    catalog: CatalogPort,
    opened: Opened,
    late: Callable[[], bool],
) -> list[DocumentState] | None:
    """Claim documents that may go; what they go for is asked of Chroma in the same breath.

    The catalog believes in it also where Chroma was put back from a copy of before it was written.
    """
    while follow := catalog.documents.that_follow(source, before):
        stood = what_stands(follow, opened)
        if len(stood.standing) == len(follow):
            break
        if not distrust_fallen([stood], catalog.documents) or late():
            return []  # what became of them is known at the next look
    return catalog.moves.claim_leaving(source, before)


def _opened(collections: Callable[[], Collections], place: Place) -> CollectionPort | None:
    tenant, database, name = place
    return open_there(collections(), name, tenant=tenant, database=database)


def _hand_over(catalog: CatalogPort, source: Source, before_id: str, _until: float) -> bool:
    return catalog.moves.hand_over(before_id, source)
