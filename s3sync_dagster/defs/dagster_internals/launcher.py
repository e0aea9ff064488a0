"""Runs start in a process that is warm already; without one, as Dagster starts them."""

import json
import sys
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any, cast

from dagster import DagsterError
from dagster._core.launcher import DefaultRunLauncher, LaunchRunContext
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import ConfigurableClassData, serialize_value

from s3sync_dagster.ports.run_forker import ask_forker
from s3sync_dagster.settings import load_settings

CODE_SERVER_SOCKET, CODE_SERVER_HOST = "S3SYNC_CODE_SERVER_SOCKET", "S3SYNC_CODE_SERVER_HOST"
"""Where ``s3sync up``, or a deployment, has its code server; of hosts several may be named."""


class WarmRunLauncher(DefaultRunLauncher):
    """Forks run workers from the ``run_forker`` that ``s3sync up`` starts beside the code server.

    Where there is none (processes started one by one, another host, definitions that live in
    another Python environment) it is Dagster's default launcher.
    """

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(inst_data)
        self._loaded: dict[tuple[str, str], RepositoryPythonOrigin] = {}
        """By code location and repository: while one is loaded again its runs go on."""

    def launch_run(self, context: LaunchRunContext) -> None:
        """Start the worker of a run."""
        arguments = self._arguments(context)
        if arguments is None or ask_forker(_socket(), {"execute": arguments}) is None:
            super().launch_run(context)
            return
        self._run_ids.add(context.dagster_run.run_id)

    def terminate(self, run_id: str) -> bool:
        """Ask the worker of a run to end; whether there was one."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        answer = ask_forker(_socket(), {"run_id": run_id})
        if answer is None or answer["pid"] is None:
            return super().terminate(run_id)
        self._instance.report_run_canceling(run)  # before the signal: the worker looks at it
        return bool(ask_forker(_socket(), {"run_id": run_id, "signal": "end"}))

    def _get_grpc_client_for_termination(self, run_id: str) -> Any:
        """Return the way to the code server of a run, None where none of ours is named.

        Its address stands in the run's row: whoever wrote the backup that a history came from may
        have named any.
        """
        run = self._instance.get_run_by_id(run_id)
        told = None if run is None else run.tags.get(GRPC_INFO_TAG)
        if run is not None and told is not None and not _is_ours(told):
            self._instance.report_engine_event(
                "The run names a code server that is none of this deployment: it is not called. "
                f"{CODE_SERVER_HOST} names the hosts of those that are.",
                dagster_run=run,
                cls=type(self),
            )
            return None
        return super()._get_grpc_client_for_termination(run_id)

    def _arguments(self, context: LaunchRunContext) -> str | None:
        run, loaded = context.dagster_run, self._origin(context)
        # The worker takes the program from the run's row. Whoever wrote the backup that a history
        # came from may have named one of his there: what is not loaded the code server decides.
        if loaded is None or run.job_code_origin != loaded:
            return None
        if loaded.repository_origin.executable_path != sys.executable:
            return None
        return serialize_value(
            ExecuteRunArgs(
                job_origin=loaded, run_id=run.run_id, instance_ref=self._instance.get_ref()
            )
        )

    def _origin(self, context: LaunchRunContext) -> JobPythonOrigin | None:
        """Return where the code server has loaded a run's job from."""
        asked = context.dagster_run.remote_job_origin
        if asked is None or context.workspace is None:
            return None
        repository = asked.repository_origin
        name = (repository.code_location_origin.location_name, repository.repository_name)
        try:
            location = context.workspace.get_code_location(name[0])
            self._loaded[name] = location.get_repository(name[1]).get_python_origin()
        except DagsterError:
            if name not in self._loaded:
                return None
        return self._loaded[name].get_job_origin(asked.job_name)


def _is_ours(told: str) -> bool:
    """Return whether an address, as a run's tag has it, is that of a code server of ours."""
    try:
        found = json.loads(told)
    except (ValueError, RecursionError):
        return False
    if not isinstance(found, dict):
        return False
    address, environment = cast("dict[str, Any]", found), load_settings().environment
    if address.get("port") is None:  # with a port the socket does not count
        socket = address.get("socket")
        return socket == environment.get(CODE_SERVER_SOCKET, socket)
    host = str(address.get("host"))
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host in ("localhost", *environment.get(CODE_SERVER_HOST, "").replace(",", " ").split())


def _socket() -> Path:
    return load_settings().runs_socket
