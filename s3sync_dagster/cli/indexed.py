"""What collections have of an object: for ``s3sync chunks s3://BUCKET/KEY``."""

import json

import click

from s3sync_dagster.cli.addresses import key_in
from s3sync_dagster.cli.options import opened
from s3sync_dagster.cli.query import place_of
from s3sync_dagster.cli.showing import people
from s3sync_dagster.core.rights import EVERYTHING
from s3sync_dagster.core.state import DocumentPhase, DocumentState
from s3sync_dagster.model.errors import NotFound
from s3sync_dagster.model.source import Source
from s3sync_dagster.reading import read_chunks
from s3sync_dagster.search import opened as opened_collection
from s3sync_dagster.wiring import Parts


def show_indexed(text: str, *, as_json: bool) -> int:
    """Print the chunks that collections have of an object.

    Args:
        text: its key, or its address.
        as_json: one list of all of them.

    Raises:
        NotFound: there is no such file, and no source has indexed such an object.
    """
    shown: list[dict[str, object]] = []
    with opened(chroma=False, dagster=False) as parts:
        found = _documents(parts, text)
    if not found:
        raise NotFound(
            f"There is no file {text!r}, and no source has indexed an object of that key: "
            "s3sync why says what became of a key.",
            reason="object_not_indexed",
        )
    with opened(dagster=False) as parts:
        for source, document in found:
            name = document.collection_name
            if not as_json:
                key = people(document.object_key)
                click.echo(f"{key} in {name}, of source {source.name}: {document.count} chunks")
            with opened_collection(
                parts,
                name,
                reader=EVERYTHING,
                tenant=document.tenant,
                database=document.database_name,
                ranking="dense",
            ) as searcher:
                for piece in read_chunks(searcher.collection, document.document_id, document.count):
                    hit = piece.hit
                    if not as_json:
                        click.echo(f"-- {piece.number}: {place_of(hit)}")
                        click.echo("\n".join(people(line) for line in piece.text.splitlines()))
                    told = {"id": hit.id, "document": hit.document, "metadata": dict(hit.metadata)}
                    shown.append({"collection": name, **told})
    if as_json:
        click.echo(json.dumps(shown, ensure_ascii=False))
    return 0


def _documents(parts: Parts, text: str) -> list[tuple[Source, DocumentState]]:
    return [
        (source, document)
        for source in parts.catalog.sources.all()
        if (key := key_in(source, text)) is not None
        for document in parts.catalog.documents.of_key(source.id, key)
        if document.phase is not DocumentPhase.REMOVING and document.count
    ]
