"""``s3sync query``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from s3sync_dagster.catalog.versions import unseen_since_restore
from s3sync_dagster.cli.completing import collection_names
from s3sync_dagster.cli.groups import examples
from s3sync_dagster.cli.options import as_json, chroma_url, opened
from s3sync_dagster.cli.showing import people, wrapped
from s3sync_dagster.cli.source_options import embedding, embedding_config
from s3sync_dagster.core.filters import MAX_DEPTH
from s3sync_dagster.core.rights import EVERYTHING
from s3sync_dagster.engine.hybrid import Ranking, reasons_of
from s3sync_dagster.engine.neighbours import document_of
from s3sync_dagster.meant import FILLED_BY_NONE, naming_collections
from s3sync_dagster.model.document import Hit
from s3sync_dagster.model.errors import InvalidSetting, NotFound
from s3sync_dagster.search import require_words, search

if TYPE_CHECKING:
    from s3sync_dagster.wiring import Parts

LINES = 6
"""Of a chunk that people are shown."""
COPIES = 3
"""Places of the same text that people are shown."""
LOOKED_AT = 20
"""Hits whose metadata tell which keys there are."""


@click.command(
    epilog=examples(
        's3sync query "how do I rotate a key" --collection docs',
        "s3sync query invoice -c docs --words -n 20 --context 1",
        """s3sync query holidays -c docs --where '{"language": "markdown"}' --json""",
    )
)
@click.argument("words", nargs=-1, required=True)
@click.option(
    "--collection", "-c", required=True, shell_complete=collection_names, help="Chroma collection."
)
@click.option("--tenant", help="Where several have a collection of that name.")
@click.option("--database", help="Where several have a collection of that name.")
@click.option(
    "--hybrid",
    "ranking",
    flag_value="hybrid",
    default=True,
    help="Rank by vectors and words together (the default).",
)
@click.option("--dense", "ranking", flag_value="dense", help="Rank by vectors alone.")
@click.option("--words", "ranking", flag_value="words", help="Rank by words alone.")
@click.option(
    "--context",
    type=click.IntRange(0, 20),
    default=0,
    show_default=True,
    help="Chunks before and after each hit that are shown too.",
)
@click.option("--group", is_flag=True, help="Hits of one document stand together.")
@click.option("--where", metavar="JSON", help="Chroma's metadata filter.")
@click.option(
    "-n", "--limit", type=click.IntRange(1, 1000), default=5, show_default=True, help="Hits."
)
@embedding("For collections that no source here fills.")
@chroma_url
@as_json
def query(
    words: tuple[str, ...],
    collection: str,
    tenant: str | None,
    database: str | None,
    ranking: Ranking,
    context: int,
    group: bool,
    where: str | None,
    limit: int,
    chroma_url: str | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Search a collection for WORDS and print the best chunks.

    The score orders the hits of one question: the first has 1, or near it, also where nothing fits.
    How much a hit fits is told behind it: dense is the likeness to the question, words its words.
    """
    question = " ".join(words)
    require_words(question)
    condition = _condition(where)
    lacks: list[str] = []
    with (
        opened(chroma_url) as parts,
        naming_collections(
            collection, parts.catalog.sources.all(moved=True), otherwise=FILLED_BY_NONE
        ),
        _telling_of_restore(parts, collection, tenant, database, lacks),
    ):
        ask = partial(
            search,
            parts,
            question,
            reader=EVERYTHING,
            collection=collection,
            tenant=tenant,
            database=database,
            ranking=ranking,
            embedding=embedding_config(options),
        )
        hits = ask(where=condition, limit=limit, context=context, group=group, lacks=lacks)
        if condition and not hits:
            lacks += _told_keys(condition, ask(where=None, limit=LOOKED_AT))
    for one in lacks:
        click.echo(wrapped(one, stream=sys.stderr), err=True)
    if as_json:
        click.echo(json.dumps([_values(hit) for hit in hits]))
        return 0
    document = None
    for place, hit in enumerate(hits, 1):
        if group and document_of(hit)[0] != document:
            document = document_of(hit)[0]
            click.secho(key_of(hit), bold=sys.stdout.isatty() or None)
        click.secho(
            wrapped(f"{place}. {describe(hit)}", hanging="   "), bold=sys.stdout.isatty() or None
        )
        for copy in hit.copies[:COPIES]:
            click.echo(f"   the same text: {place_of(copy)}")
        if len(hit.copies) > COPIES:
            click.echo(f"   ... and {len(hit.copies) - COPIES} more of the same text")
        for around in hit.before:
            _show(around, "- ")
        _show(hit, "> " if context else "")
        for around in hit.after:
            _show(around, "- ")
    if not hits:
        click.echo("No hits.", err=True)
    return 0


