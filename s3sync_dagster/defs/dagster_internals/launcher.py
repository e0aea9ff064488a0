"""Runs start in a process that is warm already; without one, as Dagster starts them."""

import sys
from pathlib import Path

from dagster import DagsterRun
from dagster._core.launcher import DefaultRunLauncher, LaunchRunContext
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import serialize_value

from s3sync_dagster.ports.run_forker import ask_forker
from s3sync_dagster.settings import load_settings


class WarmRunLauncher(DefaultRunLauncher):
    """Forks run workers from the ``run_forker`` that ``s3sync up`` starts beside the code server.

    Where there is none (processes started one by one, another host, definitions that live in
    another Python environment) it is Dagster's default launcher.
    """

    def launch_run(self, context: LaunchRunContext) -> None:
        """Start the worker of a run."""
        arguments = self._arguments(context.dagster_run)
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

    def _arguments(self, run: DagsterRun) -> str | None:
        origin = run.job_code_origin
        if origin is None or origin.repository_origin.executable_path != sys.executable:
            return None
        return serialize_value(
            ExecuteRunArgs(
                job_origin=origin, run_id=run.run_id, instance_ref=self._instance.get_ref()
            )
        )


def _socket() -> Path:
    return load_settings().runs_socket
