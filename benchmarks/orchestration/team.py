"""A team's parts as processes here: Postgres, Redis, Chroma, Dagster's three, hosts of workers.

Each host has a data folder and a Dagster home of its own and shares nothing with the others but
the addresses of the servers. It takes an environment with the extra ``celery``, and
``redis-server`` (``apt-get install redis-server``).
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.orchestration.storage import storage
from s3sync_dagster.local.loopback import free_port
from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.ports.dagster_runs import DagsterRuns
from s3sync_dagster.ports.owners import Owners
from s3sync_dagster.settings import load_settings
from s3sync_dagster.wiring import Parts, open_parts
from s3sync_dagster_tests.conftest_aws import AwsEndpoint, start_rclone
from s3sync_dagster_tests.conftest_chroma import start_chroma

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
START_SECONDS = 300.0
DAEMON = "from dagster._daemon.cli import main; main()"


@dataclass
class Host:
    """One worker host: a Celery worker that takes a run at a time."""

    name: str
    home: Path
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def mark(self) -> str:
        """Return what stands before the colon of its owners' names."""
        return Owners(self.home)._home_id()

    def ready(self) -> bool:
        """Return whether it has said that it takes tasks."""
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        return " ready." in self.log.read_text()

    def family(self) -> list[psutil.Process]:
        """Return its processes."""
        mine = psutil.Process(self.process.pid)
        return [mine, *mine.children(recursive=True)]

    def kill(self) -> None:
        """Do what the end of a host does to its processes: nobody has time to say anything."""
        for process in self.family():
            process.send_signal(signal.SIGSTOP)
        for process in self.family():
            process.kill()
        self.process.wait()


@dataclass
class Team:
    """The parts, and what a benchmark asks them."""

    folder: Path
    environment: Mapping[str, str]
    aws: AwsEndpoint
    parts: Parts
    processes: dict[str, psutil.Process] = field(default_factory=dict)
    hosts: list[Host] = field(default_factory=list)
    dagster: DagsterRuns | None = None
    _stack: ExitStack = field(default_factory=ExitStack)

    def start(self, name: str, *command: str, **variables: str) -> subprocess.Popen[bytes]:
        """Start a part; it ends with the team."""
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *command],
                env={**self.environment, **variables},
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._stack.callback(_end, process)
        self.processes[name] = psutil.Process(process.pid)
        return process

    def start_dagster(self) -> None:
        """Start code server, webserver and daemon, in that order."""
        port, web = str(free_port()), free_port()
        workspace = self.folder / "workspace.yaml"
        workspace.write_text((DEPLOY / "workspace.yaml").read_text())
        where = {"S3SYNC_CODE_SERVER_HOST": "127.0.0.1", "S3SYNC_CODE_SERVER_PORT": port}
        self.start(
            "code server",
            *("-m", "dagster", "code-server", "start", "--host", "127.0.0.1", "--port", port),
            *("--module-name", "s3sync_dagster.definitions", "--location-name", "s3sync"),
        )
        self.start(
            "webserver",
            *("-m", "dagster_webserver", "--host", "127.0.0.1", "--port", str(web)),
            *("--workspace", str(workspace)),
            **where,
        )
        self.dagster = DagsterRuns(f"http://127.0.0.1:{web}")
        self.wait(self._loaded, "the definitions are loaded")
        self.start("daemon", "-c", DAEMON, "run", "--workspace", str(workspace), **where)

    def _loaded(self) -> bool:
        assert self.dagster is not None
        try:
            return self.dagster.location().state == "loaded"
        except Unavailable:  # it does not listen yet
            return False

    def add_hosts(self, number: int) -> None:
        """Start workers until there are so many, and wait until they take runs."""
        for place in range(len(self.hosts), number):
            name = f"host-{place + 1}"
            home = self.folder / name
            (home / "dagster").mkdir(parents=True)
            shutil.copy(self.folder / "home" / "dagster" / "dagster.yaml", home / "dagster")
            process = self.start(
                name,
                *("-m", "celery", "-A", "dagster_celery.app", "worker", "-n", f"{name}@%h"),
                *("-Q", "dagster", "-l", "INFO", "--without-gossip", "--without-mingle"),
                S3SYNC_HOME=str(home),
                DAGSTER_HOME=str(home / "dagster"),
            )
            self.hosts.append(Host(name, home, process, self.folder / f"{name}.log"))
        self.wait(lambda: all(host.ready() for host in self.hosts), "the hosts are ready")

    def wait(self, condition: Callable[[], Any], what: str, seconds: float = START_SECONDS) -> Any:
        """Wait for something; the logs are named when it does not come."""
        end = time.monotonic() + seconds
        while not (value := condition()):
            if time.monotonic() > end:
                logs = {log.name: log.read_text()[-1500:] for log in self.folder.glob("*.log")}
                raise TimeoutError(f"{what}: {logs}")
            time.sleep(0.1)
        return value

    def cpu(self) -> dict[str, float]:
        """Return CPU-seconds so far by part, those of ended children included."""
        used: dict[str, float] = {}
        for name, process in self.processes.items():
            part = "hosts" if name.startswith("host-") else name
            if not process.is_running():
                continue
            for one in (process, *process.children(recursive=True)):
                try:
                    times = one.cpu_times()
                except psutil.NoSuchProcess:
                    continue
                spent = times.user + times.system + times.children_user + times.children_system
                used[part] = used.get(part, 0.0) + spent
        return used


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _instance(home: Path) -> None:
    """Put Celery's launcher in place of the one in the shipped ``dagster.yaml``."""
    path = home / "dagster" / "dagster.yaml"
    celery = (DEPLOY / "dagster-celery.yaml").read_text()
    launcher = celery[celery.index("run_launcher:") : celery.index("# Standard output")]
    text = path.read_text()
    begin = text.index("run_launcher:")
    end = text.index("\n\n", begin)
    path.write_text(text[:begin] + launcher.strip() + text[end:])


