"""``deploy/compose.yaml`` as plain processes: its own commands, checks, order and variables."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
SCRIPTS = str(Path(sys.executable).parent)
WAIT_SECONDS = 180
FOREIGN = ("postgres", "proxy")
"""Parts of other people's images; Postgres is the tests' own, a proxy is not needed on loopback."""


def services():
    """Return the parts that run from our image, in the file's own words."""
    text = (DEPLOY / "compose.yaml").read_text()
    text = re.sub(r"\$\{\w+(?::-([^}]*)|:\?[^}]*)?\}", lambda found: found[1] or "", text)
    found = yaml.safe_load(text)["services"]
    return {name: part for name, part in found.items() if name not in FOREIGN}


@dataclass
class Deployment:
    """The parts, started in the order that ``depends_on`` tells."""

    folder: Path
    places: Mapping[str, str]
    """What names and paths of the containers are here."""
    environment: Mapping[str, str]
    """Of all parts, besides what the file says."""
    started: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def variables(self, name: str) -> dict[str, str]:
        """Return the environment of a part."""
        own = {key: self.here(str(value)) for key, value in services()[name]["environment"].items()}
        common = {
            "HOME": str(self.folder), "PATH": f"{SCRIPTS}:{os.environ['PATH']}",
            "S3SYNC_SECRETS": str(self.folder / "secrets"),
            "S3SYNC_DAGSTER_YAML": self.here("/etc/s3sync/dagster.yaml"),
            "S3SYNC_HOME": self.here("/var/lib/s3sync"),
            "DAGSTER_HOME": self.here("/var/lib/s3sync/dagster"),
        }  # fmt: skip
        return {**common, **self.environment, **own}

    def here(self, text: str) -> str:
        """Return what a text of the file is on this machine."""
        for theirs, ours in self.places.items():
            text = text.replace(theirs, ours)
        return text

    def run(self, name: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command as a part does, to its end."""
        return subprocess.run(
            [str(DEPLOY / "entrypoint.sh"), *command], env=self.variables(name), check=False,
            capture_output=True, text=True, timeout=WAIT_SECONDS,
        )  # fmt: skip

    def start(self, name: str) -> None:
        """Start a part once those that it depends on are as it wants them."""
        if name in self.started or name in FOREIGN:
            return
        part = services()[name]
        for other, wish in part.get("depends_on", {}).items():
            if other in FOREIGN:
                continue
            self.start(other)
            self.wait(other, wish["condition"])
        command = [self.here(word) for word in part["command"]]
        with self.log(name).open("ab") as log:
            self.started[name] = subprocess.Popen(
                [str(DEPLOY / "entrypoint.sh"), *command], env=self.variables(name), stdout=log,
                stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def wait(self, name: str, condition: str = "service_healthy") -> None:
        """Wait as compose does: for a healthcheck, or for the end."""
        process = self.started[name]
        if condition == "service_completed_successfully":
            assert process.wait(WAIT_SECONDS) == 0, self.log(name).read_text()
            return
        _, *test = services()[name]["healthcheck"]["test"]
        words = [self.here(word) for word in test]
        deadline = time.monotonic() + WAIT_SECONDS
        while subprocess.run(
            words, env=self.variables(name), check=False, capture_output=True
        ).returncode:
            assert process.poll() is None, self.log(name).read_text()
            assert time.monotonic() < deadline, self.log(name).read_text()[-3000:]
            time.sleep(0.2)

    def log(self, name: str) -> Path:
        """Return where a part writes."""
        return self.folder / f"{name}.log"

    def stop(self) -> None:
        """End the parts, the last one first."""
        for process in reversed(self.started.values()):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
