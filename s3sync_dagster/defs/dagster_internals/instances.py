"""Dagster's instance for a command that has a terminal: the terminal stays the command's."""

from pathlib import Path

import dagster as dg
from dagster._core.instance.ref import InstanceRef

_NOT_CAPTURED = {
    "module": "dagster._core.storage.noop_compute_log_manager",
    "class": "NoOpComputeLogManager",
}


def open_uncaptured_instance(home: Path) -> dg.DagsterInstance:
    """Return the instance of that folder, whose runs in this process write where it writes.

    As configured, Dagster points descriptors 1 and 2 of the whole process at files while a run
    executes, and starts two processes that copy them back: a bar stands still, and Ctrl-C ends
    the two with tracebacks.
    """
    return dg.DagsterInstance.from_ref(
        InstanceRef.from_dir(str(home), overrides={"compute_logs": _NOT_CAPTURED})
    )
