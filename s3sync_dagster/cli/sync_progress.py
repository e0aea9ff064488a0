"""What ``s3sync sync`` shows on standard error while it works."""

import sys
import time
from collections.abc import Sequence
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from s3sync_dagster.core.outcome import KeyOutcome
from s3sync_dagster.core.state import ListingRow
from s3sync_dagster.local.oneshot_report import Progress

LINE_SECONDS = 5.0
"""Between two lines of progress where nobody looks at a terminal."""


class DrawnProgress(Progress):
    """Bars on a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()  # asked before rich puts itself in its place
        self._console = Console(stderr=True)
        self._bars = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[numbers]}"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._terminal,
        )
        self._reading = self._bars.add_task("listing", total=None, numbers="")
        self._writing = self._bars.add_task("indexing", total=None, numbers="", visible=False)
        self._total = self._ended = 0
        self._said_at = time.monotonic()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def listing(self, listing: ListingRow) -> None:
        """Show how many objects were listed."""
        self.listed(listing.listed)

    def listed(self, number: int) -> None:
        """Show how many objects were listed."""
        self._bars.update(self._reading, numbers=str(number))
        self._say(f"listed {number} objects")

    def working(self, total: int) -> None:
        """Show how many keys wait."""
        self._total = total
        self._bars.update(
            self._reading, description="reading", total=total, completed=0, numbers=""
        )
        self._bars.update(self._writing, total=total, completed=0, visible=True)
        if total:
            self._said_at = 0.0
            self._say(f"{total} objects to look at")

    def read(self, at_most: int) -> None:
        """Advance the upper bar, which has no numbers: a group may be smaller."""
        self._bars.advance(self._reading, at_most)

    def keys(self, reports: Sequence[KeyOutcome]) -> None:
        """Advance the lower bar."""
        self._ended += len(reports)
        total = max(self._total, self._ended)
        numbers = f"{self._ended}/{total}"
        self._bars.update(self._writing, completed=self._ended, total=total, numbers=numbers)
        self._say(f"{self._ended} of {total} objects done")

    def note(self, line: str) -> None:
        """Print a line above the bars."""
        self._console.print(line, markup=False, highlight=False)

    def _say(self, line: str) -> None:
        now = time.monotonic()
        if not self._terminal and now - self._said_at >= LINE_SECONDS:
            self._said_at = now
            print(line, file=sys.stderr, flush=True)  # noqa: T201
