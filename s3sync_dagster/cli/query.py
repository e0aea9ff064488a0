"""``s3sync query``."""

import json
import sys
from typing import Any

import click

from s3sync_dagster.cli.options import as_json, chroma_url, embedding, embedding_config, opened
from s3sync_dagster.cli.showing import people, wrapped
from s3sync_dagster.model.document import Hit
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.search import search

LINES = 6
"""Of a chunk that people are shown."""


@click.command()
@click.argument("words")
@click.option("--collection", "-c", required=True, help="Chroma collection.")
@click.option("--tenant", help="Where several have a collection of that name.")
@click.option("--database", help="Where several have a collection of that name.")
@click.option("--hybrid", is_flag=True, help="Rank by words too, and fuse both rankings.")
@click.option("--where", metavar="JSON", help="Chroma's metadata filter.")
@click.option(
    "-n", "limit", type=click.IntRange(1, 1000), default=5, show_default=True, help="Hits."
)
@embedding("For collections that no source here fills.")
@chroma_url
@as_json
def query(
    words: str,
    collection: str,
    tenant: str | None,
    database: str | None,
    hybrid: bool,
    where: str | None,
    limit: int,
    chroma_url: str | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Search a collection for WORDS and print the best chunks."""
    if not words.strip():
        raise InvalidSetting("WORDS are empty: say what to search for.")
    condition = _condition(where)
    with opened(chroma_url) as parts:
        hits = search(
            parts,
            words,
            collection=collection,
            tenant=tenant,
            database=database,
            where=condition,
            limit=limit,
            hybrid=hybrid,
            embedding=embedding_config(options),
        )
    if as_json:
        click.echo(json.dumps([_values(hit) for hit in hits]))
        return 0
    for place, hit in enumerate(hits, 1):
        click.secho(f"{place}. {describe(hit)}", bold=sys.stdout.isatty() or None)
        for line in _excerpt(hit.document):
            click.echo(line)
    if not hits:
        click.echo("No hits.", err=True)
    return 0


def describe(hit: Hit) -> str:
    """Return key, lines, page or enclosing headings, and score, such as ``a.md:3-9  0.812``."""
    data = hit.metadata
    place = people(str(data.get("document_key", hit.id)))
    if data.get("start_line") is not None:
        place += f":{data['start_line']}-{data.get('end_line')}"
    if page := data.get("page"):
        place += f" (page {people(str(page))})"
    if inside := data.get("symbol") or data.get("heading_path"):
        place += f" [{people(str(inside))}]"
    return f"{place}  {hit.score:.3f}"


def _excerpt(text: str) -> list[str]:
    lines = [line.expandtabs(4).rstrip() for line in text.splitlines() if line.strip()]
    shown = [wrapped(line, indent="   ") for line in lines[:LINES]]
    more = len(lines) - LINES
    if more > 0:
        shown.append(f"   ... {more} more line{'s' if more > 1 else ''}")
    return shown


def _values(hit: Hit) -> dict[str, Any]:
    return {
        "id": hit.id,
        "score": hit.score,
        "document": hit.document,
        "metadata": dict(hit.metadata),
    }


def _condition(where: str | None) -> dict[str, Any] | None:
    if where is None:
        return None
    try:
        value = json.loads(where)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise InvalidSetting('--where is no JSON object, such as \'{"language": "python"}\'.')
    return value
