"""``s3sync failures``, ``retry``, ``why``: what failed, single objects."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from s3sync_dagster.cli.addresses import key_in, near_keys, rows_under
from s3sync_dagster.cli.chroma_silence import chroma_silence
from s3sync_dagster.cli.completing import object_keys, source_names
from s3sync_dagster.cli.groups import examples
from s3sync_dagster.cli.options import as_json, opened
from s3sync_dagster.cli.showing import people, until, wrapped
from s3sync_dagster.core.rights import WHOLE
from s3sync_dagster.explaining import explain_key
from s3sync_dagster.model.errors import NotFound
from s3sync_dagster.model.source import Source
from s3sync_dagster.reasons import known_reasons, way_out

if TYPE_CHECKING:
    from s3sync_dagster.wiring import Parts

SHOWN = 5
"""Keys of each reason that people are shown."""


@click.command(
    epilog=examples(
        "s3sync failures",
        "s3sync failures docs --reason damaged -n 50",
        "s3sync failures --json",
    )
)
@click.argument("name", metavar="[SOURCE]", required=False, shell_complete=source_names)
@click.option("--reason", help="Only what failed for it; see docs/reasons.md.")
@click.option(
    "-n", "--limit", type=click.IntRange(min=1), default=SHOWN, show_default=True,
    help="Keys of each reason; --json has all.",
)  # fmt: skip
@as_json
def failures(name: str | None, reason: str | None, limit: int, as_json: bool) -> int:
    """Show what failed, by reason, and when it is tried again."""
    with opened(chroma=False, dagster=False) as parts:
        sources = _chosen(parts, name)
        found = [one for source in sources for one in _failed(parts, source, reason)]
        waiting = [(one.name, parts.catalog.history.waiting(one.id)) for one in sources]
    if as_json:
        click.echo(json.dumps(found))
        return 0
    for place, rows in groupby(found, key=lambda one: one["source"]):
        _show_failures(place, list(rows), limit)
    if not found:
        click.echo("Nothing failed.", err=True)
    for place, those in waiting:
        for one in those:
            told = f"{place}: {one.number} not done yet, an attempt failed: {one.reason}: "
            told += f"{one.error.rstrip('.')}. Tried again {until(one.next_at)}."
            click.echo(told, err=True)
    return 0


@click.command(
    epilog=examples(
        "s3sync retry docs",
        "s3sync retry docs prefix/a.pdf s3://bucket/prefix/b.pdf",
        "s3sync retry s3://bucket/prefix/a.pdf",
        "s3sync retry docs --reason missing_model",
    )
)
@click.argument("name", metavar="SOURCE|s3://BUCKET/KEY", shell_complete=source_names)
@click.argument("keys", nargs=-1, shell_complete=object_keys)
@click.option("--reason", help="Only what failed for it.")
def retry(name: str, keys: tuple[str, ...], reason: str | None) -> int:
    """Ask again for what failed in a source.

    All of it, one reason, or only KEYS.
    """
    with opened(chroma=False, dagster=False) as parts:
        if "://" in name:
            keys, sources = (name, *keys), parts.catalog.sources.all()
        else:
            sources = [parts.catalog.sources.find(name)]
        number = sum(_retry(parts, source, keys, reason) for source in sources)
        near = [] if number else [one for key in keys for one in _near(parts, sources, key)]
        if reason and not number:
            near += _near_reasons(parts, sources, reason)
    if (keys or reason) and not number:
        asked = "these keys" if keys else f"those with the reason {reason!r}"
        where = "" if "://" in name else f" in {name!r}"
        raise NotFound(f"None of {asked} failed{where}.{_meant(near)}")
    click.echo(f"{number} objects are tried again by the next run or sync", err=True)
    return 0


@click.command(
    epilog=examples(
        "s3sync why prefix/a.pdf",
        "s3sync why s3://bucket/prefix/a.pdf --source docs",
    )
)
@click.argument("key", metavar="KEY|s3://BUCKET/KEY", shell_complete=object_keys)
@click.option("--source", "name", shell_complete=source_names, help="Only this source.")
@as_json
def why(key: str, name: str | None, as_json: bool) -> int:
    """Explain what becomes of one object, and which rule decides.

    Ends with 1 where no listing has seen the key.
    """
    with opened(chroma=False, dagster=False) as parts:
        sources = _chosen(parts, name)
        answers = [
            answer
            for source in sources
            if (plain := key_in(source, key)) is not None
            and (answer := _explained(parts, source, plain, asked=name is not None))
        ]
        silence = chroma_silence(parts)
        for answer in answers:
            silent = answer["state"] == "pending" and silence(
                parts.catalog.sources.find(answer["source"])
            )
            answer["decision"] += [silent] if silent else []
        unknown = all(one["state"] == "unknown" for one in answers)
        near = _near(parts, sources, key) if unknown else []
    if not answers:
        raise NotFound(f"No source takes {key!r}, and none knows it.{_meant(near)}")
    if as_json:
        click.echo(json.dumps(answers))
        return 1 if unknown else 0
    for one in answers:
        reason = f" ({one['reason']})" if one["reason"] else ""
        chunks = f", {one['chunks']} chunks" if one["chunks"] else ""
        click.echo(f"{one['source']}: {one['state']}{reason}{chunks}")
        for sentence in one["decision"]:
            click.echo(wrapped(sentence, indent="  "))
        if one["error"]:
            click.echo(wrapped(one["error"], indent="  "))
        _show_way_out(one["reason"], indent="  ")
        if one["state"] == "failed":
            click.echo(f"  Tried again {until(one['next_try'])}.")
    if near:
        click.echo(_meant(near).strip(), err=True)
    return 1 if unknown else 0


def _chosen(parts: Parts, name: str | None) -> list[Source]:
    if name is not None:
        return [parts.catalog.sources.find(name)]
    return parts.catalog.sources.all()


def _failed(parts: Parts, source: Source, reason: str | None) -> Iterator[dict[str, Any]]:
    for row in rows_under(parts.catalog, source, state="failed", reason=reason):
        yield {
            "source": source.name,
            "key": row.object_key,
            "reason": row.reason,
            "error": row.error,
            "next_try": row.next_retry_at,
        }


def _show_failures(name: str, rows: Sequence[dict[str, Any]], limit: int) -> None:
    click.echo(f"{name}: {len(rows)} failed")
    by_reason: dict[str, list[dict[str, Any]]] = {}
    for one in rows:
        by_reason.setdefault(one["reason"], []).append(one)
    for reason, those in sorted(by_reason.items(), key=lambda item: -len(item[1])):
        click.echo(f"  {reason}: {len(those)}, tried again {_when(those)}")
        _show_way_out(reason, indent="    ")
        for one in those[:limit]:
            click.echo(f"    {people(one['key'])}")
            click.echo(wrapped(one["error"] or "", indent="      "))
        if len(those) > limit:
            rest = f"s3sync objects {name} --state failed --reason {reason}"
            click.echo(f"    and {len(those) - limit} more: {rest}")


def _show_way_out(reason: str | None, *, indent: str) -> None:
    if advice := way_out(reason):
        click.echo(wrapped(f"What to do: {advice}", indent=indent))


def _when(rows: Iterable[dict[str, Any]]) -> str:
    times = [one["next_try"] for one in rows]
    known = [time for time in times if time is not None]
    if len(known) < len(times) and known:
        return f"{until(min(known))} at the earliest, or when object or settings change"
    return until(min(known) if known else None)


def _retry(parts: Parts, source: Source, keys: Sequence[str], reason: str | None) -> int:
    wanted = [key for text in keys if (key := key_in(source, text)) is not None]
    if keys and not wanted:
        return 0
    if reason is not None:
        rows = rows_under(parts.catalog, source, state="failed", reason=reason)
        found = [row.object_key for row in rows]
        wanted = [key for key in found if not keys or key in set(wanted)]
        if not wanted:
            return 0
    return parts.catalog.invocations.retry_failed(source, keys=wanted or None)


def _near(parts: Parts, sources: Iterable[Source], text: str) -> list[str]:
    return [
        one
        for source in sources
        if (key := key_in(source, text)) is not None
        for one in near_keys(parts.catalog, source, key)
        if one != key
    ][:SHOWN]


def _near_reasons(parts: Parts, sources: Iterable[Source], reason: str) -> list[str]:
    """Return reasons that are spelt alike: those that something failed for, else any."""
    met = {word for source in sources for word in parts.catalog.views.counts(source.id).failed}
    known = known_reasons()
    near = get_close_matches(reason, sorted(met), n=SHOWN)
    return near or ([] if reason in known else get_close_matches(reason, known, n=1))


def _meant(near: Sequence[str]) -> str:
    return f" Did you mean {' or '.join(map(repr, dict.fromkeys(near)))}?" if near else ""


def _explained(parts: Parts, source: Source, key: str, *, asked: bool) -> dict[str, Any] | None:
    """Return what the source says of a key; None where it has nothing to do with it."""
    found = explain_key(parts.catalog, source, key, rights=WHOLE)
    if not found.known and not asked and not key.startswith(source.place.path_prefix):
        return None
    row = found.row
    return {
        "source": source.name,
        "decision": found.decision,
        "state": found.state,
        "reason": row.reason if row else None,
        "error": row.error if row else None,
        "next_try": row.next_retry_at if row and row.state != "indexed" else None,
        "chunks": row.chunks if row else 0,
    }
