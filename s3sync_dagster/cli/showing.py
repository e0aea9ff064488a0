"""Text for people: keys as they are but for what a terminal would obey, columns, wrapped lines."""

import shutil
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from typing import TextIO

from rich.cells import cell_len

MIN_WIDTH = 40


def people(text: str) -> str:
    """Return the text with control characters escaped: a key must not move the cursor."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape", "surrogatepass").decode()
        for one in text
    )


def columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield aligned lines, the head first; nothing where there are no rows.

    On a terminal that is narrower the last cell stands below the others, and where they are too
    broad alone each on a line of its own: wrapped lines are no table, and what is cut is not told.
    """
    if not rows:
        return
    table = [tuple(head), *[tuple(row) for row in rows]]
    widths = [max(cell_len(row[at]) for row in table) for at in range(len(head))]
    if not sys.stdout.isatty() or _together(widths) <= _terminal_width():
        yield from _aligned(table, widths)
    elif _together(widths[:-1]) <= _terminal_width():
        for row, line in zip(table, _aligned(table, widths[:-1]), strict=True):
            yield line
            yield f"  {row[-1]}"
    else:
        yield from _records(head, rows)


def _together(widths: Sequence[int]) -> int:
    return sum(widths) + 2 * (len(widths) - 1)


def _aligned(table: Sequence[Sequence[str]], widths: Sequence[int]) -> Iterator[str]:
    for row in table:
        cells = (one + " " * (width - cell_len(one)) for one, width in zip(row, widths))
        yield "  ".join(cells).rstrip()


def _records(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the first cell of each row, and below it the others, each with its head."""
    broad = max(map(cell_len, head[1:]), default=0)
    for row in rows:
        yield row[0]
        for name, cell in zip(head[1:], row[1:], strict=True):
            if cell:
                yield f"  {name}{' ' * (broad - cell_len(name))}  {cell}"


def _terminal_width() -> int:
    return max(shutil.get_terminal_size().columns, MIN_WIDTH)


def wrapped(
    text: str, *, indent: str = "", hanging: str | None = None, stream: TextIO | None = None
) -> str:
    """Return a sentence wrapped to the terminal; in one line where nobody looks at it.

    Args:
        text: the sentence; blanks at its begin are kept for its other lines, as code needs.
        indent: before the first line.
        hanging: before the other lines; None: as the first line.
        stream: where it will be printed; None: standard output.
    """
    text = people(text)
    if not (stream or sys.stdout).isatty():
        return indent + text
    if hanging is None:
        hanging = indent + " " * (len(text) - len(text.lstrip()))
    return textwrap.fill(
        text,
        width=_terminal_width(),
        initial_indent=indent,
        subsequent_indent=hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def reasons(counts: dict[str, int]) -> str:
    """Return ``12 (too_large 2, empty_object 10)``; only the number where it is 0."""
    total = sum(counts.values())
    shown = ", ".join(f"{reason} {number}" for reason, number in sorted(counts.items()))
    return f"{total} ({shown})" if shown else str(total)


def ago(seconds: float | None) -> str:
    """Return how long ago a time since 1970 was, such as ``5 min ago``."""
    if seconds is None:
        return "never"
    passed = time.time() - seconds
    return f"{span(passed)} ago" if passed >= 1 else "just now"


def until(seconds: float | None) -> str:
    """Return in how long a time since 1970 will be, such as ``in 5 min``."""
    if seconds is None:
        return "only when the object or the settings change"
    left = seconds - time.time()
    return f"in {span(left)}" if left >= 1 else "now"


def span(seconds: float) -> str:
    """Return a time span with its largest unit."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
