"""What ticks said goes after a day, and so does what is left of sensors that are gone.

Dagster's own retention deletes rows of ticks of the sensors that there are, and no file.
"""

import contextlib
import os
import time
from pathlib import Path

import dagster as dg
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.definitions.selector import RepositorySelector
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager

from s3sync_dagster.defs.loaded_sensors import LoadedSensors

KEEP_SECONDS = 86_400.0


def prune_ticks(
    instance: dg.DagsterInstance,
    loaded: LoadedSensors,
    *,
    budget_seconds: float = 10.0,
    now: float | None = None,
) -> int:
    """Delete old files of what ticks said, and all of sensors that went a day ago.

    A sensor of a queue goes with its last source. Its state would stay for ever, which the daemon
    reads every five seconds, with up to 17,000 ticks of its last day. What a person has switched
    off stays switched off.

    Logs that lie elsewhere than on this machine, and what cannot be deleted, are left alone.

    Returns:
        How many files were deleted.
    """
    now = time.time() if now is None else now
    ends, deleted = time.monotonic() + budget_seconds, 0
    gone = _gone(instance, loaded, before=now - KEEP_SECONDS)
    for name in (*gone, *sorted(loaded.names)):
        if time.monotonic() > ends:
            break  # the rest has its turn an hour later
        deleted += _delete_files(instance, name, before=now - KEEP_SECONDS, ends=ends)
    for state in gone.values():
        if time.monotonic() > ends:
            break
        instance.purge_ticks(state.instigator_origin_id, state.selector_id, before=now)
        if state.status is InstigatorStatus.DECLARED_IN_CODE:
            instance.delete_instigator_state(state.instigator_origin_id, state.selector_id)
    return deleted


def _gone(
    instance: dg.DagsterInstance, loaded: LoadedSensors, *, before: float
) -> dict[str, InstigatorState]:
    """Return the states of sensors that had their last tick then, and are not loaded."""
    if loaded.location is None or not loaded.names:
        return {}
    repository = RepositorySelector(
        location_name=loaded.location, repository_name=SINGLETON_REPOSITORY_NAME
    )
    return {
        state.instigator_name: state
        for state in instance.all_instigator_state(
            repository_selector_id=repository.selector_id, instigator_type=InstigatorType.SENSOR
        )
        if state.instigator_name not in loaded.names and _last_tick(state) < before
    }


def _last_tick(state: InstigatorState) -> float:
    data = state.sensor_instigator_data
    if data is None:
        return 0.0
    return data.last_tick_timestamp or data.last_sensor_start_timestamp or 0.0


def _delete_files(instance: dg.DagsterInstance, name: str, *, before: float, ends: float) -> int:
    manager = instance.compute_log_manager
    if not isinstance(manager, LocalComputeLogManager):
        return 0
    key = [SINGLETON_REPOSITORY_NAME, name, "-"]
    folder = Path(manager.get_captured_local_path(key, "err")).parent
    deleted = 0
    for file in os.scandir(folder) if folder.is_dir() else ():
        if time.monotonic() > ends:
            break
        with contextlib.suppress(OSError):  # another process has deleted it, or may
            is_old = file.stat(follow_symlinks=False).st_mtime < before
            if is_old and file.is_file(follow_symlinks=False):
                Path(file.path).unlink()
                deleted += 1
    return deleted
