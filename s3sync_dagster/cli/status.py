"""``s3sync status``, ``failures``, ``retry``, ``why``, ``approve-deletes``."""

import json
from dataclasses import asdict
from typing import Any

import click

from s3sync_dagster.cli.options import as_json, opened
from s3sync_dagster.core.selection import explain
from s3sync_dagster.core.state import ListingRow
from s3sync_dagster.model.errors import NotFound
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.model.source import Source
from s3sync_dagster.wiring import Parts


@click.command()
@click.argument("name", required=False)
@as_json
def status(name: str | None, as_json: bool) -> int:
    """Show each source's objects by state, its newest listing and its work."""
    with opened(chroma=False) as parts:
        rows = [row for row in parts.catalog.sources.rows() if name in (None, row.name)]
        if name is not None and not rows:
            parts.catalog.sources.find(name)
        found = [_status(parts, Source.from_json(row.config), row) for row in rows]
    if as_json:
        click.echo(json.dumps(found))
        return 0
    for one in found:
        click.echo(f"{one['source']} -> {one['collection']}{_switches(one)}")
        click.echo(
            f"  {one['objects']} objects: {one['indexed']} indexed, {one['pending']} pending, "
            f"{one['processing']} processing, {_sum(one['skipped'])} skipped, "
            f"{_sum(one['failed'])} failed"
        )
        for state in ("skipped", "failed"):
            for reason, number in sorted(one[state].items()):
                click.echo(f"    {state}: {reason} {number}")
        click.echo(
            f"  {one['documents']} documents, {one['chunks']} chunks"
            + (f", {one['outdated']} outdated" if one["outdated"] else "")
        )
        if one["listing"]:
            click.echo(f"  newest listing: {one['listing']['state']}")
            if one["listing"]["state"] == "blocked":
                click.echo(
                    f"    {one['listing']['gone']} removals wait: s3sync approve-deletes "
                    f"{one['source']}"
                )
    return 0


@click.command()
@click.argument("name", required=False)
@as_json
def failures(name: str | None, as_json: bool) -> int:
    """List what failed, why, and when it is tried again."""
    found: list[dict[str, Any]] = []
    with opened(chroma=False) as parts:
        for source in _chosen(parts, name):
            after = None
            while rows := parts.catalog.views.object_rows(
                source.id, state="failed", after=after, limit=1000
            ):
                after = rows[-1].object_key
                found += [
                    {
                        "source": source.name,
                        "key": row.object_key,
                        "reason": row.reason,
                        "error": row.error,
                        "next_try": row.next_retry_at,
                    }
                    for row in rows
                ]
    if as_json:
        click.echo(json.dumps(found))
        return 0
    for one in found:
        click.echo(f"{one['source']}  {one['key']}  {one['reason']}: {one['error']}")
    return 0


@click.command()
@click.argument("name")
@click.argument("keys", nargs=-1)
def retry(name: str, keys: tuple[str, ...]) -> int:
    """Ask again for what failed in the source NAME, all of it or only KEYS."""
    with opened(chroma=False) as parts:
        source = parts.catalog.sources.find(name)
        number = parts.catalog.invocations.retry_failed(source, keys=keys or None)
    click.echo(f"{number} objects are tried again by the next run or sync", err=True)
    return 0


@click.command()
@click.argument("key")
@click.option("--source", "name", help="Only this source.")
@as_json
def why(key: str, name: str | None, as_json: bool) -> int:
    """Explain what each source does with the object KEY, and what became of it."""
    answers: list[dict[str, Any]] = []
    with opened(chroma=False) as parts:
        for source in _chosen(parts, name):
            known = parts.catalog.work.object(source.id, key)
            if known is None and name is None and not key.startswith(source.path_prefix):
                continue
            ref = ObjectRef(
                key=key,
                etag=known.etag if known else "",
                size=known.size if known else -1,
                storage_class=known.storage_class if known else "STANDARD",
            )
            rows = parts.catalog.views.object_rows(source.id, key=key)
            answers.append(
                {
                    "source": source.name,
                    "decision": explain(source, ref),
                    "state": rows[0].state if rows else "unknown",
                    "reason": rows[0].state_reason if rows else None,
                    "error": rows[0].error if rows else None,
                    "chunks": int(rows[0].chunks) if rows else 0,
                }
            )
    if as_json:
        click.echo(json.dumps(answers))
        return 0
    if not answers:
        raise NotFound(f"No source takes {key!r}, and none knows it.")
    for one in answers:
        click.echo(
            f"{one['source']}: {one['state']}" + (f" ({one['reason']})" if one["reason"] else "")
        )
        for sentence in one["decision"]:
            click.echo(f"  {sentence}")
        if one["error"]:
            click.echo(f"  {one['error']}")
    return 0


@click.command()
@click.argument("name")
def approve_deletes(name: str) -> int:
    """Let the newest listing of NAME remove what the guard stopped."""
    with opened(chroma=False) as parts:
        source = parts.catalog.sources.find(name)
        listing = parts.catalog.listings.approve(source.id)
    if listing is None:
        raise NotFound(f"No removals of {name!r} wait for an approval.")
    click.echo(f"{listing.gone} documents are removed by the next run or sync", err=True)
    return 0


def _chosen(parts: Parts, name: str | None) -> list[Source]:
    if name is not None:
        return [parts.catalog.sources.find(name)]
    return parts.catalog.sources.all()


def _status(parts: Parts, source: Source, row: Any) -> dict[str, Any]:
    counts = parts.catalog.views.counts(source.id, fingerprint=source.fingerprint())
    listing = parts.catalog.listings.latest(source.id)
    return {
        "source": source.name,
        "collection": source.collection_name,
        "auto_sync": source.auto_sync.value,
        "paused": row.paused,
        "deleting": row.deleting is not None,
        **asdict(counts),
        "listing": _listing(listing) if listing else None,
    }


def _listing(listing: ListingRow) -> dict[str, Any]:
    values = asdict(listing)
    values["state"] = listing.state.value
    return values


def _switches(one: dict[str, Any]) -> str:
    marks = [one["auto_sync"]]
    marks += ["paused"] if one["paused"] else []
    marks += ["deleting"] if one["deleting"] else []
    return f"  [{', '.join(marks)}]"


def _sum(reasons: dict[str, int]) -> int:
    return sum(reasons.values())
