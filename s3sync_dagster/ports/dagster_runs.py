"""Runs, backfills and the code location of a Dagster webserver, through its GraphQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from s3sync_dagster.model.errors import (
    Conflict,
    FixConfiguration,
    InvalidSetting,
    NotFound,
    S3SyncError,
    Unavailable,
)
from s3sync_dagster.ports import dagster_queries as queries
from s3sync_dagster.ports.dagster_queries import GraphQL

LOCATION = "s3sync"
"""Name of the code location in workspace.yaml."""
_REPOSITORY = "__repository__"
TIMEOUT_SECONDS = 60.0
"""A reload of 200 sources takes 17 s, more on a busy machine."""

_ADDED = ("AddDynamicPartitionSuccess", "DuplicateDynamicPartitionError")
_PARTITIONS_A_CALL = 100
WORKING = ("STARTING", "STARTED", "CANCELING")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run as the webserver sees it."""

    id: str
    job: str
    status: str
    """QUEUED, NOT_STARTED, STARTING, STARTED, CANCELING, SUCCESS, FAILURE or CANCELED."""
    can_terminate: bool
    """False for runs that another process executes in itself, such as ``s3sync sync``."""
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Location:
    """Whether the code location can be used."""

    state: Literal["loaded", "loading", "unreachable", "broken"]
    """``broken``: the code server answers, but the definitions raise."""


