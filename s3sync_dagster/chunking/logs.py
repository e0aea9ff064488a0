"""Cuts between log records: a record is a line with a time, and what follows it without one."""

import re

from s3sync_dagster.chunking.outline import Outline

_RECORD = re.compile(
    rb"[\[<(\"{]{0,2}(?:\d{2,4}[-/.:]\d{1,2}|[A-Z][a-z]{2}[ ,]+[A-Za-z\d]|<?\d+>|[A-Z]{4,8}\b|\{\")"
)
_CONTINUES = re.compile(rb"[ \t]|at |Caused by|\.\.\. |Traceback|[})\]]")
_SAMPLE_LINES = 200
_INSIDE_RECORD = 2.5


def outline_log(data: bytes) -> Outline:
    """Return cuts before records, and dearer ones before their further lines."""
    outline = Outline(uniform=True)
    timed = _is_timed(data)
    position = data.find(b"\n") + 1
    while 0 < position < len(data):
        if timed:
            inside = _RECORD.match(data, position) is None
        else:
            inside = _CONTINUES.match(data, position) is not None
        outline.allow(position, _INSIDE_RECORD if inside else 0.0)
        position = data.find(b"\n", position) + 1
    return outline


def _is_timed(data: bytes) -> bool:
    """Tell whether most lines of the beginning that are not indented start like a record."""
    lines = [line for line in data[:65_536].split(b"\n")[:_SAMPLE_LINES] if line.strip()]
    starts = [line for line in lines if not _CONTINUES.match(line)]
    timed = sum(1 for line in starts if _RECORD.match(line))
    return timed * 2 > len(starts)
