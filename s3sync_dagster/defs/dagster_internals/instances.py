"""Dagster's instance for a command that has a terminal: the terminal stays the command's."""

from pathlib import Path
from typing import cast

import dagster as dg
import yaml
from dagster._config import ConfigType, process_config, resolve_to_config_type
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


def postgres_url(home: Path) -> str | None:
    """Return the address of the instance's history where that is a Postgres, else None.

    The storage is not opened: that would make its tables.
    """
    storage = InstanceRef.from_dir(str(home)).event_storage_data
    if storage is None or storage.module_name.partition(".")[0] != "dagster_postgres":
        return None
    from dagster_postgres import PostgresEventLogStorage  # noqa: PLC0415  (of an extra)
    from dagster_postgres.utils import pg_url_from_config  # noqa: PLC0415

    kind = resolve_to_config_type(PostgresEventLogStorage.config_type())
    found = process_config(cast("ConfigType", kind), yaml.safe_load(storage.config_yaml))
    return pg_url_from_config(found.value) if found.success and found.value else None
