"""Dagster's instance for a command that has a terminal: the terminal stays the command's."""

import os

import dagster as dg
from dagster._core.instance.ref import InstanceRef

_NOT_CAPTURED = {
    "module": "dagster._core.storage.noop_compute_log_manager",
    "class": "NoOpComputeLogManager",
}


def open_uncaptured_instance() -> dg.DagsterInstance:
    """Return the instance of ``DAGSTER_HOME``, whose runs in this process write where it writes.

    As configured, Dagster points descriptors 1 and 2 of the whole process at files while a run
    executes, and starts two processes that copy them back: a bar stands still, and Ctrl-C ends
    the two with tracebacks.
    """
    home = os.environ["DAGSTER_HOME"]
    return dg.DagsterInstance.from_ref(
        InstanceRef.from_dir(home, overrides={"compute_logs": _NOT_CAPTURED})
    )
