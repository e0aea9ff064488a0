"""GraphQL over HTTP as Dagster's webserver speaks it, and the questions that we ask."""

from collections.abc import Mapping
from typing import Any, cast

import httpx

from s3sync_dagster.http_bounds import bounded_client
from s3sync_dagster.model.errors import FixConfiguration, Unavailable

MOST_BYTES = 64 * 1024 * 1024
"""Of an answer."""


class GraphQL:
    """One webserver. Messages never hold what Dagster says of an exception: its logs do."""

    def __init__(
        self, url: str, *, timeout_seconds: float, headers: Mapping[str, str] | None = None
    ) -> None:
        self._url = url.rstrip("/")
        self._seconds = timeout_seconds
        self._http = bounded_client(
            MOST_BYTES, timeout_seconds, timeout=timeout_seconds, headers=headers
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def ask(self, query: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the answer's data.

        Raises:
            Unavailable: nobody answers (``dagster_unavailable``).
            FixConfiguration: the question is not understood (``dagster_refused``).
        """
        body = {"query": query, "variables": dict(variables or {})}
        try:
            reply = self._http.post(f"{self._url}/graphql", json=body)
            data: Any = reply.json()
        except httpx.TimeoutException:
            raise self._silent(f"within {self._seconds:g} seconds") from None
        except (httpx.HTTPError, ValueError) as error:
            raise self._silent(f"({type(error).__name__})") from None
        if reply.status_code >= 500 or not isinstance(data, dict):
            raise self._silent(f"(HTTP {reply.status_code})")
        answer = cast("dict[str, Any]", data)
        if answer.get("errors") or answer.get("data") is None:
            raise FixConfiguration(
                f"Dagster at {self._url} refuses the question: is it the pinned version?",
                reason="dagster_refused",
            )
        return answer["data"]

    def _silent(self, how: str) -> Unavailable:
        return Unavailable(
            f"The Dagster webserver at {self._url} does not answer {how}.",
            reason="dagster_unavailable",
        )


_RUN_FIELDS = "runId jobName status canTerminate tags{key value}"
_LOAD = "locationOrLoadError{__typename ... on PythonError{className}}"
LAUNCH = (
    "mutation($p:ExecutionParams!){launchRun(executionParams:$p)"
    "{__typename ... on LaunchRunSuccess{run{runId}}}}"
)
RUN = f"query($id:ID!){{runOrError(runId:$id){{__typename ... on Run{{{_RUN_FIELDS}}}}}}}"
RUNS = (
    "query($filter:RunsFilter,$limit:Int){runsOrError(filter:$filter,limit:$limit)"
    f"{{__typename ... on Runs{{results{{{_RUN_FIELDS}}}}}}}}}"
)
CANCEL = "mutation($id:String!){terminateRun(runId:$id){__typename}}"


def add_partitions(count: int) -> str:
    """Return one mutation for ``count`` partitions: the webserver has none for a list."""
    names = ",".join(f"$k{place}:String!" for place in range(count))
    adds = " ".join(
        f"a{place}:addDynamicPartition(partitionsDefName:$d,repositorySelector:$r,"
        f"partitionKey:$k{place}){{__typename}}"
        for place in range(count)
    )
    return f"mutation($d:String!,$r:RepositorySelector!,{names}){{{adds}}}"


LOCATIONS = "{workspaceOrError{... on Workspace{locationEntries{name loadStatus " + _LOAD + "}}}}"
RELOAD = (
    "mutation($name:String!){reloadRepositoryLocation(repositoryLocationName:$name)"
    "{__typename ... on WorkspaceLocationEntry{" + _LOAD + "}}}"
)
TICKS = (
    "query($s:SensorSelector!,$limit:Int){sensorOrError(sensorSelector:$s)"
    "{__typename ... on Sensor{sensorState{ticks(limit:$limit){timestamp}}}}}"
)
SENSOR = (
    "query($s:SensorSelector!){sensorOrError(sensorSelector:$s)"
    "{__typename ... on Sensor{sensorState{status}}}}"
)
HEARTBEATS = "{instance{daemonHealth{allDaemonStatuses{lastHeartbeatTime}}}}"
