"""Sources that are moved: the new one takes the name, the one before stands until it may go."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.built_once import built_once
from s3sync_dagster.catalog.claimed_before import MOVERS, are_claimed, give_back, left_claimed
from s3sync_dagster.catalog.collisions import again_after_collisions
from s3sync_dagster.catalog.database import ROWS_A_PART, Database
from s3sync_dagster.catalog.identities import hand_requests, stand_in
from s3sync_dagster.catalog.invocations import insert_automatic
from s3sync_dagster.catalog.kept_ids import given_up
from s3sync_dagster.catalog.object_rows import upsert_objects
from s3sync_dagster.catalog.places import take_places
from s3sync_dagster.catalog.rows import document_of, groups, source_of
from s3sync_dagster.catalog.said import hand_on_words
from s3sync_dagster.catalog.settlement import forget_removed
from s3sync_dagster.catalog.successions import (
    claim_leaving,
    look_at_succession,
    unwritten_since,
)
from s3sync_dagster.catalog.tables import (
    documents,
    has_place,
    invocations,
    is_live,
    objects,
    sidecars,
    sources,
)
from s3sync_dagster.core.moving import Succession
from s3sync_dagster.core.news import Told
from s3sync_dagster.core.sidecar_owners import SIDECAR_OWNER
from s3sync_dagster.core.state import BESIDE, DocumentState
from s3sync_dagster.model.errors import Conflict, NotFound
from s3sync_dagster.model.source import Source


@again_after_collisions
class Moves:
    """Rows of ``sources`` whose ``moved_to`` names another one."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def begin(self, name: str) -> Source:
        """Let a source be what its code declares; returns it, under an id of its own.

        One transaction: before it there is the source as it was, after it the new one has the
        name, and the one before waits under another name for its deletion, without work.

        Raises:
            NotFound: no source has this name.
            Conflict: its code declares nothing else (``nothing_to_move``), it is being deleted, or
                another source has that address already.
        """
        with self._db.write() as tx:
            self._db.lock_places(tx)
            row = tx.execute(sa.select(sources).where(sources.c.name == name)).first()
            if row is None:
                raise NotFound(f"No source {name!r} in the catalog.", reason="source_not_found")
            if row.origin == "catalog":
                raise Conflict(
                    f"The source {name!r} is of the catalog: no code declares it, so there is "
                    "nothing to move to. For another place, collection or id_prefix create another "
                    "source, and delete this one once that is whole.",
                    reason="nothing_to_move",
                )
            if row.wanted is None or row.deleting is not None:
                raise Conflict(
                    f"The source {name!r} is what its code declares, or is being deleted: there "
                    "is nothing to move.",
                    reason="nothing_to_move",
                )
            return stand_in(self._db, tx, row, Source.from_json(row.wanted))

    def left_by(self, source_id: str) -> list[Source]:
        """Return the sources in whose place this one stands, which wait for their deletion."""
        with self._db.read() as tx:
            rows = tx.execute(*_moved_to(source_id, what=sources)).all()
        return [source_of(row) for row in rows]

    def successors(self) -> set[str]:
        """Return the ids of sources in whose place another one stood that is not gone yet."""
        query = sa.select(sources.c.moved_to).where(sources.c.moved_to.is_not(None))
        with self._db.read() as tx:
            return set(tx.execute(query).scalars())

    def succession(self, source: Source, before: Source) -> Succession:
        """Return how far a source has come in the place of the one before."""
        with self._db.read() as tx:
            return look_at_succession(tx, source, before)

    def meeting(self, source: Source, before: Source) -> list[str]:
        """Return the collections with documents of the source before where this one writes too.

        Its own, and those that its documents are in, or that sidecars and requests of either name:
        the new one has not read all sidecars yet, and who asked the one before will ask it. Who
        named no collection meant the source's own, which is another one by now.
        """
        both = [source.id, before.id]
        asked = documents.c.owner
        by_name = sa.or_(asked == "request", asked.startswith(SIDECAR_OWNER, autoescape=True))
        named = sa.union(
            sa.select(documents.c.collection_name).where(
                sa.or_(
                    documents.c.source_id == source.id,
                    sa.and_(
                        documents.c.source_id == before.id,
                        documents.c.collection_name != before.collection_name,
                        by_name,
                    ),
                )
            ),
            sa.select(sidecars.c.target_collection_name).where(sidecars.c.source_id.in_(both)),
            sa.select(invocations.c.target_collection_name).where(
                invocations.c.source_id.in_(both), is_live
            ),
        )
        here = sa.select(documents.c.collection_name).where(
            documents.c.source_id == before.id,
            documents.c.tenant == source.tenant,
            documents.c.database_name == source.database_name,
        )
        with self._db.read() as tx:
            names = {source.collection_name, *tx.execute(named).scalars()}
            return sorted(names.intersection(tx.execute(here.distinct()).scalars()))

    def claim_leaving(
        self, source: Source, before: Source, *, limit: int = 200
    ) -> list[DocumentState] | None:
        """Claim documents of the source before that may go now; None: another is at it.

        Who dies with them is followed by the next call, once its time has passed.
        """
        return claim_leaving(self._db, source, before, limit=limit)

    def left_claimed(self, before_id: str) -> list[DocumentState] | None:
        """Return what somebody had claimed for what follows it, and left; None: he is at it."""
        with self._db.read() as tx:
            return left_claimed(tx, before_id, now=self._db.now())

    def give_back(
        self, source_id: str, before_id: str, ids: Sequence[int], *, whole: Collection[int]
    ) -> bool:
        """Let such documents stand again; False: another process is at it."""
        return give_back(self._db, source_id, before_id, ids, whole)

    def forget_left(self, before_id: str, ids: Sequence[int], *, gone: Sequence[int]) -> bool:
        """Forget those of the claimed documents whose records are gone.

        Returns:
            False where another process has forgotten some of them, which came late: their ids may
            be somebody else's since.
        """
        with self._db.write() as tx:
            before, source = self._pair(tx, before_id)
            self._db.lock_sources(tx, {before_id, *([source.id] if source else [])})
            whole = are_claimed(tx, ids)
            left: list[DocumentState] = []
            for part in groups(gone):
                query = sa.select(documents).where(
                    documents.c.id.in_(part), documents.c.batch_token.in_(MOVERS)
                )
                left += map(document_of, tx.execute(query))
            for token in MOVERS:
                forget_removed(tx, token, gone)
            if before and source:
                hand_on_words(self._db, tx, before, source, left)
            if set(gone) == set(ids):
                done = sources.update().where(sources.c.id == before_id)
                tx.execute(done.values(leaving_until=0))
            return whole

    def _pair(self, tx: sa.Connection, before_id: str) -> tuple[Source | None, Source | None]:
        """Return a source that was moved and its successor."""
        moved = sa.select(sources.c.moved_to).where(sources.c.id == before_id).scalar_subquery()
        query = sa.select(sources).where(sources.c.id.in_([sa.literal(before_id), moved]))
        found = {row.id: source_of(row) for row in tx.execute(query)}
        return found.pop(before_id, None), next(iter(found.values()), None)

    def ask_for_unseen(self, source: Source, told: Callable[[str], Told | None]) -> int:
        """Have keys looked for that only the sources before know.

        Args:
            source: the new one.
            told: what counts as told of a key; None: it cannot be in the new place.

        Returns:
            How many.
        """
        after, asked = "", 0
        while True:
            query = _unseen(source.id, after=after)
            with self._db.read() as tx:
                if not tx.execute(query.limit(1)).first():
                    return asked
            now = self._db.now()
            with self._db.write() as tx:
                self._db.lock_source(tx, source.id)
                keys = list(tx.execute(query).scalars())
                found = [one for key in keys if (one := told(key)) is not None]
                left_out = upsert_objects(self._db, tx, source.id, found, now=now)
                wanted = [ref.key for ref, skip in found if not skip and ref.key not in left_out]
                insert_automatic(self._db, tx, source.id, wanted, trigger="listing", now=now)
            asked += len(wanted)
            if len(keys) < ROWS_A_PART:
                return asked
            after = keys[-1]

    def unseen(self, source_id: str) -> Iterator[list[str]]:
        """Yield the keys of documents that only the sources before one know, part by part."""
        after = ""
        while True:
            with self._db.read() as tx:
                keys = list(tx.execute(_unseen(source_id, after=after)).scalars())
            if not keys:
                return
            yield keys
            after = keys[-1]

    def hand_requests(self, before_id: str, source: Source) -> int:
        """Give requests that wait for the source before to the new one; returns how many."""
        with self._db.write() as tx:
            self._db.lock_sources(tx, {before_id, source.id})
            return hand_requests(tx, before_id, source)

    def hand_over(self, before_id: str, source: Source) -> bool:
        """Give objects that only the source before had to the new one, as gone; and its requests.

        Dagster has one set of partitions for both; it takes back what is of objects that are gone.
        So the places of all others go over as well.

        Returns:
            False while a document that was taken over is not written: its records still say that
            they are of the source before, which has to be known until they do not.
        """
        while True:
            with self._db.write() as tx:
                self._db.lock_sources(tx, {before_id, source.id})
                mine = objects.alias("mine")
                known = sa.select(mine.c.object_key).where(mine.c.source_id == source.id)
                names = sa.select(mine.c.partition_key).where(mine.c.source_id == source.id)
                part = (
                    sa.select(objects.c.object_key)
                    .where(
                        objects.c.source_id == before_id,
                        has_place,
                        objects.c.object_key.not_in(known),
                        objects.c.partition_key.not_in(names),
                    )
                    .limit(ROWS_A_PART)
                )
                keys = tx.execute(part).scalars().all()
                if not keys:
                    if take_places(tx, before_id, source.id):
                        continue
                    hand_requests(tx, before_id, source)
                    keys = list(tx.execute(given_up(source.id)).scalars())
                    now = self._db.now()
                    insert_automatic(self._db, tx, source.id, keys, trigger="retry", now=now)
                    if len(keys) == ROWS_A_PART:
                        continue
                    unwritten = sa.select(documents.c.id).where(*unwritten_since(source.id))
                    return tx.execute(unwritten.limit(1)).first() is None
                tx.execute(
                    objects.update()
                    .where(objects.c.source_id == before_id, objects.c.object_key.in_(keys))
                    .values(
                        source_id=source.id,
                        gone=True,
                        told_number=0,
                        sequencer=None,
                        missed_listing_id=0,
                        first_missed_listing_id=0,
                    )
                )


