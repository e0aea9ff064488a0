"""What the shell offers for names of sources, collections and keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

import click

from s3sync_dagster.settings import load_settings

if TYPE_CHECKING:
    from s3sync_dagster.catalog import Catalog

OFFERED = 50
Offer = Callable[["Catalog", click.Context, str], Iterator[str]]


def _completion(offer: Offer) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Return what click asks; a catalog that cannot be read offers nothing, and says nothing."""

    def complete(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
        try:
            with _catalog() as catalog:
                if catalog is None:
                    return []
                found = (one for one in offer(catalog, ctx, incomplete))
                return list(islice(found, OFFERED))
        except Exception:  # noqa: BLE001  (the command itself says what is wrong)
            return []

    return complete


@contextmanager
def _catalog() -> Iterator[Catalog | None]:
    """Open the catalog as it is: a press of Tab makes no folder and migrates nothing."""
    settings = load_settings()
    if settings.database_url.startswith("sqlite") and not settings.home.exists():
        yield None
        return
    from s3sync_dagster.catalog import open_catalog  # noqa: PLC0415  (heavy)

    catalog = open_catalog(settings.database_url, migrate=False)
    try:
        yield catalog
    finally:
        catalog.close()


def _sources(catalog: Catalog, _ctx: click.Context, incomplete: str) -> Iterator[str]:
    names = (source.name for source in catalog.sources.all())
    return (name for name in names if name.startswith(incomplete))


def _collections(catalog: Catalog, _ctx: click.Context, incomplete: str) -> Iterator[str]:
    names = dict.fromkeys(source.collection_name for source in catalog.sources.all())
    return (name for name in names if name.startswith(incomplete))


def _keys(catalog: Catalog, ctx: click.Context, incomplete: str) -> Iterator[str]:
    from s3sync_dagster.cli.addresses import rows_under  # noqa: PLC0415  (heavy)

    name = ctx.params.get("name")
    for source in catalog.sources.all():
        if name in (None, source.name):
            for row in rows_under(catalog, source, prefix=incomplete):
                yield row.object_key


source_names = _completion(_sources)
collection_names = _completion(_collections)
object_keys = _completion(_keys)