class DagsterRuns:
    """A webserver's GraphQL; calls raise ``Unavailable`` when nobody answers.

    Messages never hold what Dagster says of an exception: its logs do.
    """

    def __init__(
        self,
        url: str,
        *,
        location: str = LOCATION,
        timeout_seconds: float = TIMEOUT_SECONDS,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._location = location
        self._graphql = GraphQL(url, timeout_seconds=timeout_seconds, headers=headers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._graphql.close()

    # --- runs ---------------------------------------------------------------------------------

    def launch(
        self, job: str, *, run_config: Mapping[str, Any], tags: Mapping[str, str] | None = None
    ) -> str:
        """Put a run of ``job`` into the queue and return its id.

        Raises:
            NotFound: the location has no such job, yet (``job_not_found``).
            InvalidSetting: the job does not accept this configuration (``run_config``).
        """
        selector = self._repository() | {"pipelineName": job}
        parameters = {
            "selector": selector,
            "runConfigData": run_config,
            "executionMetadata": {"tags": _tag_list(tags)},
        }
        answer = self._graphql.ask(queries.LAUNCH, {"p": parameters})["launchRun"]
        match answer["__typename"]:
            case "LaunchRunSuccess":
                return answer["run"]["runId"]
            case "PipelineNotFoundError":
                raise NotFound(
                    f"Dagster does not know the job {job!r}: it may not have loaded it yet.",
                    reason="job_not_found",
                )
            case "RunConfigValidationInvalid":
                raise InvalidSetting(
                    f"The job {job!r} does not accept this run configuration.", reason="run_config"
                )
            case kind:
                raise self._refused(f"to launch {job!r}", kind)

    def run(self, run_id: str) -> Run:
        """Return a run; ``NotFound`` (``run_not_found``) when there is none."""
        answer = self._graphql.ask(queries.RUN, {"id": run_id})["runOrError"]
        if answer["__typename"] == "RunNotFoundError":
            raise NotFound(f"Dagster has no run {run_id!r}.", reason="run_not_found")
        if answer["__typename"] != "Run":
            raise self._refused(f"to show run {run_id!r}", answer["__typename"])
        return _run(answer)

    def runs(
        self,
        *,
        statuses: Sequence[str] = (),
        tags: Mapping[str, str] | None = None,
        limit: int = 25,
    ) -> list[Run]:
        """Return the latest runs, newest first."""
        wanted: dict[str, Any] = {"tags": _tag_list(tags)} if tags else {}
        if statuses:
            wanted["statuses"] = list(statuses)
        answer = self._graphql.ask(queries.RUNS, {"filter": wanted, "limit": limit})["runsOrError"]
        if answer["__typename"] != "Runs":
            raise self._refused("to list runs", answer["__typename"])
        return [_run(each) for each in answer["results"]]

    def cancel(self, run_id: str) -> None:
        """Ask a run to end; it is CANCELED a moment later.

        Raises:
            NotFound: there is no such run.
            Conflict: it has ended, or another process executes it (``run_not_cancellable``).
        """
        answer = self._graphql.ask(queries.CANCEL, {"id": run_id})["terminateRun"]
        match answer["__typename"]:
            case "TerminateRunSuccess":
                return
            case "RunNotFoundError":
                raise NotFound(f"Dagster has no run {run_id!r}.", reason="run_not_found")
            case "TerminateRunFailure":
                raise Conflict(
                    f"Run {run_id!r} cannot be cancelled: it has ended, or a command runs it.",
                    reason="run_not_cancellable",
                )
            case kind:
                raise self._refused(f"to cancel run {run_id!r}", kind)

    # --- partitions ---------------------------------------------------------------------------

    def add_partitions(self, definition: str, partition_keys: Sequence[str]) -> None:
        """Add dynamic partitions; those that exist stay.

        Raises:
            NotFound: the location has no such partitions definition, yet (``job_not_found``).
        """
        for start in range(0, len(partition_keys), _PARTITIONS_A_CALL):
            part = partition_keys[start : start + _PARTITIONS_A_CALL]
            variables: dict[str, Any] = {"d": definition, "r": self._repository()}
            variables |= {f"k{place}": key for place, key in enumerate(part)}
            for answer in self._graphql.ask(queries.add_partitions(len(part)), variables).values():
                if answer["__typename"] not in _ADDED:
                    raise NotFound(
                        f"Dagster does not know the partitions {definition!r}: it may not have "
                        "loaded them yet.",
                        reason="job_not_found",
                    )

    # --- the daemon ---------------------------------------------------------------------------

    def newest_heartbeat(self) -> float | None:
        """Return when a daemon gave its last sign, in seconds since 1970; None: none ever did."""
        told = self._graphql.ask(queries.HEARTBEATS)["instance"]["daemonHealth"]
        times = [one["lastHeartbeatTime"] for one in told["allDaemonStatuses"]]
        return max((time for time in times if time is not None), default=None)

    # --- the code location --------------------------------------------------------------------

    def locations(self) -> list[str]:
        """Return the names of the code locations that there are."""
        answer = self._graphql.ask(queries.LOCATIONS)["workspaceOrError"]
        return sorted(entry["name"] for entry in answer.get("locationEntries", ()))

    def location(self) -> Location:
        """Return whether the definitions are loaded."""
        answer = self._graphql.ask(queries.LOCATIONS)["workspaceOrError"]
        entries = {entry["name"]: entry for entry in answer.get("locationEntries", ())}
        entry = entries.get(self._location)
        if entry is None or entry["loadStatus"] != "LOADED":
            return Location("loading")
        return _location(entry["locationOrLoadError"])

    def reload(self) -> None:
        """Load the definitions again, for webserver and daemon; takes 50 ms a source.

        Raises:
            FixConfiguration: the definitions raise (``definitions_broken``): no sensor ticks.
            Unavailable: the code server does not answer.
        """
        answer = self._graphql.ask(queries.RELOAD, {"name": self._location})[
            "reloadRepositoryLocation"
        ]
        if answer["__typename"] != "WorkspaceLocationEntry":
            raise self._refused("to load the definitions again", answer["__typename"])
        # loadStatus says LOADED for definitions that raise, too.
        state = _location(answer["locationOrLoadError"]).state
        if state == "broken":
            raise FixConfiguration(
                "Dagster cannot load the definitions: the log of the code server says why.",
                reason="definitions_broken",
            )
        if state != "loaded":
            raise Unavailable(
                "The Dagster code server does not answer.", reason="dagster_unavailable"
            )

    def tick_times(self, sensor: str, *, limit: int = 5) -> list[float]:
        """Return when a sensor ticked last, newest first, as POSIX seconds; empty: never."""
        selector = self._repository() | {"sensorName": sensor}
        answer = self._graphql.ask(queries.TICKS, {"s": selector, "limit": limit})["sensorOrError"]
        if answer["__typename"] != "Sensor":
            return []
        return [tick["timestamp"] for tick in answer["sensorState"]["ticks"]]

    def sensor_is_on(self, sensor: str) -> bool | None:
        """Return whether a sensor is switched on; None: Dagster does not know it (yet)."""
        selector = self._repository() | {"sensorName": sensor}
        answer = self._graphql.ask(queries.SENSOR, {"s": selector})["sensorOrError"]
        if answer["__typename"] != "Sensor":
            return None
        return answer["sensorState"]["status"] == "RUNNING"

    def _repository(self) -> dict[str, str]:
        return {"repositoryLocationName": self._location, "repositoryName": _REPOSITORY}

    def _refused(self, what: str, kind: str) -> S3SyncError:
        return FixConfiguration(
            f"Dagster refused {what} ({kind}): its log says why.", reason="dagster_refused"
        )


def _tag_list(tags: Mapping[str, str] | None) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in (tags or {}).items()]


def _run(answer: Mapping[str, Any]) -> Run:
    return Run(
        id=answer["runId"],
        job=answer["jobName"],
        status=answer["status"],
        can_terminate=answer["canTerminate"],
        tags={tag["key"]: tag["value"] for tag in answer["tags"]},
    )


def _location(entry: Mapping[str, Any] | None) -> Location:
    if entry is None:
        return Location("loading")
    if entry["__typename"] == "RepositoryLocation":
        return Location("loaded")
    unreachable = entry.get("className") == "DagsterUserCodeUnreachableError"
    return Location("unreachable" if unreachable else "broken")
