"""Chroma, Dagster and the API under one supervisor, on loopback ports, in one data folder.

Start: home, Chroma beside Dagster's schema; door of Chroma, code server, webserver and API side by
side; once the definitions are loaded, the daemon.
Stop: daemon, live runs, code server and webserver and API, Chroma; within ``STOP_SECONDS``.
The order is measured: a daemon that starts before the definitions are loaded drops work for
good, and a code server waits for its runs without limit.
"""

import contextlib
import importlib.util
import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import httpx

from s3sync_dagster.api import reloader
from s3sync_dagster.api.passes import PASS_HEADER
from s3sync_dagster.local.child import Child, Restarts
from s3sync_dagster.local.chroma_server import ChromaServer, revive_chroma, use_chroma
from s3sync_dagster.local.guardian import Guardian
from s3sync_dagster.local.home import prepare_home, shipped
from s3sync_dagster.local.logs import keep_all_short, written_to
from s3sync_dagster.local.loopback import listening
from s3sync_dagster.local.shared_instance import own_runs, require_no_other_daemon
from s3sync_dagster.local.signals import no_interruption
from s3sync_dagster.local.sockets import fits_socket, private_socket
from s3sync_dagster.local.stack_state import Addresses, door_pass, publish, stack_lock
from s3sync_dagster.model.errors import FixConfiguration, S3SyncError, Unavailable
from s3sync_dagster.ports.chroma_http import way_options
from s3sync_dagster.ports.dagster_runs import LOCATION, TIMEOUT_SECONDS, DagsterRuns
from s3sync_dagster.settings import Settings
from s3sync_dagster.workers import warm_server_command

_log = logging.getLogger(__name__)

LOAD_SECONDS = 180.0
"""How long the definitions may take to load: 6 s quiet, 21 s for 200 sources and a busy machine."""
STOP_SECONDS = 30.0
CLOUD = "Chroma Cloud"
"""Stands for an address where ``CHROMA_API_KEY`` is set and no URL."""
_ASKED_AGAIN_SECONDS = 5.0
"""After so long a part that does not answer is looked at: it may have ended."""
_DAEMON_SECONDS = 6.0
_RUNS_SECONDS = 4.0
_SERVERS_SECONDS = 9.0
_API = "s3sync_dagster.api"
_CHROMA_DOOR = "s3sync_dagster.local.chroma_door"
_WEBSERVER = "s3sync_dagster.local.webserver"
_POLLING = "s3sync_dagster.defs.dagster_internals.polling"
_RUN_FORKER = "s3sync_dagster.defs.dagster_internals.run_forker"
"""By name: this process has no use for Dagster itself."""