def predecessors(tx: sa.Connection, source_id: str) -> set[str]:
    """Return the ids of sources whose record ids are this one's to take over."""
    return set(tx.execute(*_moved_to(source_id, what=sources.c.id)).scalars())


@built_once
def _moved_to(source_id: str, *, what: Any) -> sa.Select[Any]:
    here = sources.c.moved_to == source_id
    return sa.select(what).where(here).order_by(sources.c.created_at)


def left_before(
    tx: sa.Connection, source_id: str, keys: Sequence[str]
) -> dict[str, list[DocumentState]]:
    """Return what sources in whose place this one stands have of each key, in its database."""
    left = sorted(predecessors(tx, source_id))
    found: dict[str, list[DocumentState]] = {}
    for part in groups(keys) if left else ():
        for row in tx.execute(*_left_in(source_id, left, part)):
            found.setdefault(row.object_key, []).append(document_of(row))
    return found


@built_once
def _left_in(source_id: str, before: Sequence[str], keys: Sequence[str]) -> sa.Select[Any]:
    here = sources.alias("here")
    return sa.select(documents).where(
        here.c.id == source_id,
        documents.c.source_id.in_(before),
        documents.c.tenant == here.c.tenant,
        documents.c.database_name == here.c.database_name,
        documents.c.object_key.in_(keys),
        documents.c.phase != "removing",
    )


