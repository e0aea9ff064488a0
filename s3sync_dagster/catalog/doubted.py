"""Documents of which nobody knows whether their records say who may read them.

They hold what a member said, or stand in a collection that a restored catalog has not looked at.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.built_once import built_once
from s3sync_dagster.catalog.rows import groups
from s3sync_dagster.catalog.tables import documents, objects, sources
from s3sync_dagster.core.carried import names_readers
from s3sync_dagster.core.closing import Closing
from s3sync_dagster.core.rights import MAX_TERMS, Doubted
from s3sync_dagster.core.state import LOOKED_THROUGH, RECOVERED, UNTOLD
from s3sync_dagster.core.vouching import withheld_for
from s3sync_dagster.model.source import DeleteMode, Source

MOST = 200
"""Documents of one source that a filter names; with more of them it is for nobody with groups."""
MOST_OF_ALL = MAX_TERMS
"""Those of all sources; beyond it, the sources that have the most are closed."""
_UNTOLD = documents.c.withheld.startswith(UNTOLD)


def doubted_of(
    tx: sa.Connection, restricted: Mapping[str, Collection[str]]
) -> tuple[Doubted, set[str]]:
    """Return documents whose records may say else than the catalog, of sources with reader keys.

    Args:
        tx: an open transaction.
        restricted: source id -> the keys that name readers.

    Returns:
        Them, and sources that have too many to name.
    """
    by_keys: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for source_id, keys in restricted.items():
        if keys:
            by_keys[tuple(keys)].append(source_id)
    found: dict[str, list[sa.Row[Any, Any, Any]]] = defaultdict(list)
    for keys, source_ids in by_keys.items():
        for ids in groups(source_ids):
            rows = _doubtful(tx, ids, keys)
            if len(rows) > MOST and len(ids) > 1:
                rows = [row for one in ids for row in _doubtful(tx, [one], keys)]
            for row in rows:
                found[row.source_id].append(row)
    closed: set[str] = set()
    named: list[tuple[str, str, str]] = []
    for source_id, rows in sorted(found.items(), key=lambda item: (len(item[1]), item[0])):
        if len(rows) > MOST or len(named) + len(rows) > MOST_OF_ALL:
            closed.add(source_id)
        else:
            named += [(source_id, row.document_id, row.object_key) for row in rows]
    keys_of: dict[str, set[str]] = defaultdict(set)
    for source_id, _, key in named:
        keys_of[source_id].add(key)
    return (
        Doubted(
            documents=frozenset((source_id, name) for source_id, name, _ in named),
            keys={source_id: frozenset(keys) for source_id, keys in keys_of.items()},
        ),
        closed,
    )


def _doubtful(
    tx: sa.Connection, ids: list[str], keys: Sequence[str]
) -> list[sa.Row[Any, Any, Any]]:
    """Return documents of sources with these keys, at most one more than a filter names."""
    query = sa.select(documents.c.source_id, documents.c.document_id, documents.c.object_key)
    found: list[sa.Row[Any, Any, Any]] = []
    for where in _are_doubtful(ids, keys):
        found.extend(tx.execute(query.where(*where).limit(MOST + 1 - len(found))).all())
    return found


def _are_doubtful(
    ids: list[str], keys: Sequence[str]
) -> Iterator[tuple[sa.ColumnElement[bool], ...]]:
    """Yield conditions for documents that ``core.vouching.in_doubt`` says it of."""
    doubtful = sa.or_(
        sa.not_(documents.c.withheld.startswith("[")),
        documents.c.phase != "clean",
        _names_any(keys),
    )
    written_for = withheld_for(keys)
    # Two stretches of an index: what was written for these very keys is not walked through.
    for stretch in (documents.c.withheld < written_for, documents.c.withheld > written_for):
        yield documents.c.source_id.in_(ids), stretch, doubtful


def _names_any(keys: Collection[str]) -> sa.ColumnElement[bool]:
    # As text, which both databases have: a value's quotes are escaped, so none looks like a key.
    told = sa.cast(documents.c.metadata, sa.Text)
    return sa.or_(*(told.contains(f"{json.dumps(key)}: ", autoescape=True) for key in keys))


def look_again(tx: sa.Connection, source_id: str, keys: Collection[str]) -> None:
    """Have a listing ask for each object with documents that are kept back for these keys.

    A look that ends without writing them closes them (``core.closing``), and they are asked for no
    more: whoever else closes them asks for one look. Records of metadata that say nothing under
    the keys are as if they were written for these.
    """
    mine, written_for = documents.c.source_id == source_id, withheld_for(keys)
    for stretch in (documents.c.withheld < written_for, documents.c.withheld > written_for):
        tx.execute(
            documents.update()
            .where(
                mine,
                stretch,
                documents.c.withheld.startswith("["),
                documents.c.phase == "clean",
                sa.not_(_names_any(keys)),
            )
            .values(withheld=written_for)
        )
        # Of what has no record there is nothing to be read: no look would close it.
        _ask_once(tx, source_id, mine, stretch, documents.c.high_water > 0, sa.not_(_UNTOLD))


def _ask_once(tx: sa.Connection, source_id: str, *which: sa.ColumnElement[bool]) -> None:
    """Have a listing ask for the objects of documents, whatever they ended with."""
    keys = sa.select(documents.c.object_key).where(*which)
    tx.execute(
        objects.update()
        .where(objects.c.source_id == source_id, objects.c.object_key.in_(keys))
        .values(fingerprint="")
    )


def ask_untold(tx: sa.Connection, source_id: str, ids: Collection[int]) -> None:
    """Have a listing ask once for the objects of those documents that were closed unseen."""
    mine = documents.c.source_id == source_id
    for part in groups(ids):
        _ask_once(tx, source_id, mine, documents.c.id.in_(part), _UNTOLD)


def close_changed(tx: sa.Connection, before: Mapping[str, Any], source: Source) -> None:
    """Keep a source's documents from readers whose records may not say what its settings do by now.

    So are records that a restored catalog may have forgotten: what no document tells of closes the
    source, until all is known. Where only the keys are others, records that were written for all
    that is asked for tell already who may read them. Of the rest a listing looks at each.

    Args:
        tx: an open transaction, in which the settings change.
        before: how its row had them.
        source: as it is to be.
    """
    now = source.to_json()
    if not source.reader_keys or _reader_settings(before) == _reader_settings(now):
        return
    forgetful = sources.c.looked_through != LOOKED_THROUGH  # nor NULL: no catalog put back
    tx.execute(
        sources.update().where(sources.c.id == source.id, forgetful).values(closed_unseen=True)
    )
    told = sa.false()
    if (
        _reader_settings({**before, "reader_keys": source.reader_keys}) == _reader_settings(now)
        and source.mode is not DeleteMode.APPEND  # which leaves alone what a sidecar says later
        and not names_readers(source)
    ):
        told = (
            sa.select(objects.c.object_key)
            .where(
                objects.c.source_id == documents.c.source_id,
                objects.c.object_key == documents.c.object_key,
                objects.c.outcome == "indexed",
                objects.c.outcome_etag == documents.c.etag,
                documents.c.phase == "clean",
                documents.c.fingerprint == source.fingerprint(),
            )
            .correlate(documents)
            .exists()
        )
    close(tx, documents.c.source_id == source.id, sa.not_(told))
    _ask_once(tx, source.id, documents.c.source_id == source.id, _UNTOLD)


def _reader_settings(config: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what of a source's settings decides who reads its documents."""
    keys = sorted(config.get("reader_keys") or ())
    said: Mapping[str, Any] = config.get("metadata") or {}
    return keys, {key: said[key] for key in keys if key in said}, origins(config)


