"""What a process costs: seconds, CPU of its whole tree, CPU of Chroma, peak memory."""

import ctypes
import os
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from s3sync_dagster_tests.conftest_chroma import ChromaServer

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER: orphans become our children, and their CPU is counted
_LOOK_SECONDS = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of one process and all its descendants."""

    seconds: float
    cpu: float
    chroma_cpu: float
    peak_mb: float
    """Pages that processes share count once (PSS)."""
    code: int


def lend_packages(python: Path) -> None:
    """Let the environment of peers import this project, behind all packages of its own."""
    folder = next((python.parent.parent / "lib").glob("python3.*")) / "site-packages"
    lent = (Path(__file__).parents[2], sysconfig.get_path("purelib"))
    (folder / "lent.pth").write_text("".join(f"{path}\n" for path in lent))


def adopt_orphans() -> None:
    """Have this process wait for whatever its descendants leave behind."""
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def run(
    command: list[str], environment: Mapping[str, str], chroma: ChromaServer, folder: Path
) -> Cost:
    """Run a command and return what it cost; its output goes to ``folder/log``."""
    whole = {
        **os.environ,
        **environment,
        "S3SYNC_HOME": str(folder / "home"),
        "S3SYNC_MODEL_DIR": str(Path.home() / ".cache" / "s3sync-bench"),
    }
    server = psutil.Process(chroma.process.pid)
    before = sum(server.cpu_times()[:2])
    begun = time.perf_counter()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=whole, stdout=log, stderr=log)
    peak = [0.0]
    ended = threading.Event()
    watch = threading.Thread(target=_watch, args=(process.pid, peak, ended))
    watch.start()
    own = 0.0
    while process.returncode is None:
        pid, status, usage = os.wait4(-1, 0)
        own += usage.ru_utime + usage.ru_stime
        if pid == process.pid:
            process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - begun
    ended.set()
    watch.join()
    theirs = sum(server.cpu_times()[:2]) - before
    if process.returncode:
        print((folder / "log").read_text(errors="replace")[-3000:], file=sys.stderr)
    return Cost(
        seconds=seconds,
        cpu=own,
        chroma_cpu=theirs,
        peak_mb=peak[0] / 1e6,
        code=process.returncode,
    )


def _watch(pid: int, peak: list[float], ended: threading.Event) -> None:
    while not ended.wait(_LOOK_SECONDS):
        peak[0] = max(peak[0], _memory(pid))


def _memory(pid: int) -> float:
    total = 0
    try:
        family = [psutil.Process(pid)]
        family += family[0].children(recursive=True)
    except psutil.Error:
        return 0
    for member in family:
        try:
            lines = Path(f"/proc/{member.pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue  # it ended meanwhile
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total
