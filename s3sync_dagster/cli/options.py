"""Options that several commands share."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import click

from s3sync_dagster.local.chroma_server import use_chroma
from s3sync_dagster.local.home import prepare_home
from s3sync_dagster.local.signals import no_interruption
from s3sync_dagster.model.errors import InvalidSetting, Unavailable
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster.settings import Settings, export_settings, load_settings
from s3sync_dagster.wiring import Parts, open_parts

F = TypeVar("F", bound=Callable[..., Any])

EMBEDDINGS = click.Choice(["minilm", "onnx", "static", "hash", "openai", "chroma-cloud"])
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
            click.option(
                "--embedding-model", help="Where the kind knows several; of `onnx` the folder."
            ),
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
def opened(url: str | None = None, *, chroma: bool = True, dagster: bool = True) -> Iterator[Parts]:
    """Open the data folder, Chroma and Dagster's instance where they are needed, and the parts.

    Ctrl-C ends the block; what closes the parts and stops Chroma then is not interrupted again.
    """
    settings = settings_for(url)
    prepare_home(settings, dagster=dagster)
    closing = ExitStack()
    try:
        if chroma and (settings.chroma_url is not None or settings.chroma_api_key is None):
            server = closing.enter_context(use_chroma(settings))
            settings = settings.with_chroma_url(server.url)
        export_settings(settings)
        parts = open_parts(settings)
        closing.callback(parts.close)
        _require_catalog(parts)
        yield parts
    finally:
        with no_interruption():
            closing.close()


def _require_catalog(parts: Parts) -> None:
    """Open the catalog now, so that a person reads where it is when it does not answer."""
    try:
        _ = parts.catalog
    except Unavailable as error:
        shown = re.sub(r"//[^/]*@", "//", parts.settings.database_url)
        raise Unavailable(
            f"The catalog at {shown} does not answer: start its database, or correct "
            "S3SYNC_DATABASE_URL.",
            reason=error.reason,
        ) from error


def settings_for(url: str | None) -> Settings:
    """Return the settings, with the Chroma server of ``--chroma-url`` where it was given.

    Raises:
        InvalidSetting: a setting breaks its rule.
    """
    settings = load_settings()
    if url is None:
        return settings
    try:
        return load_settings({**settings.environment, "S3SYNC_CHROMA_URL": url})
    except InvalidSetting:
        raise InvalidSetting("--chroma-url is not a URL such as http://127.0.0.1:8000.") from None