def origins(config: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return from where besides its own ``metadata`` a source takes what its records say."""
    place = place_in(config)
    return (
        config.get("path_metadata"),
        bool(config.get("path_metadata_whole_key")),
        bool(config.get("bedrock_sidecars")),
        place.get("object_metadata") or [],
        place.get("object_tags") or [],
    )


def place_in(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the place of a source's row."""
    return config.get("place") or config  # older rows have it flat


def settle_readers(
    tx: sa.Connection, source: Source, closings: Mapping[str, Closing], *, written: Collection[int]
) -> None:
    """Keep documents from readers, or not any more, as they are written and their keys end.

    Args:
        tx: an open transaction.
        source: as the batch knows it.
        closings: by key.
        written: ids of documents. Under other settings than those of now they say who might have
            read them.
    """
    now: Mapping[str, Any] | None = tx.execute(*_config(source.id)).scalar_one_or_none()
    if not now or not (now.get("reader_keys") or source.reader_keys):
        return
    mine = documents.c.source_id == source.id
    by_others = _reader_settings(now) != _reader_settings(source.to_json())
    if by_others:
        for ids in groups(written):
            close(tx, mine, documents.c.id.in_(ids))
        closings = {key: replace(one, opened=()) for key, one in closings.items()}
    before = documents.c.source_id.in_(sa.select(sources.c.id).where(sources.c.origin == "moved"))
    for ids in groups([one for closing in closings.values() for one in closing.closed]):
        close(tx, sa.or_(mine, before), documents.c.id.in_(ids))
    for ids in groups([one for closing in closings.values() for one in closing.opened]):
        tx.execute(
            documents.update()
            .where(
                mine,
                documents.c.id.in_(ids),
                documents.c.phase == "clean",
                documents.c.withheld != RECOVERED,
                _UNTOLD,
            )
            .values(
                withheld=sa.func.nullif(sa.func.substr(documents.c.withheld, len(UNTOLD) + 1), "")
            )
        )
    if names_readers(source):
        _close_left_out(tx, source.id, list(closings))
    for keys in groups(closings if by_others else ()):  # what was seen is no answer to these
        _ask_once(tx, source.id, mine, documents.c.object_key.in_(keys), _UNTOLD)


def close_left_out(tx: sa.Connection, source_id: str, keys: Collection[str]) -> None:
    """Keep documents of objects from readers that selection has just left out.

    Nobody asks what those carry any more. What is archived is still wanted, and looked at.
    """
    if not keys:
        return
    source = with_reader_keys(tx, source_id)
    if source is not None and names_readers(source):
        _close_left_out(tx, source_id, keys)


def with_reader_keys(tx: sa.Connection, source_id: str) -> Source | None:
    """Return a source that says who may read; None: it says nothing of that, or is no more."""
    query = sa.select(sources.c.config).where(sources.c.id == source_id)
    config: Mapping[str, Any] | None = tx.execute(query).scalar_one_or_none()
    if not config or not config.get("reader_keys"):
        return None
    return Source.from_json(config)


def _close_left_out(tx: sa.Connection, source_id: str, keys: Iterable[str]) -> None:
    left_out = (
        sa.select(objects.c.object_key)
        .where(
            objects.c.source_id == documents.c.source_id,
            objects.c.object_key == documents.c.object_key,
            objects.c.skip_reason.is_not(None),
            objects.c.skip_reason != "archived",
            objects.c.gone.is_(False),
        )
        .correlate(documents)
        .exists()
    )
    for part in groups(keys):
        which = (documents.c.source_id == source_id, documents.c.object_key.in_(part), left_out)
        close(tx, *which)
        _ask_once(tx, source_id, *which, _UNTOLD)  # once selection takes it again


def close(tx: sa.Connection, *which: sa.ColumnElement[bool]) -> None:
    """Keep documents from readers; also those on their way out, which may be there for long."""
    before = sa.func.coalesce(documents.c.withheld, "")
    tx.execute(
        documents.update()
        .where(
            *which,
            before.not_like(f"{UNTOLD}%"),
        )
        .values(withheld=sa.literal(UNTOLD) + before)
    )


@built_once
def _config(source_id: str) -> sa.Select[Any]:
    return sa.select(sources.c.config).where(sources.c.id == source_id)
