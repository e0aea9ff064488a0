"""``s3sync query``."""

import json
from typing import Any

import click

from s3sync_dagster.cli.options import EMBEDDINGS, as_json, chroma_url, opened
from s3sync_dagster.model.document import Hit
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster.wiring import Parts


@click.command()
@click.argument("words")
@click.option("--collection", "-c", required=True, help="Chroma collection.")
@click.option("--where", help="Chroma's metadata filter as JSON.")
@click.option("-n", "limit", default=5, show_default=True, help="Number of hits.")
@click.option("--embedding", type=EMBEDDINGS, help="For collections that no source here fills.")
@chroma_url
@as_json
def query(
    words: str,
    collection: str,
    where: str | None,
    limit: int,
    embedding: str | None,
    chroma_url: str | None,
    as_json: bool,
) -> int:
    """Search a collection for WORDS and print the best chunks."""
    condition = _condition(where)
    with opened(chroma_url) as parts:
        hits = search(
            parts, words, collection=collection, where=condition, limit=limit, embedding=embedding
        )
    if as_json:
        click.echo(json.dumps([_as_json(hit) for hit in hits]))
        return 0
    for place, hit in enumerate(hits, 1):
        click.echo(f"{place}. {describe(hit)}")
        click.echo("   " + "\n   ".join(hit.document.strip().splitlines()[:6]))
    if not hits:
        click.echo("No hits.", err=True)
    return 0


def search(
    parts: Parts,
    words: str,
    *,
    collection: str,
    where: dict[str, Any] | None = None,
    limit: int = 5,
    embedding: str | None = None,
) -> list[Hit]:
    """Return the nearest chunks, best first. Raises ``NotFound`` for a missing collection."""
    sources = [one for one in parts.catalog.sources.all() if one.collection_name == collection]
    if embedding is not None:
        config = EmbeddingConfig(kind=embedding)  # type: ignore[arg-type]
    else:
        config = sources[0].embedding if sources else EmbeddingConfig()
    embedder = parts.embedder_for(config)
    port = parts.collections.open(
        collection,
        tenant=sources[0].tenant if sources else "default_tenant",
        database=sources[0].database_name if sources else "default_database",
        embedder=embedder,
        create=False,
    )
    return port.query(embedder.embed_query(words), limit=limit, where=where)


def describe(hit: Hit) -> str:
    """Return key, lines or page, and score."""
    data = hit.metadata
    place = f"{data.get('document_key')}:{data.get('start_line')}-{data.get('end_line')}"
    if page := data.get("page"):
        place += f" (page {page})"
    return f"{place}  {hit.score:.3f}"


def _as_json(hit: Hit) -> dict[str, Any]:
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
