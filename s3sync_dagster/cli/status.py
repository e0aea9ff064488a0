"""``s3sync status``."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from s3sync_dagster.cli.chroma_silence import Silence, chroma_silence
from s3sync_dagster.cli.completing import source_names
from s3sync_dagster.cli.dagster_door import WAIT_SECONDS, DagsterDoor, dagster_door, why_unseen
from s3sync_dagster.cli.groups import examples
from s3sync_dagster.cli.options import as_json, opened
from s3sync_dagster.cli.showing import ago, people, reasons, until, wrapped
from s3sync_dagster.cli.source_options import writes_again_itself, written_again_by
from s3sync_dagster.cli.sync_summary import place_of
from s3sync_dagster.core.declaration import Declaration
from s3sync_dagster.core.estimate import Estimate
from s3sync_dagster.core.source_identity import refusal
from s3sync_dagster.core.state import ListingRow, QueueTrouble, SourceRow
from s3sync_dagster.engine.moving import how_far
from s3sync_dagster.estimating import still_to_embed
from s3sync_dagster.model.errors import EmbeddingMismatch, S3SyncError
from s3sync_dagster.model.source import AutoSync, DeleteMode, Source

if TYPE_CHECKING:
    from s3sync_dagster.wiring import Parts

SHARED_SENSOR = "catalog_auto_sync"
SensorIsOn = Callable[[str], bool | None]


@click.command(epilog=examples("s3sync status", "s3sync status docs --json"))
@click.argument("name", metavar="[SOURCE]", required=False, shell_complete=source_names)
@as_json
def status(name: str | None, as_json: bool) -> int:
    """Show what each source has and what works on it.

    Objects by state, the newest listing, what is in Chroma, and what a person could do.
    """
    with opened(chroma=False, dagster=False) as parts:
        if name is not None:
            parts.catalog.sources.find(name)
        rows = [row for row in parts.catalog.sources.rows() if name in (None, row.source.name)]
        door = dagster_door(parts.settings)
        silent = door.silence() if door is not None else None
        sensor_is_on = None if silent else _sensors(door)
        unseen = None if sensor_is_on else silent or why_unseen(parts.settings)
        troubles = parts.catalog.queue_troubles.of([row.source for row in rows])
        silence = chroma_silence(parts)
        found = [
            {
                **_status(parts, row, sensor_is_on, silence, trouble=troubles.get(row.source.id)),
                "unseen": unseen,
            }
            for row in rows
        ]
        looked_at = {"catalog": parts.catalog.database.shown(), "dagster": door and door.url}
        cache = parts.vector_cache.totals()
    if as_json:
        click.echo(json.dumps([{**one, **looked_at} for one in found]))
        return 0
    if door is not None and door.named:
        told = ", which does not answer" if silent else ""
        click.echo(f"catalog {looked_at['catalog']}, Dagster {door.url}{told}")
    for row, one in zip(rows, found, strict=True):
        _print(row.source, one, price=parts.settings.price_of(row.source.embedding))
    if lookups := cache["hits"] + cache["misses"]:
        click.echo(
            f"vector cache: {cache['entries']} vectors, {cache['bytes'] / 1e6:.1f} MB; "
            f"{cache['hits']} of {lookups} texts so far were in it ({cache['hits'] / lookups:.0%}) "
            "and cost no embedding"
        )
    if not found:
        click.echo("No sources yet: s3sync source create, or s3sync sync.", err=True)
    return 0


def _status(
    parts: Parts,
    row: SourceRow,
    sensor_is_on: SensorIsOn | None,
    silence: Silence,
    *,
    trouble: QueueTrouble | None,
) -> dict[str, Any]:
    source = row.source
    counts = parts.catalog.views.counts(source.id, fingerprint=source.fingerprint())
    to_embed = still_to_embed(parts.catalog, source, counts)
    listing = parts.catalog.listings.latest(source.id)
    blocked = parts.catalog.listings.blocked(source.id)
    refused = parts.catalog.sources.refused(source.id)
    declaration = parts.catalog.sources.declaration(source.id)
    now = parts.clock.now().timestamp()
    sensor = SHARED_SENSOR if row.origin == "catalog" else f"{source.name}_auto_sync"
    return {
        "source": source.name,
        "from": row.origin,
        "collection": source.collection_name,
        "auto_sync": source.auto_sync.value,
        "paused": row.paused,
        "deleting": row.deleting is not None,
        "refused": refusal(source, refused) if refused else None,
        "contradicted": declaration and declaration.rivalry(source.name, now),
        "declares": declaration is not None and declaration.holds(now),
        "forgotten_at": forgotten_at(row, declaration, now=now),
        "moving": how_far(source, catalog=parts.catalog),
        "stack": sensor_is_on is not None,
        "sensor": sensor,
        "sensor_on": sensor_is_on(sensor) if sensor_is_on else None,
        **asdict(counts),
        "waiting": [asdict(one) for one in parts.catalog.history.waiting(source.id)],
        "chroma_silent": silence(source) if counts.pending else None,
        "missing": parts.catalog.views.missing(source.id),
        "to_embed": to_embed and {**asdict(to_embed), "tokens": to_embed.tokens},
        "listing": _listing(listing) if listing else None,
        "blocked_listing": _listing(blocked) if blocked else None,
        "queue_trouble": trouble and asdict(trouble),
    }


def forgotten_at(row: SourceRow, declaration: Declaration | None, *, now: float) -> float | None:
    """Return when code declared a source for the last time that it lists no more."""
    source = row.source
    listed = source.auto_sync is not AutoSync.NONE and source.list_interval_seconds > 0
    if row.origin == "catalog" or declaration is None or not listed or row.paused:
        return None
    return declaration.at if declaration.forgotten(now) else None


def _sensors(door: DagsterDoor | None) -> SensorIsOn | None:
    """Return who knows the switches of the Dagster UI; None where no Dagster is seen."""
    if door is None:
        return None

    def is_on(sensor: str) -> bool | None:
        try:
            with door.open(timeout_seconds=WAIT_SECONDS) as dagster:
                return dagster.sensor_is_on(sensor)
        except S3SyncError:
            return None  # it starts, or stops: not known now

    return is_on


def _listing(listing: ListingRow) -> dict[str, Any]:
    values = asdict(listing)
    values["state"] = listing.state.value
    return values


def _print(source: Source, one: dict[str, Any], *, price: float | None) -> None:
    place = f"{source.name}: {place_of(source)} -> {source.collection_name}"
    click.echo(wrapped(place, hanging="    "))
    click.echo(_field("works", _works(one)))
    missing = f", {one['missing']} of them not found by a listing" if one["missing"] else ""
    click.echo(_field("objects", f"{one['objects']}{missing}"))
    for state in ("indexed", "pending", "processing"):
        if one[state]:
            click.echo(f"  {state:<10} {one[state]}")
    if one["waiting"]:
        tried = {each["reason"]: each["number"] for each in one["waiting"]}
        soon = until(min(each["next_at"] for each in one["waiting"]))
        click.echo(_field("", f"an attempt failed: {reasons(tried)}; again {soon}"))
    for state in ("skipped", "failed"):
        if one[state]:
            click.echo(_field(state, reasons(one[state])))
    outdated = f", {one['outdated']} of them outdated" if one["outdated"] else ""
    there = f"{one['chunks']} chunks of {one['documents']} documents{outdated}"
    click.echo(_field("in Chroma", there))
    if to_embed := one["to_embed"]:
        told = Estimate(texts=to_embed["texts"], text_bytes=to_embed["text_bytes"])
        click.echo(_field("to embed", f"{told.told(price=price)}, by names and sizes"))
    if one["leaving"]:
        click.echo(_field("leaving", f"{reasons(one['leaving'])} (their objects are gone)"))
    click.echo(_field("listing", _listed(one["listing"])))
    if trouble := one["queue_trouble"]:
        told = f"cannot be read: {people(trouble['message'])} ({trouble['reason']})"
        click.echo(_field("queue", f"{told}; met first {ago(trouble['since'])}"))
    if one["moving"]:
        click.echo(_field("moved", one["moving"]))
    for told in filter(None, (one["refused"], one["contradicted"])):
        click.echo(wrapped(people(told), indent="  > ", hanging="    "))
    for advice in _advice(source, one):
        click.echo(wrapped(advice, indent="  > ", hanging="    "))


def _field(name: str, value: str) -> str:
    return wrapped(f"{name:<10} {value}", indent="  ", hanging=" " * 13)


def _works(one: dict[str, Any]) -> str:
    if one["deleting"]:
        return "is being deleted"
    if one["auto_sync"] == AutoSync.NONE:
        return "when asked (auto-sync none)"
    if one["paused"]:
        return f"paused (auto-sync {one['auto_sync']})"
    if one["forgotten_at"] is not None:
        return f"not now: code declared it {ago(one['forgotten_at'])} for the last time"
    return f"by itself (auto-sync {one['auto_sync']})"


def _listed(listing: dict[str, Any] | None) -> str:
    if listing is None:
        return "never"
    when = ago(listing["finished_at"] or listing["started_at"])
    error = f": {listing['error']}" if listing["error"] else ""
    return f"{listing['state']}, {listing['listed']} objects, {when}{error}"


def _advice(source: Source, one: dict[str, Any]) -> list[str]:
    """Return what a person could do, a sentence each."""
    found: list[str] = []
    if one["chroma_silent"]:
        found.append(one["chroma_silent"])
    if one["failed"]:
        found.append(f"why they failed: s3sync failures {source.name}")
    into = f"s3sync reindex {source.name} --into NEW"
    if EmbeddingMismatch.reason in one["failed"]:
        found.append(f"its collection has the vectors of another embedding: {into}")
    elif one["outdated"] and writes_again_itself(source):
        found.append("what is outdated is indexed again by itself")
    elif one["outdated"]:
        other = "" if one["from"] == "catalog" else f", or, after another embedding, {into}"
        found.append(f"to index what is outdated again: {written_again_by(source)}{other}")
        if source.mode is DeleteMode.APPEND:
            found.append(
                "in mode append, records of objects that are gone or have other bytes by now are "
                "kept, and stay outdated after that"
            )
    if blocked := one["blocked_listing"]:
        found.append(
            f"{blocked['gone']} removals of listing {blocked['id']} wait for a person; which they "
            f"are: s3sync approve-deletes {source.name}"
        )
    if one["forgotten_at"] is not None:
        found.append(
            "where its declaration was taken away its records stay as they are; to remove them: "
            f"s3sync source delete {source.name} --undeclared"
        )
    elif one["auto_sync"] != AutoSync.NONE and not one["paused"]:
        if not one["stack"] and not one["declares"]:
            found.append(f"nothing is seen that works on it: {one['unseen']}")
        elif one["sensor_on"] is False:
            found.append(f"its sensor {one['sensor']} is switched off in the Dagster UI")
    return found
