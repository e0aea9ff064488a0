"""Runs ``s3sync`` in this process and writes where its CPU went: ``where_cpu.py FILE sync ...``.

A thread looks every few milliseconds what each thread does, and charges the CPU that the thread
took since the last look (its own clock says how much) to the innermost function of this project.
A thread that holds the interpreter for long is looked at when it lets go, so single lines are
about right and sums over a room are good.
"""

import atexit
import json
import os
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType

PACKAGE = f"{os.sep}s3sync_dagster{os.sep}"
LOOK_SECONDS = 0.004


class Sampler(threading.Thread):
    """Charges CPU to what is seen on the stacks."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.spent: Counter[str] = Counter()
        self._clocks: dict[int, float] = {}

    def run(self) -> None:
        while True:
            time.sleep(LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        frames = sys._current_frames()
        for thread in threading.enumerate():
            ident = thread.ident
            if ident is None or ident == threading.get_ident() or ident not in frames:
                continue
            try:
                now = time.clock_gettime(time.pthread_getcpuclockid(ident))
            except OSError:
                continue  # it has just ended
            taken = now - self._clocks.get(ident, 0.0)
            self._clocks[ident] = now
            if 0 < taken:
                self.spent[_place(frames[ident])] += taken


def _place(frame: FrameType | None) -> str:
    """Return the innermost own function, and the package that it has called."""
    inside = ""
    while frame is not None:
        name = frame.f_code.co_filename
        if PACKAGE in name:
            own = f"{name.rpartition(PACKAGE)[2]}:{frame.f_code.co_name}"
            return f"{own} > {inside}" if inside else own
        inside = _package(name)
        frame = frame.f_back
    return inside


def _package(name: str) -> str:
    if "site-packages" in name:
        return Path(name.rpartition("site-packages" + os.sep)[2]).parts[0]
    return Path(name).stem


def report(sampler: Sampler, path: str) -> None:
    """Write what was found."""
    sampler.look()
    times = os.times()
    Path(path).write_text(
        json.dumps(
            {
                "main": times.user + times.system,
                "workers": times.children_user + times.children_system,
                "places": sampler.spent.most_common(),
            }
        )
    )


def main() -> None:
    path = sys.argv.pop(1)
    sampler = Sampler()
    sampler.start()
    atexit.register(report, sampler, path)
    from s3sync_dagster.cli import main as s3sync

    s3sync()


if __name__ == "__main__":
    main()
