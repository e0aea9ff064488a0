"""What Dagster loads: the sources of the catalog. ``build_definitions`` takes those of your code.

In a project of your own: ``defs = build_definitions([S3Source(...)])``, see docs/dagster.md.
"""

import logging

import dagster as dg

from s3sync_dagster.catalog import Catalog
from s3sync_dagster.defs.building import build_definitions
from s3sync_dagster.defs.catalog_reading import CATALOG_SECONDS, ask_catalog
from s3sync_dagster.defs.chroma_resource import ChromaResource, CloudConfig, HttpConfig, LocalConfig
from s3sync_dagster.defs.resources import S3Source
from s3sync_dagster.model.source import Source
from s3sync_dagster.settings import Settings, load_settings

__all__ = [
    "ChromaResource",
    "CloudConfig",
    "HttpConfig",
    "LocalConfig",
    "S3Source",
    "build_definitions",
    "defs",
    "read_catalog_sources",
]

_log = logging.getLogger(__name__)


def read_catalog_sources(
    settings: Settings, *, timeout_seconds: float = CATALOG_SECONDS
) -> tuple[list[Source], list[str]]:
    """Return the catalog's own sources, and a sentence for each that is missing."""

    def ask(catalog: Catalog, _revision: str) -> tuple[list[Source], list[str]]:
        rows, unreadable = catalog.sources.read(origin="catalog")
        return [row.source for row in rows], unreadable

    found, problems = ask_catalog(
        settings,
        ask,
        missing="the sources of the catalog are missing",
        timeout_seconds=timeout_seconds,
    )
    sources, unreadable = found or ([], [])
    problems += unreadable
    for problem in problems:
        _log.error("%s", problem)
    return sources, problems


@dg.definitions
def defs() -> dg.Definitions:
    """Load the sources of the catalog."""
    sources, problems = read_catalog_sources(load_settings())
    shards = None if sources else {}  # who has no source, or no catalog that answers, asks no more
    ours = build_definitions(catalog_sources=sources, problems=problems, shards=shards)
    # This location is ours alone: a process for each step would only cost time.
    return dg.Definitions.merge(ours, dg.Definitions(executor=dg.in_process_executor))
