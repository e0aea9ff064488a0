"""Pages of a document that another reader looks at, a few at a time in worker processes."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass

from s3sync_dagster.engine.ports import Content, WorkerPool, WorkLimits
from s3sync_dagster.extraction.answers import texts_of
from s3sync_dagster.model.errors import FixInput
from s3sync_dagster.model.source import ExtractionConfig

_AT_ONCE = 4
"""Calls that are queued ahead, so that other files get their turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageReader:
    """A function from page indices to their texts, and what it may use."""

    function: str
    """``module:function`` called as ``f(content, numbers, config=...)``; gives a text for each."""
    pages_at_once: int
    """Pages of one call, in a row; more than one where a call has a start to share."""
    limits: WorkLimits
    """Of one call."""
    total_seconds: float
    """Wall time for one document; what is not read by then is named in a warning."""
    kind: str
    """What the pages are called in that warning."""


def read_again(
    numbers: Sequence[int],
    content: Content,
    *,
    reader: PageReader,
    config: ExtractionConfig,
    pool: WorkerPool,
    warnings: list[str],
) -> dict[int, str]:
    """Return the texts of pages that could be read; the others are named in a warning."""
    ends_at = time.monotonic() + reader.total_seconds
    read: dict[int, str] = {}
    at_work: dict[Future[list[str]], list[int]] = {}
    waiting: Iterator[list[int]] = iter(_rows(numbers, reader.pages_at_once))
    while True:
        while len(at_work) < _AT_ONCE and time.monotonic() < ends_at:
            row = next(waiting, None)
            if row is None:
                break
            future = pool.submit(reader.function, content, row, config=config, limits=reader.limits)
            at_work[future] = row
        if not at_work:
            break
        done, _ = wait(at_work, return_when=FIRST_COMPLETED)
        for future in done:
            row = at_work.pop(future)
            try:
                read.update(zip(row, texts_of(future.result(), len(row)), strict=True))
            except FixInput as error:
                warnings.append(f"{_named(row)} not read: {error.message}")
    late = sum(len(row) for row in waiting)
    if late:
        warnings.append(
            f"{late} {reader.kind} pages were not read: {reader.total_seconds:g} s were not enough."
        )
    return read


def _rows(numbers: Sequence[int], size: int) -> list[list[int]]:
    """Return the numbers in pieces of at most ``size``, each without a gap."""
    rows: list[list[int]] = []
    for number in numbers:
        if rows and len(rows[-1]) < size and number == rows[-1][-1] + 1:
            rows[-1].append(number)
        else:
            rows.append([number])
    return rows


def _named(row: list[int]) -> str:
    if len(row) == 1:
        return f"Page {row[0] + 1} was"
    return f"Pages {row[0] + 1}-{row[-1] + 1} were"
