"""What ``s3sync sync`` shows on standard error while it works."""

import sys
import time
from collections.abc import Sequence
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from s3sync_dagster.core.engine import KeyReport
from s3sync_dagster.core.state import ListingRow
from s3sync_dagster.local.oneshot import Progress

LINE_SECONDS = 5.0
"""Between two lines of progress where nobody looks at a terminal."""


class DrawnProgress(Progress):
    """A bar on a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("listing", total=None)
        self._total = self._ended = 0
        self._said_at = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def listing(self, listing: ListingRow) -> None:
        """Show how many objects were listed."""
        self._bar.update(self._task, description=f"listed {listing.listed} objects")
        self._say(f"listed {listing.listed} objects")

    def working(self, total: int) -> None:
        """Show how many keys wait."""
        self._total = total
        self._bar.update(self._task, description="syncing", total=total, completed=0)
        if total:
            self._said_at = 0.0
            self._say(f"{total} objects to look at")

    def keys(self, reports: Sequence[KeyReport]) -> None:
        """Advance the bar."""
        self._ended += len(reports)
        self._bar.update(self._task, completed=self._ended)
        self._say(f"{self._ended} of {max(self._total, self._ended)} objects done")

    def note(self, line: str) -> None:
        """Print a line above the bar."""
        self._console.print(line, markup=False, highlight=False)

    def _say(self, line: str) -> None:
        now = time.monotonic()
        if not self._console.is_terminal and now - self._said_at >= LINE_SECONDS:
            self._said_at = now
            print(line, file=sys.stderr, flush=True)  # noqa: T201
