"""What was asked for over HTTP becomes runs at once, launched by Dagster's GraphQL."""

import logging
from collections.abc import Collection, Sequence

from s3sync_dagster.catalog import Catalog
from s3sync_dagster.core.naming import job_name, partitions_name, run_config, run_tags
from s3sync_dagster.core.reservation import MAX_LIVE
from s3sync_dagster.core.shards import FIRST_SHARD
from s3sync_dagster.engine.dispatching import BatchOrder, Share, dispatch
from s3sync_dagster.model.errors import FixConfiguration, NotFound, S3SyncError
from s3sync_dagster.model.source import Source
from s3sync_dagster.ports.dagster_runs import DagsterRuns

_log = logging.getLogger(__name__)


class GraphQLRuns:
    """Batches become runs by GraphQL (``engine.dispatching.Runs``)."""

    def __init__(self, dagster: DagsterRuns) -> None:
        self._dagster = dagster

    def add_partitions(self, source: Source, names: Sequence[str], *, shard: int) -> bool:
        """Tell Dagster of partitions of a shard; those that it knows stay.

        Returns:
            False where the shard is not loaded yet: the run has the instance, and tells it.

        Raises:
            NotFound: the source is not loaded yet.
        """
        try:
            self._dagster.add_partitions(partitions_name(source, shard), names)
        except NotFound:
            if shard == FIRST_SHARD:
                raise
            return False
        return True

    def launch(self, order: BatchOrder) -> bool:
        """Put the run of a batch into the queue."""
        name = order.source.name
        self._dagster.launch(
            job_name(name),
            run_config=run_config(order.source, keys=order.keys, token=order.token),
            tags=run_tags(name, token=order.token, keys=order.keys),
        )
        return True


class Launcher:
    """Does for the sources of new requests what the dispatch sensor does for all."""

    def __init__(
        self,
        catalog: Catalog,
        dagster: DagsterRuns,
        *,
        share: Share,
        runs_of_source: int = MAX_LIVE,
    ) -> None:
        self._catalog, self._share, self._runs_of_source = catalog, share, runs_of_source
        self._runs = GraphQLRuns(dagster)

    def __call__(self, source_ids: Collection[str]) -> None:
        """Launch what is due; a batch whose run does not start is released at once.

        Raises:
            Unavailable: Dagster does not answer: the sensor does it later.
            FixConfiguration: it refuses runs of some sources; the others are served.
        """
        refused: dict[str, S3SyncError] = {}

        def refuse(source: Source, error: S3SyncError) -> None:
            if isinstance(error, NotFound):
                # A new source: Dagster loads it within seconds, and its sensor finds the work.
                _log.info("source %s is not loaded by Dagster yet", source.name)
            else:
                refused[source.name] = error

        for source_id in sorted(source_ids):
            row = self._catalog.sources.row(source_id)
            if row is not None:
                here = {source_id: row.source}
                dispatch(
                    self._catalog,
                    self._runs,
                    here,
                    refused=refuse,
                    share=self._share,
                    runs_of_source=self._runs_of_source,
                )
        if refused:
            told = "; ".join(f"{name}: {error.message}" for name, error in refused.items())
            reason = next(iter(refused.values())).reason
            raise FixConfiguration(f"Some runs could not be launched. {told}", reason=reason)