class Stack:
    """The supervisor. ``with Stack(settings) as stack: stack.watch()`` runs until Ctrl-C."""

    def __init__(
        self,
        settings: Settings,
        *,
        dagster_port: int = 0,
        api_port: int = 0,
        module: str = "s3sync_dagster.definitions",
        sources_version: Callable[[], object] | None = None,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Keep the wishes; nothing starts before ``start``.

        Args:
            settings: whose ``home`` the stack lives in.
            dagster_port: for the UI, 0: any free one.
            api_port: for the API, 0: any free one.
            module: the Dagster definitions.
            sources_version: a cheap call whose value changes with the catalog's sources;
                None: definitions are loaded once.
            report: gets one line per step, for people.
        """
        self._settings = settings
        self._wanted = (dagster_port, api_port, 0)
        self._module = module
        self._sources_version = sources_version
        self._report = report
        self._cleanup = contextlib.ExitStack()
        self._children: dict[str, Child] = {}
        self._chroma: ChromaServer | None = None
        self._chroma_restarts = Restarts()
        self._reloader: reloader.Reloader | None = None
        self.addresses: Addresses | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def settings(self) -> Settings:
        """The settings with the address of the Chroma in use; of Cloud they know already."""
        if self._chroma is None:
            return self._settings
        return self._settings.with_chroma_url(self._chroma.url)

    @property
    def dagster(self) -> DagsterRuns:
        """The webserver's GraphQL."""
        return self._dagster

    def start(self) -> Addresses:
        """Start all parts and return their addresses once each answers.

        Raises:
            Conflict: a stack already runs in this home, or a port is in use.
            FixConfiguration: the definitions cannot be loaded, or a part does not start.
        """
        try:
            return self._start()
        except BaseException:
            self.stop()
            raise

    def tend(self) -> None:
        """Look after the parts once: revive what died, shorten logs, load changed sources.

        Raises:
            FixConfiguration: a part has died too often (``part_died``).
        """
        keep_all_short(self._settings.home / "logs")
        for child in self._children.values():
            died = child.exit_code() is not None
            if not child.revive():
                raise FixConfiguration(
                    f"The {child.name} keeps ending: {str(child.log)!r} says why.",
                    reason="part_died",
                )
            if died and child.name == "daemon" and self._reloader:
                self._reloader.daemon_started()
        if self._chroma and self._chroma.pid:
            self._revive_chroma(self._chroma)
        if self._reloader:
            self._reloader.look()

    def _revive_chroma(self, chroma: ChromaServer) -> None:
        if revive_chroma(self._settings, chroma) is None:
            return
        if not self._chroma_restarts.one_more(time.monotonic()):
            log = self._settings.home / "logs" / "chroma.log"
            raise FixConfiguration(
                f"Chroma keeps ending: {str(log)!r} says why.", reason="part_died"
            )
        _log.warning("chroma ended: started again")

    def watch(self) -> None:
        """Tend the parts until an exception such as ``KeyboardInterrupt`` ends it."""
        while True:
            self.tend()
            time.sleep(1.0)

    def stop(self) -> None:
        """Stop all parts in order; what does not end in time is killed."""
        with no_interruption():
            self._stop_children()
            self._cleanup.close()
            self._chroma = None
            self.addresses = None

    # --- start --------------------------------------------------------------------------------

    def _start(self) -> Addresses:
        at_dagster, at_api, at_chroma = (
            self._cleanup.enter_context(listening(port, what=what))
            for port, what in zip(
                self._wanted, ("the Dagster UI", "the API", "Chroma"), strict=True
            )
        )
        self._report(f"Opening {self._settings.home}")
        prepare_home(self._settings, dagster=False)
        lock = self._cleanup.enter_context(stack_lock(self._settings.home))
        log = self._settings.home / "logs" / "supervisor.log"
        self._cleanup.enter_context(written_to(log, "s3sync_dagster.local", reloader.__name__))
        with ThreadPoolExecutor(1) as beside:
            schema = beside.submit(prepare_home, self._settings)  # of Dagster: a process of its own
            if self._settings.chroma_url or not self._settings.chroma_api_key:
                given = self._settings.chroma_url
                self._report(f"Looking for Chroma at {given}" if given else "Starting Chroma")
                self._chroma = self._cleanup.enter_context(use_chroma(self._settings))
            schema.result()
        guardian = Guardian(
            self._settings.home,
            environment=self._settings.child_environment(),
            keep_open=[lock.fileno()],
        )
        self._cleanup.callback(guardian.dismiss)

        code_socket = self._cleanup.enter_context(private_socket(self._settings.home, "code.sock"))
        self._code_socket = code_socket
        self._pass = self._cleanup.enter_context(door_pass(self._settings.home))
        environment = {
            **self.settings.child_environment(),
            "S3SYNC_CODE_SERVER_SOCKET": str(code_socket),
            "PYTHONUNBUFFERED": "1",
        }
        workspace = self._settings.home / "workspace.yaml"
        workspace.write_text(shipped("workspace.yaml"), "utf-8")

        def child(
            name: str,
            command: list[str],
            more: Mapping[str, str] = {},
            *,
            at: socket.socket | None = None,
        ) -> None:
            self._children[name] = Child(
                name,
                command,
                environment={**environment, **more},
                log=self._settings.home / "logs" / f"{name.replace(' ', '-')}.log",
                guardian=guardian,
                listener=at,
            )
            self._children[name].start()

        socket_path = self._settings.home / "workers.sock"
        if fits_socket(socket_path):  # else each run forks its own
            child("workers", warm_server_command(socket_path))
        if self._chroma and self._chroma.pid:
            door = [sys.executable, "-P", "-m", _CHROMA_DOOR, f"--to={self._chroma.url}"]
            child("chroma door", door, at=at_chroma)
        self._report("Starting Dagster")
        dagster = [sys.executable, "-P", "-m", _POLLING]
        code_server = [*dagster, "dagster", "code-server", "start", "-m", self._module]
        code_server += ["--socket", str(code_socket), "--location-name", LOCATION]
        code_server += ["--working-directory", self._code_folder()]
        child("code server", [*code_server, "--use-python-environment-entry-point"])
        child(
            "webserver",
            [sys.executable, "-P", "-m", _WEBSERVER, "-w", str(workspace)],
            at=at_dagster,
        )
        self._dagster_url = _url(at_dagster)
        self._dagster = self._cleanup.enter_context(self._asking_dagster())
        api_url = None
        if importlib.util.find_spec(f"{_API}.__main__") is not None:
            api_url = _url(at_api)
            to_dagster = {"S3SYNC_DAGSTER_URL": self._dagster_url, "S3SYNC_API_RELOADS": "off"}
            child("API", [sys.executable, "-P", "-m", _API], to_dagster, at=at_api)
        if self._sources_version:
            self._reloader = reloader.Reloader(self._dagster, self._sources_version)
        self._wait_loaded(code_socket)
        runs_path = self._settings.runs_socket
        if sys.platform == "linux" and fits_socket(runs_path):
            child("runs", [sys.executable, "-P", "-m", _RUN_FORKER, str(runs_path)])
        require_no_other_daemon(self._dagster, self._settings)
        child("daemon", [*dagster, "dagster-daemon", "run", "-w", str(workspace)])
        if self._reloader:
            self._reloader.daemon_started()

        if api_url is not None:
            self._wait("API", lambda: _answers_http(api_url), 60.0)
        chroma = self._chroma.url if self._chroma else CLOUD
        if self._chroma and self._chroma.pid:
            chroma = _url(at_chroma)
            self._wait("chroma door", lambda: _answers_http(chroma), 60.0)
        self.addresses = Addresses(dagster=self._dagster_url, chroma=chroma, api=api_url)
        publish(self._settings.home, self.addresses)
        return self.addresses

    def _code_folder(self) -> str:
        """Return the folder that Dagster puts before all others while it loads the definitions.

        It would be the current one. What Dagster takes out instead is the first of the path.
        """
        first = self._settings.environment.get("PYTHONPATH", "").split(os.pathsep)[0]
        return str(Path(first or self._settings.home).absolute())

    def _asking_dagster(self, timeout_seconds: float = TIMEOUT_SECONDS) -> DagsterRuns:
        """Return the webserver's GraphQL; where the webserver has ended, a question waits."""
        return DagsterRuns(
            self._dagster_url, timeout_seconds=timeout_seconds, headers={PASS_HEADER: self._pass}
        )

    def _wait_loaded(self, code_socket: Path) -> None:
        broken_since: float | None = None

        def loaded() -> bool:
            nonlocal broken_since
            try:
                state = dagster.location().state
            except Unavailable:
                return False
            if state != "broken" or not _accepts(code_socket):
                broken_since = None
            elif broken_since is None:
                broken_since = time.monotonic()
            elif time.monotonic() - broken_since > 5.0:
                raise FixConfiguration(
                    f"Dagster cannot load the definitions {self._module!r}: code-server.log and "
                    f"webserver.log in {str(self._settings.home / 'logs')!r} say why.",
                    reason="definitions_broken",
                )
            return state == "loaded"

        with self._asking_dagster(_ASKED_AGAIN_SECONDS) as dagster:
            self._wait("code server", loaded, LOAD_SECONDS)

    def _wait(self, name: str, ready: Callable[[], bool], seconds: float) -> None:
        """Wait for a part; one that ends during the start is an error, not revived."""
        deadline = time.monotonic() + seconds
        while not ready():
            ended = [child for child in self._children.values() if child.exit_code() is not None]
            if ended or time.monotonic() > deadline:
                child = ended[0] if ended else self._children[name]
                raise FixConfiguration(
                    f"The {child.name} {'ended' if ended else 'does not answer'} at its start: "
                    f"{str(child.log)!r} says why.",
                    reason="part_died",
                )
            time.sleep(0.1)

    # --- stop ---------------------------------------------------------------------------------

    def _stop_children(self) -> None:
        daemon = self._children.pop("daemon", None)
        if daemon:
            self._report("Stopping Dagster")
            daemon.ask_to_end()
            daemon.end(_DAEMON_SECONDS)
            self._end_runs()
        for child in self._children.values():
            child.ask_to_end()
        deadline = time.monotonic() + _SERVERS_SECONDS
        for child in self._children.values():
            child.end(deadline - time.monotonic())
        self._children.clear()
        self._reloader = None

    def _end_runs(self) -> None:
        """Cancel what works here: a code server would wait for it. Catalog and sensors go on later.

        In an instance that others share, that is what was started here, and nothing of theirs.
        """
        deadline = time.monotonic() + _RUNS_SECONDS
        asked: set[str] = set()
        with self._asking_dagster(_RUNS_SECONDS) as dagster:
            while time.monotonic() < deadline:
                try:
                    working = own_runs(dagster, self._settings, self._code_socket)
                    for run in working:
                        if run.id not in asked:
                            asked.add(run.id)
                            dagster.cancel(run.id)
                except S3SyncError as error:
                    _log.warning("while runs were cancelled: %s", error.message)
                    return
                if not working:
                    return
                time.sleep(0.1)


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()
    return f"http://{host}:{port}"


def _accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(str(path)) == 0


def _answers_http(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2.0, **way_options(url)).status_code < 500
    except httpx.HTTPError:
        return False
