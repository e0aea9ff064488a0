"""What Dagster loads: the sources of the catalog. ``build_definitions`` takes those of your code.

In a project of your own: ``defs = build_definitions([S3Source(...)])``, see docs/dagster.md.
"""

import logging
import threading

import dagster as dg

from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.catalog.schema import require_known
from s3sync_dagster.defs.building import build_definitions
from s3sync_dagster.defs.chroma_resource import ChromaResource, CloudConfig, HttpConfig, LocalConfig
from s3sync_dagster.defs.resources import S3Source
from s3sync_dagster.model.errors import S3SyncError
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

CATALOG_SECONDS = 5.0
"""A catalog that does not answer must not keep the code location from loading."""


def read_catalog_sources(
    settings: Settings, *, timeout_seconds: float = CATALOG_SECONDS
) -> tuple[list[Source], list[str]]:
    """Return the catalog's own sources, and a sentence for each that is missing.

    Reads rows and nothing else: every run loads the definitions, and none may wait for a
    migration.
    """
    sources: list[Source] = []
    problems: list[str] = []

    def read() -> None:
        try:
            catalog = open_catalog(settings.database_url, migrate=False)
            try:
                revision = catalog.database.current_revision()
                if revision is None:
                    return  # a new home: nothing was created yet
                require_known(catalog.database, revision)
                rows, unreadable = catalog.sources.read(origin="catalog")
                sources.extend(row.source for row in rows)
                problems.extend(unreadable)
            finally:
                catalog.close()
        except S3SyncError as error:
            problems.append(f"the sources of the catalog are missing: {error.message}")
        except Exception as error:  # noqa: BLE001  (declared sources load whatever happens here)
            problems.append(f"the sources of the catalog are missing: {type(error).__name__}")

    reader = threading.Thread(target=read, name="s3sync-sources", daemon=True)
    reader.start()
    reader.join(timeout_seconds)
    if reader.is_alive():
        why = f"the sources of the catalog are missing: no answer in {timeout_seconds:.0f} s"
        sources, problems = [], [why]
    for problem in problems:
        _log.error("%s", problem)
    return sources, problems


@dg.definitions
def defs() -> dg.Definitions:
    """Load the sources of the catalog."""
    sources, problems = read_catalog_sources(load_settings())
    ours = build_definitions(catalog_sources=sources, problems=problems)
    # This location is ours alone: a process for each step would only cost time.
    return dg.Definitions.merge(ours, dg.Definitions(executor=dg.in_process_executor))
