"""Pending invocations become runs at once: batches are reserved here, runs launched by GraphQL."""

import logging
from collections.abc import Collection

from s3sync_dagster.catalog import Catalog
from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.model.errors import NotFound
from s3sync_dagster.model.invocation import Batch
from s3sync_dagster.ports.dagster_runs import DagsterRuns

_log = logging.getLogger(__name__)

# The names that the definitions give; ``defs`` stays out of this process, which starts faster.
TOKEN_TAG = "s3sync/batch"
SOURCE_TAG = "s3sync/source"
KEYS_TAG = "s3sync/keys"


class Launcher:
    """Does for the sources of new requests what the dispatch sensor does for all."""

    def __init__(self, catalog: Catalog, dagster: DagsterRuns) -> None:
        self._catalog = catalog
        self._dagster = dagster

    def __call__(self, source_ids: Collection[str]) -> None:
        """Launch what is due; a batch whose run does not start is released at once.

        Raises:
            Unavailable: Dagster does not answer: the sensor does it later.
        """
        for source_id in sorted(source_ids):
            row = self._catalog.sources.row(source_id)
            if row is None or row.deleting is not None:
                continue
            while batch := self._catalog.batches.reserve(source_id, take=Take()):
                if not self._launch(row.name, batch):
                    break

    def _launch(self, source_name: str, batch: Batch) -> bool:
        launched = False
        try:
            names = self._catalog.work.partitions_to_add(batch.source_id, batch.keys)
            self._dagster.add_partitions(f"s3_{source_name}", names)
            self._catalog.work.partitions_added(batch.source_id, names, added=True)
            self._catalog.batches.yielded(batch.token)
            self._dagster.launch(
                f"index_{source_name}",
                run_config=run_config(source_name, batch),
                tags={
                    TOKEN_TAG: batch.token,
                    SOURCE_TAG: source_name,
                    KEYS_TAG: str(len(batch.keys)),
                },
            )
            launched = True
        except NotFound:
            # A new source: Dagster loads it within seconds, and its sensor then finds the work.
            _log.info("source %s is not loaded by Dagster yet", source_name)
        finally:
            if not launched:
                self._catalog.batches.release(batch.token, died=False)
        return launched


def run_config(source_name: str, batch: Batch) -> dict[str, object]:
    """Return the run configuration of a reserved batch."""
    config = {"keys": list(batch.keys), "token": batch.token, "force": False}
    return {"ops": {f"s3__{source_name}": {"ops": {"extract": {"config": config}}}}}