@contextmanager
def team(folder: Path) -> Iterator[Team]:
    """Start the servers; Dagster and hosts are started by whoever asks for them."""
    home = folder / "home"
    with ExitStack() as stack:
        database = stack.enter_context(storage("postgres", home))
        _instance(home)
        s3 = start_rclone()
        stack.callback(s3.close)
        aws = AwsEndpoint(url=s3.url)
        chroma = start_chroma(folder / "chroma")
        stack.callback(chroma.stop)
        redis_port = free_port()
        redis = subprocess.Popen(
            ["redis-server", "--port", str(redis_port), "--bind", "127.0.0.1", "--save", ""],
            stdout=subprocess.DEVNULL,
            cwd=folder,
        )
        stack.callback(_end, redis)
        plain = {k: v for k, v in os.environ.items() if not k.startswith(("S3SYNC_", "DAGSTER_"))}
        python_path = os.pathsep.join([str(ROOT), str(DEPLOY / "celery")])
        environment = {
            **plain,
            **aws.environment(),
            **database,
            "PYTHONPATH": python_path,
            "S3SYNC_HOME": str(home),
            "DAGSTER_HOME": str(home / "dagster"),
            "S3SYNC_CHROMA_URL": chroma.url,
            "S3SYNC_ENCRYPTION_KEY": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
            "S3SYNC_CELERY_BROKER": f"redis://127.0.0.1:{redis_port}/0",
            "S3SYNC_CELERY_BACKEND": f"redis://127.0.0.1:{redis_port}/1",
            "DAGSTER_EVENT_BATCH_SIZE": "100",
            "OPENAI_API_KEY": "none",
        }
        parts = open_parts(load_settings(environment))
        stack.callback(parts.close)
        made = Team(folder=folder, environment=environment, aws=aws, parts=parts)
        made.processes |= {
            "chroma": psutil.Process(chroma.process.pid),
            "redis": psutil.Process(redis.pid),
        }
        stack.enter_context(made._stack)
        yield made
