"""A stack in an instance of Dagster that others use as well: what is its own there.

``s3sync up`` has an instance in its data folder. Whoever puts a ``dagster.yaml`` of his own there
may name a database that a whole team works with.
"""

import json
import time
from pathlib import Path

from s3sync_dagster.local.home import is_managed
from s3sync_dagster.model.errors import Conflict
from s3sync_dagster.ports.dagster_runs import WORKING, DagsterRuns, Run
from s3sync_dagster.ports.run_forker import ask_forker
from s3sync_dagster.settings import Settings

GRPC_TAG = ".dagster/grpc_info"
"""Of a run that Dagster's default launcher started: which code server works on it."""
HEARTBEAT_SECONDS = 40.0
"""A daemon gives a sign every 30 s."""


def own_runs(dagster: DagsterRuns, settings: Settings, code_socket: Path) -> list[Run]:
    """Return the runs that work and were started here: forked, or by our code server."""
    runs = dagster.runs(statuses=WORKING, limit=100)
    working = [run for run in runs if run.can_terminate]
    if is_managed(settings.dagster_home) or not working:
        return working
    by_us = {GRPC_TAG: json.dumps({"host": "localhost", "socket": str(code_socket)})}
    served = {run.id for run in dagster.runs(statuses=WORKING, tags=by_us, limit=100)}
    return [run for run in working if run.id in served or _is_forked(settings, run.id)]


def require_no_other_daemon(dagster: DagsterRuns, settings: Settings) -> None:
    """Wait, in an instance that others may share, whether a daemon of theirs gives a sign.

    Raises:
        Conflict: one does (``daemon_running``): two daemons do all work twice.
    """
    if is_managed(settings.dagster_home):
        return
    seen = dagster.newest_heartbeat()
    deadline = time.monotonic() + HEARTBEAT_SECONDS
    while seen is not None and time.time() - seen < 2 * HEARTBEAT_SECONDS:
        if (dagster.newest_heartbeat() or 0.0) > seen:
            raise Conflict(
                "A daemon of another host already works on the Dagster instance of "
                f"{str(settings.dagster_home)!r}: use that deployment, or name a folder of your "
                "own in DAGSTER_HOME.",
                reason="daemon_running",
            )
        if time.monotonic() > deadline:
            return  # it was ended a moment ago
        time.sleep(0.5)


def _is_forked(settings: Settings, run_id: str) -> bool:
    answer = ask_forker(settings.runs_socket, {"run_id": run_id})
    return answer is not None and answer["pid"] is not None
