"""Which server a bucket is at, where a command makes or finds a source of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from s3sync_dagster.cli.showing import people
from s3sync_dagster.core.source_identity import server_name
from s3sync_dagster.model.errors import Conflict, NotFound
from s3sync_dagster.model.s3_place import S3Place
from s3sync_dagster.model.source import Source

if TYPE_CHECKING:
    from s3sync_dagster.wiring import Parts

LOOKED_AT = 20
"""Documents by which a server is known again."""


def with_endpoint(source: Source) -> Source:
    """Return a new source with the endpoint that the environment names, as its own.

    So it stays what it is where the variable is missing or names another server later.
    """
    place = source.place
    if not isinstance(place, S3Place) or (url := _configured(place)) is None:
        return source
    return source.with_changes(place=replace(place, endpoint_url=url))


def find_source(parts: Parts, asked: Source, wanted: Source, *, keep: bool) -> Source | None:
    """Return the source of a place and collection that a person named; None: there is none.

    Args:
        parts: of the command.
        asked: as the person said it.
        wanted: that, with the endpoint that the environment names.
        keep: store the endpoint of one that was made without, once it is known.

    Raises:
        Conflict: only sources at other servers have it, and the command does not say which.
    """
    sources = parts.catalog.sources
    known = sources.find_identity(wanted)
    if known is not None or not isinstance(wanted.place, S3Place):
        return known
    others = [one for one in sources.all() if _same_but_server(one, wanted)]
    server = wanted.place.endpoint_url
    for one in others:
        if server is not None and sources.server_of(one) == server_name(server):
            return _learnt(parts, one, server, keep=keep)
    if asked.server or not (named := [one for one in others if one.server]):
        return None
    if server is None and len(named) == 1:
        [one] = named
        click.echo(
            f"The source {one.name!r} has this place and collection at {people(one.server)}, which "
            "is asked.",
            err=True,
        )
        return one
    raise _elsewhere(named, server)


def _elsewhere(named: Sequence[Source], server: str | None) -> Conflict:
    there = ", ".join(f"{one.name!r} at {people(one.server)}" for one in named)
    said = f", and AWS's variables or profile name {people(server)}" if server else ""
    return Conflict(
        f"This place and collection have the source {there}{said}: say which server is meant with "
        "--endpoint-url, or use another collection. Nothing was changed.",
        reason="source_overlaps",
    )


def _learnt(parts: Parts, source: Source, server: str, *, keep: bool) -> Source:
    """Store the endpoint of a source made without one, where its objects lie there indeed."""
    row = parts.catalog.sources.row(source.id)
    if source.server or row is None or row.origin != "catalog":
        return source  # what code declares is the code's to change
    documents = parts.catalog.documents.of_source(source.id, limit=LOOKED_AT)
    keys = {one.object_key for one in documents}
    there = 0
    with closing(parts.any_store_for(source)) as store:
        for key in keys:
            try:
                store.head(key)
            except NotFound:
                continue
            there += 1
    if 2 * there < len(keys):
        raise Conflict(
            f"The source {source.name!r} has this place and collection, without an endpoint of its "
            f"own, and of its first {len(keys)} objects {there} are at {people(server)}, which "
            "AWS's variables or profile name: it seems to be another server, and nothing was "
            "changed. Take the variable away, or use another collection; where the objects did go, "
            f"delete the source: s3sync source delete {source.name}.",
            reason="source_overlaps",
        )
    if not keep:
        return source
    assert isinstance(source.place, S3Place)
    own = source.with_changes(place=replace(source.place, endpoint_url=server))
    parts.catalog.sources.update(own, seen=source)
    click.echo(f"The source {source.name!r} keeps {people(server)} as its endpoint now.", err=True)
    return own


def _same_but_server(one: Source, wanted: Source) -> bool:
    mine, theirs = one.place.identity(), wanted.place.identity()
    return (
        mine._replace(endpoint_url="") == theirs._replace(endpoint_url="")
        and one.tenant == wanted.tenant
        and one.database_name == wanted.database_name
        and one.collection_name == wanted.collection_name
    )


def _configured(place: S3Place) -> str | None:
    from s3sync_dagster.ports.s3_endpoint import configured_endpoint  # noqa: PLC0415  (botocore)

    return configured_endpoint(place)
