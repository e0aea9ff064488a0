"""A home, a bucket, a collection and one source, with runs in this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import dagster as dg

from s3sync_dagster.core.naming import job_name, run_config
from s3sync_dagster.defs.building import build_definitions
from s3sync_dagster.defs.dispatching import Dispatcher
from s3sync_dagster.defs.resources import Runtime
from s3sync_dagster.engine.listing import continue_listing
from s3sync_dagster.model.source import EmbeddingConfig, Source
from s3sync_dagster.settings import Settings, load_settings
from s3sync_dagster.wiring import Parts, open_parts
from s3sync_dagster_tests.conftest_aws import AwsEndpoint


@dataclass
class DefsWorld:
    """One source of the catalog; ``run`` does what Dagster does, in this process."""

    aws: AwsEndpoint
    settings: Settings
    source: Source
    instance: dg.DagsterInstance
    parts: Parts
    _defs: list[dg.Definitions] = field(default_factory=list)

    @property
    def bucket(self) -> str:
        return self.source.place.bucket_name

    @property
    def asset(self) -> dg.AssetKey:
        return dg.AssetKey(["s3", self.source.name])

    @property
    def partitions(self) -> dg.DynamicPartitionsDefinition:
        return dg.DynamicPartitionsDefinition(name=f"s3_{self.source.name}")

    @property
    def defs(self) -> dg.Definitions:
        if not self._defs:
            self._defs.append(build_definitions(catalog_sources=[self.source]))
        return self._defs[0]

    @property
    def catalog(self):
        return self.parts.catalog

    def dispatcher(self) -> Dispatcher:
        return Dispatcher(Runtime(self.parts), self.instance, [self.source.name])

    def listing(self) -> None:
        continue_listing(
            self.source,
            catalog=self.catalog,
            store=self.parts.store_for(self.source),
            clock=self.parts.clock,
            owner=self.parts.owners.me(),
        )

    def execute(self, keys=(), *, token="", force=False, **arguments) -> dg.ExecuteInProcessResult:
        config = run_config(self.source, keys=list(keys), token=token, force=force)
        job = self.defs.resolve_job_def(job_name(self.source.name))
        return job.execute_in_process(
            run_config=config if keys or force else None,
            instance=self.instance,
            raise_on_error=False,
            **arguments,
        )

    def execute_range(self, first: str, last: str) -> dg.ExecuteInProcessResult:
        tags = {
            "dagster/asset_partition_range_start": first,
            "dagster/asset_partition_range_end": last,
        }
        return self.execute(tags=tags)

    def dispatch(self) -> list[dg.ExecuteInProcessResult]:
        """Run what dispatch requests."""
        results = []
        for request in self.dispatcher().requests():
            job = self.defs.resolve_job_def(request.job_name)
            results.append(
                job.execute_in_process(
                    run_config=request.run_config,
                    tags=dict(request.tags),
                    instance=self.instance,
                    raise_on_error=False,
                )
            )
        return results

    def sync(self) -> list[dg.ExecuteInProcessResult]:
        self.listing()
        return self.dispatch()

    def tick(self, sensor: str, cursor: str | None = None):
        """Evaluate a sensor as the daemon would."""
        repository = self.defs.get_repository_def()
        definition = repository.get_sensor_def(sensor)
        with dg.build_sensor_context(
            instance=self.instance,
            repository_def=repository,
            cursor=cursor,
            resources=self.defs.resources,
        ) as context:
            return definition.evaluate_tick(context)

    def statuses(self, *keys: str) -> dict[str, str | None]:
        found = self.instance.get_status_by_partition(self.asset, list(keys), self.partitions)
        return {key: value.value if value else None for key, value in (found or {}).items()}

    def states(self, result: dg.ExecuteInProcessResult) -> dict[str, list[str]]:
        """Partition -> ``state`` of its materialisations in a run."""
        states: dict[str, list[str]] = {}
        for event in self.events(result, dg.DagsterEventType.ASSET_MATERIALIZATION):
            value = event.materialization.metadata["state"].value
            states.setdefault(event.partition, []).append(value)
        return states

    def observed(self, result: dg.ExecuteInProcessResult) -> dict[str, str]:
        """Partition -> ``state`` of what a run only observed."""
        return {
            event.partition: event.asset_observation_data.asset_observation.metadata["state"].value
            for event in self.events(result, dg.DagsterEventType.ASSET_OBSERVATION)
            if event.partition
        }

    def reasons(self, result: dg.ExecuteInProcessResult) -> dict[str, str]:
        """Partition -> reason of its failure in a run."""
        return {
            event.partition: event.asset_observation_data.asset_observation.metadata["reason"].value
            for event in self.events(result, dg.DagsterEventType.ASSET_OBSERVATION)
            if event.partition
        }

    def events(self, result: dg.ExecuteInProcessResult, kind: dg.DagsterEventType):
        records = self.instance.get_records_for_run(result.run_id, of_type=kind, limit=5000)
        return [record.event_log_entry.dagster_event for record in records.records]

    def collection(self):
        return self.parts.collections.open(
            self.source.collection_name,
            tenant=self.source.tenant,
            database=self.source.database_name,
            embedder=self.parts.embedder_for(self.source.embedding),
        )

    def indexed_keys(self) -> set[str]:
        pages = self.collection().scan(source_id=self.source.id)
        return {record.metadata["document_key"] for page in pages for record in page}


@contextmanager
def open_world(aws: AwsEndpoint, home, environ, **fields) -> Iterator[DefsWorld]:
    """Open a world; ``environ`` is this process's environment with the home's variables in it."""
    settings = load_settings(environ)
    bucket = aws.make_bucket()
    values = {"embedding": EmbeddingConfig(kind="hash"), "list_interval_seconds": 60}
    source = aws.source(bucket, **(values | fields))
    parts = open_parts(settings)
    parts.catalog.sources.add(source)
    with dg.DagsterInstance.get() as instance:
        yield DefsWorld(aws=aws, settings=settings, source=source, instance=instance, parts=parts)
    parts.close()
