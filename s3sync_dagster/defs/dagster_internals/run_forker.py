"""A warm process from which run workers are forked, so that none pays for the imports again.

``python -m s3sync_dagster.defs.dagster_internals.run_forker SOCKET`` imports Dagster, the storage
of its instance and this package once (2 CPU-seconds, which a worker of Dagster's own launcher pays
each time). Each run is then a forked child that executes ``dagster api execute_run``, the command
that Dagster's Docker and Kubernetes launchers execute. One thread, no connection and no definitions
here: that is what makes the forks safe, and lets each run load the definitions as they are when it
starts.
"""

import argparse
import gc
import importlib
import json
import logging
import os
import select
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

from dagster import DagsterInstance
from dagster._cli.api import api_cli
from dagster._core.instance.ref import InstanceRef
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import ConfigurableClassData, deserialize_value

from s3sync_dagster.settings import load_settings
from s3sync_dagster.starting import collect_as_usual, share_one_heap, spare_collections

_log = logging.getLogger(__name__)

WATCH_SECONDS = 0.2
"""How soon the death of a worker is seen."""
_REQUEST_SECONDS = 5.0
_PACKAGES = (
    "s3sync_dagster.definitions",
    "s3sync_dagster.ports.places",
    "s3sync_dagster.ports.chroma",
    "s3sync_dagster.chunking",
    "s3sync_dagster.extraction",
    "s3sync_dagster.workers",
    "httpcore",
    "numpy",
    "upath.core",  # of Dagster, when an instance is opened: it looks through all that is installed
)
"""What each run imports at last. (numpy's OpenBLAS ends its threads before a fork.)"""


class RunForker:
    """Serves the socket: starts and stops workers, and reports those that die."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._workers: dict[int, str] = {}
        """What each worker was asked to execute, by pid."""
        self._reporters: set[int] = set()
        self._stopped = False

    def serve(self) -> None:
        """Serve until SIGTERM; then the workers are asked to end, and waited for."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._path.unlink(missing_ok=True)
        before = os.umask(0o077)
        try:
            listener.bind(str(self._path))
        finally:
            os.umask(before)
        listener.listen(16)
        signal.signal(signal.SIGTERM, self._stop)
        gc.freeze()  # pages stay shared: a worker's collector does not touch them
        try:
            while not self._stopped:
                self._bury()
                if select.select([listener], [], [], WATCH_SECONDS)[0]:
                    self._serve_one(listener)
        finally:
            self._path.unlink(missing_ok=True)
            listener.close()
        for pid in self._workers:
            os.kill(pid, signal.SIGTERM)
        for pid in [*self._workers, *self._reporters]:
            os.waitpid(pid, 0)

    def _stop(self, *_: object) -> None:
        self._stopped = True

    def _serve_one(self, listener: socket.socket) -> None:
        link, _ = listener.accept()
        with link:
            link.settimeout(_REQUEST_SECONDS)
            try:
                with link.makefile("r", encoding="utf-8") as lines:
                    request = json.loads(lines.readline())
                answer = self._execute(request, listener, link)
                link.sendall(json.dumps(answer).encode() + b"\n")
            except (OSError, ValueError, LookupError, TypeError) as error:
                _log.error("a request failed: %s", type(error).__name__)

    def _execute(
        self, request: dict[str, str], listener: socket.socket, link: socket.socket
    ) -> dict[str, Any]:
        if "execute" not in request:
            pid = self._pid_of(request["run_id"])
            if pid and request.get("signal") == "end":
                os.kill(pid, signal.SIGTERM)
            return {"pid": pid}
        pid = os.fork()
        if pid == 0:
            listener.close()
            link.close()
            _work(request["execute"])
        self._workers[pid] = request["execute"]
        return {"pid": pid}

    def _pid_of(self, run_id: str) -> int | None:
        for pid, arguments in self._workers.items():
            if _arguments(arguments).run_id == run_id:
                return pid
        return None

    def _bury(self) -> None:
        """Collect the processes that have ended; one that died is reported by another fork."""
        for pid in [*self._workers, *self._reporters]:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            self._reporters.discard(pid)
            arguments = self._workers.pop(pid, None)
            if arguments is None or status == 0:
                continue
            reporter = os.fork()
            if reporter == 0:
                _report_death(arguments, os.waitstatus_to_exitcode(status))
            self._reporters.add(reporter)


def _work(arguments: str) -> NoReturn:
    """Be a run worker."""
    code = 1
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)  # Dagster sets its own
        api_cli.main(["execute_run", arguments], prog_name="dagster api", standalone_mode=False)
        code = 0
    except BaseException:  # noqa: BLE001  (the process ends here; its log has the reason)
        traceback.print_exc()
    _leave(code)


def _report_death(arguments: str, code: int) -> NoReturn:
    """Tell Dagster that a worker is gone, unless it had told all itself."""
    try:
        asked = _arguments(arguments)
        with DagsterInstance.from_ref(asked.instance_ref) as instance:  # type: ignore[arg-type]
            run = instance.get_run_by_id(asked.run_id)
            if run is not None and not run.is_finished:
                how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
                instance.report_run_failed(run, f"The run worker ended unexpectedly: {how}.")
    except BaseException:  # noqa: BLE001  (the process ends here; its log has the reason)
        traceback.print_exc()
    _leave(0)


def _leave(code: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def _arguments(text: str) -> ExecuteRunArgs:
    return deserialize_value(text, ExecuteRunArgs)


def preload(dagster_home: Path) -> None:
    """Import what every run needs, the storage that ``dagster.yaml`` names among it."""
    named = [
        part.module_name
        for part in InstanceRef.from_dir(str(dagster_home))
        if isinstance(part, ConfigurableClassData)
    ]
    for name in (*named, *_PACKAGES):
        try:
            importlib.import_module(name)
        except ImportError as error:  # who uses it says more; the stack must not end for it
            _log.warning("%s cannot be imported: %s", name, type(error).__name__)


def main() -> None:
    """Load, then serve a socket that only this user may open."""
    parser = argparse.ArgumentParser(prog="s3sync_dagster.defs.dagster_internals.run_forker")
    parser.add_argument("socket", type=Path)
    options = parser.parse_args()
    share_one_heap()  # the runs that are forked from here
    spare_collections()
    preload(load_settings().dagster_home)
    collect_as_usual()
    RunForker(options.socket).serve()


if __name__ == "__main__":
    main()
