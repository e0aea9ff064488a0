"""What ``s3sync sync`` shows on standard error while it works."""

import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Self

from s3sync_dagster.cli.pace import Pace
from s3sync_dagster.cli.showing import people
from s3sync_dagster.core.outcome import KeyOutcome
from s3sync_dagster.core.state import ListingRow
from s3sync_dagster.local.oneshot_report import Progress, Underway

if TYPE_CHECKING:
    from s3sync_dagster.cli.sync_bars import Bars

LINE_SECONDS = 5.0
"""Between two lines of progress where nobody looks at a terminal."""


class DrawnProgress(Progress):
    """Bars on a terminal, a line now and then elsewhere, nothing at all when that is asked for."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        """Draw, or not.

        Args:
            quiet: nothing is shown.
            verbose: each object that has ended is a line of its own.
        """
        self._verbose = verbose
        self._terminal = sys.stderr.isatty()  # asked before rich puts itself in its place
        self._quiet = quiet
        self._bars: Bars | None = None
        if self._terminal and not quiet:
            from s3sync_dagster.cli import sync_bars  # noqa: PLC0415  (rich: 40 CPU-ms)

            self._bars = sync_bars.Bars(before_drawing=self._look)
        self._listed = self._total = self._ended = self._cut = 0
        self._done = 0.0
        self._chunks: Callable[[], Underway] = Underway
        self._pace: Pace | None = None
        self._said = ""
        self._over = threading.Event()
        self._teller = threading.Thread(target=self._tell, name="s3sync-progress", daemon=True)

    def __enter__(self) -> Self:
        if self._bars is not None:
            self._bars.start()
        if not (self._terminal or self._quiet):
            self._teller.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()
        self._over.set()
        if self._teller.is_alive():
            self._teller.join()
        if kind is KeyboardInterrupt and self._pace is not None:
            raise KeyboardInterrupt(self._kept()) from None  # `run` prints it

    def listing(self, listing: ListingRow) -> None:
        """Show how many objects were listed."""
        self.listed(listing.listed)

    def listed(self, number: int) -> None:
        """Show how many objects were listed."""
        self._listed = number
        if self._bars is not None:
            self._bars.listed(number)

    def watch(self, look: Callable[[], Underway]) -> None:
        """Look there whenever something is drawn."""
        self._chunks = look

    def working(self, total: int) -> None:
        """Show how many keys wait."""
        self._total, self._pace = total, Pace(time.monotonic())
        if self._bars is not None:
            self._bars.working(total)
        if total:
            self._say(f"{total} objects to look at")

    def read(self, at_most: int) -> None:
        """Advance the upper bar, which has no numbers: a group may be smaller."""
        if self._bars is not None:
            self._bars.read(at_most)

    def keys(self, reports: Sequence[KeyOutcome]) -> None:
        """Advance the lower bar."""
        self._ended += len(reports)
        self._cut += sum(report.state in ("indexed", "updated") for report in reports)
        if self._verbose:
            for report in reports:
                why = f" ({report.reason})" if report.reason else ""
                chunks = f", {report.chunks} chunks" if report.chunks else ""
                self.note(f"{report.state} {people(report.key)}{why}{chunks}")

    def note(self, line: str) -> None:
        """Print a line above the bars."""
        if self._bars is not None:
            self._bars.note(line)
        elif not self._quiet:
            print(line, file=sys.stderr, flush=True)  # noqa: T201

    def numbers(self, width: int | None = None) -> str:
        """Return what is done and how fast, as the lower bar shows it.

        Args:
            width: columns that there are: what is least needed is left out first; None: any number.
        """
        found, total = self._chunks(), max(self._total, self._ended)
        told = {"objects": f"{self._ended}/{total} objects"}
        underway = min(found.documents - self._cut, total - self._ended)
        if underway > 0:
            told["underway"] = f"{underway} underway"
        if found.embedded:
            told["chunks"] = f"{found.embedded} chunks"
        if self._pace is not None and self._pace.rate is not None:
            told["rate"] = f"{self._pace.rate:.1f}/s"
        if self._pace is not None and self._pace.left_seconds is not None:
            told["left"] = f"{_clock(self._pace.left_seconds)} left"
        # A rate without chunks would be read as that of objects.
        for least in ("underway", "rate", "chunks", "left"):
            if width is not None and len("  ".join(told.values())) > width:
                told.pop(least, None)
        return "  ".join(told.values())

    def _kept(self) -> str:
        chunks = self._chunks().embedded
        vectors = f", and the vectors of {chunks} chunks are kept" if chunks else ""
        total = max(self._total, self._ended)
        return (
            f"Interrupted: {self._ended} of {total} objects are done{vectors}; the same command "
            "goes on from here."
        )

    def _look(self) -> None:
        if self._pace is None:
            return
        found, total = self._chunks(), max(self._total, self._ended)
        share = min(found.embedded / found.cut, 1.0) if found.cut else 0.0
        done = (self._ended - self._cut) + found.documents * share
        self._done = min(max(self._done, self._ended, done), total)
        self._pace.look(time.monotonic(), chunks=found.embedded, done=self._done, total=total)
        if self._bars is not None:
            self._bars.done(self._done, total=total, numbers=self.numbers(self._bars.for_numbers))

    def _tell(self) -> None:
        while not self._over.wait(LINE_SECONDS):
            self._look()
            if self._pace is None:
                self._say(f"listed {self._listed} objects")
            elif self._total:
                self._say(self.numbers())

    def _say(self, line: str) -> None:
        if not (self._terminal or self._quiet) and line != self._said:
            self._said = line
            print(line, file=sys.stderr, flush=True)  # noqa: T201


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