def documents_before(
    tx: sa.Connection, source_id: str, keys: Sequence[str]
) -> dict[str, DocumentState]:
    """Return what the newest of the sources in whose place this one stands made of each key.

    As a document of this one's collection; none of other collections, which stay as they are or
    go. What was said of the key before that one took it over holds no more.
    """
    found: dict[str, DocumentState] = {}
    for before in tx.execute(*_before(source_id)).all():
        for part in groups(keys):
            for row in tx.execute(*_last_words(before.id, before.collection_name, part)):
                one = replace(document_of(row), collection_name=before.here)
                found.setdefault(one.object_key, one)
    return found


@built_once
def _before(source_id: str) -> Any:
    now = sources.alias("now")
    return (
        sa.select(sources.c.id, sources.c.collection_name, now.c.collection_name.label("here"))
        .join(now, now.c.id == sources.c.moved_to)
        .where(now.c.id == source_id)
        .order_by(sources.c.created_at.desc())
    )


@built_once
def _last_words(before_id: str, collection_name: str, keys: Sequence[str]) -> sa.Select[Any]:
    return (
        sa.select(documents)
        .where(
            documents.c.source_id == before_id,
            documents.c.collection_name == collection_name,
            documents.c.object_key.in_(keys),
        )
        # One that goes for another custom id has no say beside that.
        .order_by(
            documents.c.phase == "removing",  # as ``stood_last`` has it
            documents.c.owner == BESIDE,
            documents.c.id.desc(),
        )
    )


def _unseen(source_id: str, *, after: str) -> sa.Select[Any]:
    """Return the first keys behind one that only the sources before have documents of."""
    before = sa.select(sources.c.id).where(sources.c.moved_to == source_id)
    known = sa.exists().where(
        objects.c.source_id == source_id, objects.c.object_key == documents.c.object_key
    )
    return (
        sa.select(documents.c.object_key)
        .where(
            documents.c.source_id.in_(before),
            documents.c.phase != "removing",
            documents.c.object_key > after,
            sa.not_(known),
        )
        .distinct()
        .order_by(documents.c.object_key)
        .limit(ROWS_A_PART)
    )
