"""Hours of a source as stacked bars, which a template draws as SVG and writes as a table."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType

from s3sync_dagster.api.console.wording import duration, number
from s3sync_dagster.catalog.hours import Hour

BAR_HOURS = MappingProxyType({1: 1, 7: 6, 30: 24})
"""Days that may be looked at, and the hours of one bar of theirs."""
REASONS_SHOWN = 5
OTHERS = "other reasons"
FAILED_TONE = 4
"""As in the chart of states."""
HEIGHT = 100.0
"""Of a chart, in its own units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A part of a bar, of one series."""

    tone: int
    """Its colour."""
    top: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """Some hours."""

    at: datetime
    """When the first of them began, UTC."""
    values: tuple[float, ...] | None
    """Of the series, in their order; None: nothing was noted."""
    pieces: tuple[Piece, ...]
    """From the ground upwards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """What is drawn together."""

    name: str
    title: str
    told: str
    """What a bar says."""
    series: tuple[str, ...]
    tones: tuple[int, ...]
    """Colours of the series."""
    bars: tuple[Bar, ...]
    most: float
    """The highest bar."""
    words: Callable[[float], str]
    """Says a value."""


Values = Callable[[Sequence[Hour]], Sequence[float] | None]
"""What some hours come to, one value a series; of none at all where nothing is known."""


def charts_of(hours: Sequence[Hour], *, days: int, now: float, operates: bool) -> list[Chart]:
    """Return the charts of the last days.

    Args:
        hours: what is known of them.
        days: one of ``BAR_HOURS``.
        now: seconds since 1970, UTC.
        operates: whether the reader is told what concerns all tenants. Whoever learns how many of
            his texts had a vector already knows what others' documents say.
    """
    last, width = int(now // 3600), BAR_HOURS[days]
    starts = range(last - days * 24 + 1, last + 1, width)
    parts = [
        (start, [one for one in hours if start <= one.hour < start + width]) for start in starts
    ]

    def chart(
        name: str,
        title: str,
        told: str,
        series: Sequence[str],
        values: Values,
        words: Callable[[float], str] = number,
        tones: Sequence[int] = range(REASONS_SHOWN + 1),
    ) -> Chart:
        found = [(start, values(part) if part else None) for start, part in parts]
        most = max((math.fsum(one) for _, one in found if one is not None), default=0.0)
        bars = tuple(_bar(start, one, most=most, tones=tones) for start, one in found)
        return Chart(
            name=name, title=title, told=told, series=tuple(series), bars=bars, most=most,
            words=words, tones=tuple(tones),
        )  # fmt: skip

    reasons = _reasons(hours)
    found = [
        chart("states", "Objects by state", "as they were noted last", _STATES, _states),
        chart(
            "ended",
            "Throughput",
            "invocations that ended",
            ("complete", "failed"),
            _ended,
            tones=(0, FAILED_TONE),
        ),
        chart(
            "lag", "Lag", "age of the oldest work that waited, at most", ("lag",), _lag, duration
        ),
        chart(
            "failed",
            "Failed objects by reason",
            "as they were noted last",
            [one.replace("_", " ") for one in reasons],
            lambda part: _failed(part, reasons),
        ),
    ]
    if operates:
        found.append(
            chart(
                "texts",
                "Embedding",
                "texts that the model read: no equal ones, and none whose vector was known",
                ("texts",),
                lambda part: (sum(one.texts for one in part),),
            )
        )
    return found


_STATES = ("indexed", "skipped", "processing", "pending", "failed")


def _states(part: Sequence[Hour]) -> Sequence[float] | None:
    noted = _noted(part)
    if noted is None or noted.states is None:
        return None
    states = {**noted.states, "failed": sum(noted.failed.values())}
    return [states.get(name, 0) for name in _STATES]


def _ended(part: Sequence[Hour]) -> Sequence[float] | None:
    ended = (
        sum(one.complete_invocations for one in part),
        sum(one.failed_invocations for one in part),
    )
    # Nobody has counted yet where nobody has looked.
    return ended if any(ended) or _noted(part) else None


def _lag(part: Sequence[Hour]) -> Sequence[float] | None:
    return None if _noted(part) is None else (max(one.lag_seconds for one in part),)


def _failed(part: Sequence[Hour], reasons: Sequence[str]) -> Sequence[float] | None:
    noted = _noted(part)
    if noted is None:
        return None
    known = sum(noted.failed.get(name, 0) for name in reasons)
    others = sum(noted.failed.values()) - known
    return [others if name == OTHERS else noted.failed.get(name, 0) for name in reasons]


def _noted(part: Sequence[Hour]) -> Hour | None:
    """Return the last hour in which somebody looked."""
    return next((one for one in reversed(part) if one.states is not None), None)


def _reasons(hours: Sequence[Hour]) -> list[str]:
    """Return the reasons that stood highest, and a word for the others where there are more."""
    highest: Counter[str] = Counter()
    for one in hours:
        highest |= Counter(one.failed)
    names = [name for name, _ in highest.most_common(REASONS_SHOWN)]
    return [*names, OTHERS] if len(highest) > len(names) else names


def _bar(start: int, values: Sequence[float] | None, *, most: float, tones: Sequence[int]) -> Bar:
    pieces: list[Piece] = []
    ground = HEIGHT
    for tone, value in zip(tones, values or (), strict=False):
        height = HEIGHT * value / most if most else 0.0
        ground -= height
        if height:
            pieces.append(Piece(tone=tone, top=round(ground, 2), height=round(height, 2)))
    at = datetime.fromtimestamp(start * 3600, UTC)
    return Bar(at=at, values=None if values is None else tuple(values), pieces=tuple(pieces))
