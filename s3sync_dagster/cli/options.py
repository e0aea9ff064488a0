"""Options that several commands share."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from s3sync_dagster.local.chroma_server import use_chroma
from s3sync_dagster.local.home import prepare_home
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.source import EmbeddingConfig
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


def embedding(help: str) -> Callable[[F], F]:  # noqa: A002  (click's own word)
    """``--embedding`` and what its kinds need besides; see ``embedding_config``."""

    def decorate(function: F) -> F:
        for option in (
            click.option("--sparse-model", help="For servers that index sparse vectors."),
            click.option(
                "--embedding-key-env", metavar="NAME", help="Variable with the endpoint's key."
            ),
            click.option("--embedding-url", metavar="URL", help="Endpoint of `openai`."),
            click.option("--embedding-model", help="Where the kind knows several."),
            click.option("--embedding", type=EMBEDDINGS, help=help),
        ):
            function = option(function)
        return function

    return decorate


def embedding_config(options: Mapping[str, str | None]) -> EmbeddingConfig | None:
    """Return what the options of ``embedding`` say; None when none of them was given.

    Raises:
        InvalidSetting: a model or an endpoint without its kind.
    """
    details = {
        field: options.get(name)
        for name, field in (
            ("embedding_model", "model"),
            ("embedding_url", "endpoint_url"),
            ("embedding_key_env", "api_key_env"),
            ("sparse_model", "sparse_model"),
        )
        if options.get(name)
    }
    kind = options.get("embedding")
    if kind is None:
        if details:
            raise InvalidSetting("--embedding-model and its like need --embedding.")
        return None
    return EmbeddingConfig(kind=kind, **details)  # type: ignore[arg-type]


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
