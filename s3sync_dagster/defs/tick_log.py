"""What a tick says in Dagster's log: a file that stays, so none where nothing is said."""

import dagster as dg

MOST_LINES = 10
"""Of a tick: what is wrong with a thousand messages is wrong with ten of them."""


class TickLog:
    """The log of a tick, opened with its first line.

    ``context.log`` makes a file as soon as it is asked for; ticks come each second.
    """

    def __init__(self, context: dg.SensorEvaluationContext) -> None:
        self._context, self._lines = context, 0

    def warning(self, line: str) -> None:
        """Say what people should see."""
        if self._has_room():
            self._context.log.warning(line)

    def info(self, line: str) -> None:
        """Say what was done."""
        if self._has_room():
            self._context.log.info(line)

    def _has_room(self) -> bool:
        self._lines += 1
        if self._lines == MOST_LINES:
            self._context.log.warning("What else this tick says is left out.")
        return self._lines < MOST_LINES