@contextmanager
def _telling_of_restore(
    parts: Parts, collection: str, tenant: str | None, database: str | None, lacks: list[str]
) -> Iterator[None]:
    """Say why a question finds little, or no collection, after a restore."""
    try:
        yield
    except NotFound as error:
        told = _since_restore(parts, collection, tenant, database)
        if told is None:
            raise
        raise NotFound(f"{error.message}. {told}", reason=error.reason) from None
    if told := _since_restore(parts, collection, tenant, database):
        lacks.append(told)


def _since_restore(
    parts: Parts, collection: str, tenant: str | None, database: str | None
) -> str | None:
    names = unseen_since_restore(
        parts.catalog.database, collection, tenant=tenant, database_name=database
    )
    if not names:
        return None
    more = f" and {len(names) - 1} more sources" if len(names) > 1 else ""
    return (
        f"The catalog was restored, and not all records of {names[0]!r}{more} were looked at "
        "since: until then words do not find those, and what Chroma has lost is not there. "
        f"`s3sync rebuild {names[0]}` looks now."
    )


def describe(hit: Hit) -> str:
    """Return where a hit stands and why: ``a.md:3-9  0.812 (dense 0.655, words 7.1)``."""
    return f"{place_of(hit)}  {hit.score:.3f} ({reasons_of(hit)})"


def place_of(hit: Hit) -> str:
    """Return key, lines, page or enclosing headings, such as ``a.md:3-9 [Guide > Install]``."""
    data = hit.metadata
    place = key_of(hit)
    if data.get("start_line") is not None:
        place += people(f":{data['start_line']}-{data.get('end_line')}")
    if page := data.get("page"):
        place += f" (page {people(str(page))})"
    if inside := data.get("symbol") or data.get("heading_path"):
        place += f" [{people(str(inside))}]"
    return place


def key_of(hit: Hit) -> str:
    """Return the object's key; of a stranger's record its id."""
    return people(str(hit.metadata.get("document_key", hit.id)))


def _show(hit: Hit, mark: str) -> None:
    for line in _excerpt(hit.document, indent=f"   {mark}"):
        click.echo(line)


def _excerpt(text: str, *, indent: str) -> list[str]:
    lines = [line.expandtabs(4).rstrip() for line in text.splitlines() if line.strip()]
    shown = [wrapped(line, indent=indent) for line in lines[:LINES]]
    more = len(lines) - LINES
    if more > 0:
        shown.append(f"{indent}... {more} more line{'s' if more > 1 else ''}")
    return shown


def _values(hit: Hit) -> dict[str, Any]:
    return {
        "id": hit.id,
        "score": hit.score,
        "dense": hit.dense,
        "words": hit.words,
        "reranked": hit.reranked,
        "document": hit.document,
        "metadata": dict(hit.metadata),
        "copies": [{"id": one.id, "metadata": dict(one.metadata)} for one in hit.copies],
        "before": [{"id": one.id, "document": one.document} for one in hit.before],
        "after": [{"id": one.id, "document": one.document} for one in hit.after],
    }


def _told_keys(condition: Mapping[str, Any], others: Sequence[Hit]) -> list[str]:
    """Return a sentence where a filter asks for keys that hits without it do not have either."""
    known = {key for hit in others for key in hit.metadata}
    unknown = [key for key in dict.fromkeys(_keys(condition)) if key not in known]
    if not known or not unknown:
        return []
    names, there = (", ".join(map(people, some)) for some in (unknown, sorted(known)))
    told = f"none of the {len(others)} best chunks without it has that; they have {there}."
    return [f"--where asks for {names}, and {told}"]


def _keys(condition: Mapping[str, Any]) -> Iterator[str]:
    for key, value in condition.items():
        if not key.startswith("$"):
            yield key
        elif isinstance(value, list):  # $and, $or
            for one in value:  # type: ignore[reportUnknownVariableType]
                yield from _keys(one) if isinstance(one, dict) else ()  # type: ignore[reportUnknownArgumentType]


def _condition(where: str | None) -> dict[str, Any] | None:
    if where is None:
        return None
    try:
        value = json.loads(where)
    except json.JSONDecodeError:
        value = None
    except ValueError:  # of more digits than Python reads
        raise InvalidSetting("--where has a number that is too long for one.") from None
    except RecursionError:
        raise InvalidSetting(
            f"--where is nested too deeply: a filter has at most {MAX_DEPTH} levels."
        ) from None
    if not isinstance(value, dict):
        raise InvalidSetting('--where is no JSON object, such as \'{"language": "python"}\'.')
    return value
