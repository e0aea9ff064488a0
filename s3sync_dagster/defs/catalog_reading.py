"""What the catalog says while definitions load: rows are read, and nobody waits for it for long."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from s3sync_dagster.catalog import Catalog, open_catalog
from s3sync_dagster.catalog.schema import require_known
from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.settings import Settings

_log = logging.getLogger(__name__)

CATALOG_SECONDS = 5.0
"""A catalog that does not answer must not keep the code location from loading."""
SHARDS_SINCE = "0038"
"""The revision that has them; one of before has a single asset a source."""

T = TypeVar("T")


def ask_catalog(
    settings: Settings,
    ask: Callable[[Catalog, str], T],
    *,
    missing: str,
    timeout_seconds: float = CATALOG_SECONDS,
) -> tuple[T | None, list[str]]:
    """Return what the catalog says, and what is missing where it does not answer.

    Reads rows and nothing else: every run loads the definitions, and none may wait for a
    migration.

    Args:
        settings: of this process.
        ask: gets the catalog and its revision; not called where there is none yet.
        missing: begins the sentence on why there is no answer, such as ``the sources are missing``.
        timeout_seconds: for the answer.
    """
    found: list[T] = []
    problems: list[str] = []

    def read() -> None:
        try:
            catalog = open_catalog(settings.database_url, migrate=False)
            try:
                revision = catalog.database.current_revision()
                if revision is None:
                    return  # a new home: nothing was created yet
                require_known(catalog.database, revision)
                found.append(ask(catalog, revision))
            finally:
                catalog.close()
        except S3SyncError as error:
            problems.append(f"{missing}: {error.message}")
        except Exception as error:  # noqa: BLE001  (declared sources load whatever happens here)
            problems.append(f"{missing}: {type(error).__name__}")

    reader = threading.Thread(target=read, name="s3sync-sources", daemon=True)
    reader.start()
    reader.join(timeout_seconds)
    if reader.is_alive():
        return None, [f"{missing}: no answer in {timeout_seconds:.0f} s"]
    return (found[0] if found else None), problems


def read_shards(settings: Settings, *, problems: list[str]) -> dict[str, int]:
    """Return how many assets sources have that have several, by name; what is wrong is told.

    Where nobody knows, each has its first one: keys of the others are worked on, and not shown.
    """
    sqlite = settings.database_url.removeprefix("sqlite:///")
    if sqlite != settings.database_url and not Path(sqlite).exists():
        return {}  # a look makes no file where code declares all sources and nothing was run yet

    def ask(catalog: Catalog, revision: str) -> dict[str, int]:
        return catalog.partitions.shards_by_name() if revision >= SHARDS_SINCE else {}

    found, wrong = ask_catalog(
        settings, ask, missing="assets of sources with very many keys are missing"
    )
    for problem in wrong:
        _log.error("%s", problem)
    problems += wrong
    return found or {}
