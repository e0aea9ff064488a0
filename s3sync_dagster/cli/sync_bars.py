"""The two bars of ``s3sync sync`` on a terminal."""

from collections.abc import Callable, Iterable

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

BAR_WIDTH = 20
BESIDE_NUMBERS = len("* indexing ")
"""What stands before the numbers, without a bar."""
WITH_BAR = 70
"""Columns from which on there is a bar: in less the numbers tell more."""


class Bars(Progress):
    """Looks at the numbers whenever it draws: most of them change without telling anybody."""

    def __init__(self, *, before_drawing: Callable[[], None]) -> None:
        self._before_drawing: Callable[[], None] = lambda: None  # rich draws while it is made
        console = Console(stderr=True)
        bar = [BarColumn(BAR_WIDTH)] if console.width >= WITH_BAR else []
        self.for_numbers = console.width - BESIDE_NUMBERS - (BAR_WIDTH + 1) * len(bar)
        """Columns: what is longer is cut."""
        super().__init__(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            *bar,
            TextColumn("{task.fields[numbers]}"),
            console=console,
            transient=True,
        )
        self._reading = self.add_task("listing", total=None, numbers="")
        self._writing = self.add_task("indexing", total=None, numbers="", visible=False)
        self._before_drawing = before_drawing

    def get_renderables(self) -> Iterable[RenderableType]:
        """Return what is drawn."""
        self._before_drawing()
        yield from super().get_renderables()

    def listed(self, number: int) -> None:
        """Show how many objects were listed."""
        self.update(self._reading, numbers=f"{number} objects")

    def working(self, total: int) -> None:
        """Show how many keys wait."""
        self.update(self._reading, description="reading", total=total, completed=0, numbers="")
        self.update(self._writing, total=total, completed=0, visible=True)

    def read(self, at_most: int) -> None:
        """Advance the upper bar."""
        self.advance(self._reading, at_most)

    def done(self, done: float, *, total: float, numbers: str) -> None:
        """Show how far the lower bar is."""
        self.update(self._writing, completed=done, total=total, numbers=numbers)

    def note(self, line: str) -> None:
        """Print a line above the bars."""
        self.console.print(line, markup=False, highlight=False)
