"""``s3sync extract FILE`` and ``s3sync chunks FILE|KEY``: see what becomes of a file."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from s3sync_dagster.chunking import chunk_document
from s3sync_dagster.chunking.show import render_html, render_terminal
from s3sync_dagster.cli.groups import examples
from s3sync_dagster.cli.showing import people
from s3sync_dagster.embedding.minilm import MiniLmModel
from s3sync_dagster.embedding.minilm_files import find_minilm
from s3sync_dagster.engine.ports import ModelLimits
from s3sync_dagster.extraction import extract_document
from s3sync_dagster.model.document import Document
from s3sync_dagster.model.errors import MissingEngine
from s3sync_dagster.model.source import ChunkingConfig, ExtractionConfig
from s3sync_dagster.workers import open_pool

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(epilog=examples("s3sync extract report.pdf", "s3sync extract report.pdf --json"))
@click.argument("file", type=FILE)
@click.option("--json", "as_json", is_flag=True, help="Print the provenance as JSON.")
def extract(file: Path, as_json: bool) -> int:
    """Print the text that extraction makes of FILE.

    FILE lies on this machine; what was indexed of an object is shown by s3sync chunks.
    """
    from s3sync_dagster.extraction.show import provenance  # noqa: PLC0415

    document = _read(file)
    if as_json:
        click.echo(json.dumps(provenance(document), ensure_ascii=False))
    else:
        click.echo(_for_a_terminal(document.text) if sys.stdout.isatty() else document.text)
    for warning in document.warnings:
        click.echo(f"warning: {warning}", err=True)
    return 0


@click.command(
    epilog=examples(
        "s3sync chunks main.py",
        "s3sync chunks notes.md --max-size-bytes 512 --json",
        "s3sync chunks s3://bucket/prefix/a.pdf",
    )
)
@click.argument("what", metavar="FILE|KEY|s3://BUCKET/KEY", type=click.Path(dir_okay=False))
@click.option(
    "--max-size-bytes",
    type=click.IntRange(16, 16384),
    help="Most bytes of a chunk. Default: as for MiniLM, 1,024 and the 256 tokens that it reads.",
)
@click.option(
    "--type",
    "kind",
    type=click.Choice(["tree_sitter", "lines"]),
    default="tree_sitter",
    show_default=True,
    help="By structure, or by lines alone.",
)
@click.option("--context", is_flag=True, help="Show the prefix that is embedded besides.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a page.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def chunks(
    what: str,
    max_size_bytes: int | None,
    kind: str,
    context: bool,
    html: Path | None,
    as_json: bool,
) -> int:
    """Show where FILE is cut into chunks, and why.

    FILE lies on this machine. Of an indexed object the chunks are shown that its collections have;
    the options but --json are for files.
    """
    file = Path(what)
    if file.is_absolute() and not file.exists():
        raise click.BadParameter(f"File {what!r} does not exist.")
    if not file.exists():
        from s3sync_dagster.cli.indexed import show_indexed  # noqa: PLC0415  (mostly not needed)

        return show_indexed(what, as_json=as_json)
    document = _read(file)
    cut = chunk_document(
        document,
        object_key=file.name,
        config=ChunkingConfig(
            type=kind,  # type: ignore[arg-type]
            max_size_bytes=max_size_bytes,
            context=context,
        ),
        limits=_minilm_limits(),
    )
    if html is not None:
        html.write_text(render_html(document, cut, file.name), "utf-8")
        click.echo(f"written: {html}", err=True)
    elif as_json:
        click.echo(json.dumps([asdict(chunk) for chunk in cut], ensure_ascii=False))
    else:
        click.echo(render_terminal(document, cut), nl=False)
    return 0


def _minilm_limits() -> ModelLimits:
    """Return what the default model reads; where it is not installed only bytes count."""
    try:
        return MiniLmModel(find_minilm(None, download=False)).limits
    except MissingEngine:
        click.echo("note: MiniLM is not installed: its tokens are not counted", err=True)
        return ModelLimits(default_size_bytes=1024)


def _read(file: Path) -> Document:
    pool = open_pool(workers=1)
    try:
        return extract_document(file, name=file.name, config=ExtractionConfig(), pool=pool)
    finally:
        pool.close()


def _for_a_terminal(text: str) -> str:
    """Return a file's text without what would move the cursor; its tabs and lines stay."""
    return "\n".join("\t".join(map(people, line.split("\t"))) for line in text.split("\n"))
