"""Ways to do the same work, each with a Chroma server of its own, measured in turn."""

import json
import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import chromadb

from benchmarks.chroma.measured import Cost, run
from s3sync_dagster_tests.conftest_chroma import ChromaServer, start_chroma

COLLECTION = "docs"
OURS = "s3sync"
PAGE = 2000
_WORD = re.compile(r"zq\d{5}e\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one way did in one phase."""

    cost: Cost
    told: dict[str, Any]
    """The last line of JSON that it printed."""
    asked: str
    """What was counted between it and the place."""
    embedded: int
    """Texts that its model was given."""
    fresh: int
    """Records whose text was not in the collection before."""
    records: int
    missing: int
    """Files whose newest word is not in the collection."""
    stale: int
    """Words of files that are not the newest ones, and still there."""


@dataclass
class Way:
    """A command with its home and its Chroma server."""

    name: str
    home: Path
    chroma: ChromaServer
    command: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    held: Counter[str] = field(default_factory=Counter)
    """Texts of its collection, and how often."""

    def measure(self, newest: set[str], asked: Callable[[dict[str, Any]], str]) -> Row | None:
        """Run it once, and return None where it fails.

        Args:
            newest: words that have to be in the collection afterwards, and no others like them.
            asked: tells what it asked the place for, given what it printed.
        """
        cost = run(self.command, self.environment, self.chroma, self.home)
        if cost.code:
            return None
        lines = (self.home / "log").read_text(errors="replace").splitlines()
        told = json.loads(next(line for line in reversed(lines) if line.startswith("{")))
        before, self.held = self.held, self._texts()
        words = {one for text in self.held for one in _WORD.findall(text)}
        return Row(
            cost=cost,
            told=told,
            asked=asked(told),
            embedded=told["embedded"],
            fresh=(self.held - before).total(),
            records=self.held.total(),
            missing=len(newest - words),
            stale=len(words - newest),
        )

    def _texts(self) -> Counter[str]:
        collection = chromadb.HttpClient(port=self.chroma.port).get_collection(COLLECTION)
        found: Counter[str] = Counter()
        for offset in range(0, collection.count(), PAGE):
            page = collection.get(limit=PAGE, offset=offset, include=["documents"])
            found.update(page["documents"] or [])
        return found


def open_ways(names: Iterable[str], folder: Path) -> list[Way]:
    """Return ways with fresh homes and servers, whose commands are still to be given."""
    ways: list[Way] = []
    for name in names:
        home = folder / name
        home.mkdir(mode=0o700)
        chroma = start_chroma(home / "chroma")
        ways.append(Way(name=name, home=home, chroma=chroma, command=[]))
    return ways


def drop(way: Way, ways: list[Way]) -> None:
    """Go on without a way that failed; ours may not.

    Raises:
        SystemExit: it is ours.
    """
    if way.name == OURS:
        raise SystemExit("s3sync failed")
    way.chroma.stop()
    ways.remove(way)


def print_head(asked: str) -> None:
    """Print the head of the table."""
    titles = ("phase", "way", "seconds", "CPU s", "Chroma CPU s", "peak MB", asked)
    titles += ("embedded", "new texts", "records", "missing", "stale")
    print(f"| {' | '.join(titles)} |")
    print("|---" * len(titles) + "|", flush=True)


def print_row(phase: str, way: str, row: Row | None) -> None:
    """Print one row."""
    if row is None:
        print(f"| {phase} | {way} | failed |", flush=True)
        return
    cost = row.cost
    print(
        f"| {phase} | {way} | {cost.seconds:.1f} | {cost.cpu:.1f} | {cost.chroma_cpu:.1f} "
        f"| {cost.peak_mb:.0f} | {row.asked} | {row.embedded:,} | {row.fresh:,} "
        f"| {row.records:,} | {row.missing} | {row.stale} |",
        flush=True,
    )


def print_ratios(rows: Mapping[tuple[str, str], Sequence[Row]]) -> None:
    """Print medians of rounds, as multiples of ours in the same phase of the same round."""
    print("\n| phase | way | by the clock | CPU | Chroma's CPU | peak memory | embedded |")
    print("|---|---|---|---|---|---|---|")
    for (phase, way), theirs in rows.items():
        if way == OURS:
            continue
        ours = rows[phase, OURS]
        columns: tuple[Callable[[Row], float], ...] = (
            lambda row: row.cost.seconds,
            lambda row: row.cost.cpu,
            lambda row: row.cost.chroma_cpu,
            lambda row: row.cost.peak_mb,
            lambda row: row.embedded,
        )
        told = [
            _ratio([(take(a), take(b)) for a, b in zip(theirs, ours, strict=False)])
            for take in columns
        ]
        print(f"| {phase} | {way} | {' | '.join(told)} |")


def _ratio(pairs: Sequence[tuple[float, float]]) -> str:
    if not all(ours for _, ours in pairs):
        return "" if any(theirs for theirs, _ in pairs) else "1.00"
    return f"{statistics.median(theirs / ours for theirs, ours in pairs):.2f}"


def broken_claims(
    rows: Mapping[tuple[str, str], Sequence[Row]], *, least_cpu: Iterable[str]
) -> list[str]:
    """Return what is claimed of ours and was not so.

    Args:
        rows: by phase and way.
        least_cpu: phases in which ours is said to need the least CPU of all.
    """
    broken: list[str] = []
    for (phase, way), mine in rows.items():
        if way != OURS:
            continue
        if any(row.missing or row.stale for row in mine):
            broken.append(f"{phase}: words are missing or stale")
        if any(row.embedded > row.fresh for row in mine):
            broken.append(f"{phase}: more was embedded than changed")
        for other, theirs in ((name, found) for (at, name), found in rows.items() if at == phase):
            pairs = list(zip(mine, theirs, strict=False))
            if phase in least_cpu and all(a.cost.cpu > b.cost.cpu for a, b in pairs):
                broken.append(f"{phase}: {other} needs less CPU")
    return broken
