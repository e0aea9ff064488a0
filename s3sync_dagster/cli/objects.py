"""``s3sync failures``, ``retry``, ``why``, ``approve-deletes``: single objects and decisions."""

import json
from collections.abc import Iterator
from typing import Any

import click

from s3sync_dagster.cli.options import as_json, opened
from s3sync_dagster.cli.showing import people, until, wrapped
from s3sync_dagster.explaining import explain_key
from s3sync_dagster.model.errors import NotFound
from s3sync_dagster.model.source import Source
from s3sync_dagster.wiring import Parts

PAGE = 1000


@click.command()
@click.argument("name", required=False)
@as_json
def failures(name: str | None, as_json: bool) -> int:
    """List what failed, why, and when it is tried again."""
    with opened(chroma=False) as parts:
        found = [one for source in _chosen(parts, name) for one in _failed(parts, source)]
    if as_json:
        click.echo(json.dumps(found))
        return 0
    for one in found:
        click.echo(f"{one['source']}: {people(one['key'])}")
        click.echo(wrapped(f"{one['reason']}: {one['error']}", indent="  "))
        click.echo(f"  tried again {until(one['next_try'])}")
    if not found:
        click.echo("Nothing failed.", err=True)
    return 0


@click.command()
@click.argument("name")
@click.argument("keys", nargs=-1)
def retry(name: str, keys: tuple[str, ...]) -> int:
    """Ask again for what failed in the source NAME, all of it or only KEYS."""
    with opened(chroma=False) as parts:
        source = parts.catalog.sources.find(name)
        number = parts.catalog.invocations.retry_failed(source, keys=keys or None)
    if keys and not number:
        raise NotFound(f"None of these keys failed in the source {name!r}.")
    click.echo(f"{number} objects are tried again by the next run or sync", err=True)
    return 0


@click.command()
@click.argument("key")
@click.option("--source", "name", help="Only this source.")
@as_json
def why(key: str, name: str | None, as_json: bool) -> int:
    """Explain what each source does with the object KEY, and what became of it."""
    with opened(chroma=False) as parts:
        answers = [
            answer
            for source in _chosen(parts, name)
            if (answer := _explained(parts, source, key, asked=name is not None))
        ]
    if not answers:
        raise NotFound(f"No source takes {key!r}, and none knows it.")
    if as_json:
        click.echo(json.dumps(answers))
        return 0
    for one in answers:
        reason = f" ({one['reason']})" if one["reason"] else ""
        chunks = f", {one['chunks']} chunks" if one["chunks"] else ""
        click.echo(f"{one['source']}: {one['state']}{reason}{chunks}")
        for sentence in one["decision"]:
            click.echo(wrapped(sentence, indent="  "))
        if one["error"]:
            click.echo(wrapped(one["error"], indent="  "))
        if one["state"] == "failed":
            click.echo(f"  Tried again {until(one['next_try'])}.")
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


def _failed(parts: Parts, source: Source) -> Iterator[dict[str, Any]]:
    after = None
    while rows := parts.catalog.views.object_rows(
        source.id, state="failed", after=after, limit=PAGE
    ):
        after = rows[-1].object_key
        for row in rows:
            yield {
                "source": source.name,
                "key": row.object_key,
                "reason": row.reason,
                "error": row.error,
                "next_try": row.next_retry_at,
            }


def _explained(parts: Parts, source: Source, key: str, *, asked: bool) -> dict[str, Any] | None:
    """Return what the source says of a key; None where it has nothing to do with it."""
    found = explain_key(parts.catalog, source, key)
    if not found.known and not asked and not key.startswith(source.place.path_prefix):
        return None
    row = found.row
    return {
        "source": source.name,
        "decision": found.decision,
        "state": row.state if row else "unknown",
        "reason": row.reason if row else None,
        "error": row.error if row else None,
        "next_try": row.next_retry_at if row else None,
        "chunks": row.chunks if row else 0,
    }
