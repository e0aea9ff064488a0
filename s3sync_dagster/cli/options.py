"""Options that several commands share."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from s3sync_dagster.local.chroma_server import use_chroma
from s3sync_dagster.local.home import prepare_home
from s3sync_dagster.settings import Settings, export_settings, load_settings
from s3sync_dagster.wiring import Parts, open_parts

F = TypeVar("F", bound=Callable[..., Any])

EMBEDDINGS = click.Choice(["minilm", "static", "hash", "openai", "chroma-cloud"])
MODES = click.Choice(["mirror", "append", "keep_deleted"])


def chroma_url(function: F) -> F:
    """``--chroma-url``."""
    return click.option(
        "--chroma-url",
        metavar="URL",
        help="Chroma server; default: S3SYNC_CHROMA_URL, else the local one.",
    )(function)


def as_json(function: F) -> F:
    """``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


@contextmanager
def opened(url: str | None = None, *, chroma: bool = True) -> Iterator[Parts]:
    """Open the data folder, Chroma where it is needed, and the parts."""
    settings = load_settings()
    if url is not None:
        settings = settings.with_chroma_url(url.rstrip("/"))
    prepare_home(settings)
    if not chroma:
        with _parts(settings) as parts:
            yield parts
        return
    if settings.chroma_api_key is not None and settings.chroma_url is None:
        with _parts(settings) as parts:
            yield parts
        return
    with use_chroma(settings) as server, _parts(settings.with_chroma_url(server.url)) as parts:
        yield parts


@contextmanager
def _parts(settings: Settings) -> Iterator[Parts]:
    export_settings(settings)
    parts = open_parts(settings)
    try:
        yield parts
    finally:
        parts.close()
