"""Options that several commands share."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

import click

from s3sync_dagster.local.home import prepare_home
from s3sync_dagster.local.signals import no_interruption
from s3sync_dagster.model.errors import InvalidSetting, Unavailable
from s3sync_dagster.settings import Settings, export_settings, load_settings

if TYPE_CHECKING:
    from s3sync_dagster.wiring import Parts

F = TypeVar("F", bound=Callable[..., Any])


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


def loudness(function: F) -> F:
    """``--quiet`` and ``--verbose``, of commands that work on many objects."""
    loud = click.option("--verbose", "-v", is_flag=True, help="Say how each object ended.")
    return click.option("--quiet", "-q", is_flag=True, help="Say only what went wrong.")(
        loud(function)
    )


@contextmanager
def opened(
    url: str | None = None, *, chroma: bool = True, dagster: bool = True, quiet: bool = False
) -> Iterator[Parts]:
    """Open the data folder, Chroma and Dagster's instance where they are needed, and the parts.

    A person at a terminal sees that it starts, unless ``quiet``. Ctrl-C ends the block; what
    closes the parts and stops Chroma then is not interrupted again.
    """
    # Half a second of imports, which no help text and no mistake in a command pays for.
    from s3sync_dagster.cli.noting import noted  # noqa: PLC0415
    from s3sync_dagster.wiring import open_parts  # noqa: PLC0415

    settings = settings_for(url)
    closing = ExitStack()
    try:
        with _start_shown() if chroma and not quiet else nullcontext():
            prepare_home(settings, dagster=dagster)
            if chroma and (settings.chroma_url is not None or settings.chroma_api_key is None):
                from s3sync_dagster.local.chroma_server import use_chroma  # noqa: PLC0415  (heavy)

                server = closing.enter_context(use_chroma(settings))
                settings = settings.with_chroma_url(server.url)
            export_settings(settings)
            parts = open_parts(settings)
            closing.callback(parts.close)
            _require_catalog(parts)
        with noted(parts.catalog):
            yield parts
    finally:
        with no_interruption():
            closing.close()


@contextmanager
def _start_shown() -> Iterator[None]:
    """Show that something happens: a server that starts on a busy machine takes half a minute."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console  # noqa: PLC0415  (40 CPU-ms)

    with Console(stderr=True).status("starting"):
        yield


def _require_catalog(parts: Parts) -> None:
    """Open the catalog now, so that a person reads where it is when it does not answer."""
    try:
        _ = parts.catalog
    except Unavailable as error:
        from s3sync_dagster.catalog.database import RefusedByServer  # noqa: PLC0415  (is loaded)

        if isinstance(error, RefusedByServer):
            raise
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
