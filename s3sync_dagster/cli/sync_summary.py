"""What ``s3sync sync`` and commands like it say, and at their end."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

from s3sync_dagster.cli.showing import people, reasons, wrapped
from s3sync_dagster.core.outcome import KeyOutcome
from s3sync_dagster.local.oneshot_report import Summary
from s3sync_dagster.model.source import Source

if TYPE_CHECKING:
    from s3sync_dagster.wiring import Parts

FAILURES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Show:
    """How a sync tells what it does."""

    quiet: bool
    verbose: bool
    as_json: bool

    def keys(self, reports: Sequence[KeyOutcome]) -> None:
        """Say how keys ended that changed while somebody watched."""
        for one in reports:
            if self.as_json:
                click.echo(json.dumps({"key": one.key, "state": one.state}))
            elif not self.quiet:
                click.echo(f"{one.state} {people(one.key)}")

    def note(self, line: str) -> None:
        """Say what went wrong for now."""
        click.echo(people(line), err=True)

    def summary(self, summary: Summary, source: Source, *, told: bool = True) -> None:
        """Print what was done: as JSON always, for people unless ``quiet`` or not ``told``."""
        if self.as_json:
            values = asdict(summary)
            values.pop("newly_failed")
            click.echo(json.dumps(values))
        elif told and not self.quiet:
            print_summary(summary, source)


def print_summary(summary: Summary, source: Source) -> None:
    """Print the counts: the first six lines add up to what was listed."""
    place = f"{place_of(source)} -> {source.collection_name}"
    click.echo(wrapped(f"{place}: {summary.listed} objects listed", hanging="  "))
    for name, value in (
        ("indexed", str(summary.indexed)),
        ("updated", str(summary.updated)),
        ("unchanged", str(summary.unchanged)),
        ("skipped", reasons(summary.skipped)),
        ("failed", reasons(summary.failed)),
        ("pending", str(summary.pending)),
    ):
        click.echo(wrapped(f"{name:<10} {value}", indent="  ", hanging=" " * 13))
    if summary.removed:
        click.echo(
            wrapped(f"besides, records of {summary.removed} objects were removed", indent="  ")
        )
    known = max(0, summary.chunks_written - summary.embedded)
    chunks = (
        f"chunks: {summary.chunks_written} written ({summary.embedded} embedded, "
        f"{known} with vectors known before), "
        f"{summary.metadata_updated} with new metadata, {summary.chunks_deleted} deleted"
    )
    click.echo(wrapped(chunks, hanging="  "))
    if summary.cut_off:
        longer = (
            f"{summary.cut_off} of them are longer than the model reads: their ends are found by "
            "words only; a smaller max_size_bytes would make them fit"
        )
        click.echo(wrapped(longer, indent="  "))
    sent = ", ".join(f"{number} {kind}" for kind, number in summary.requests.items() if number)
    click.echo(wrapped(f"requests: {sent or 'none'}; {summary.seconds:.1f} s", hanging="  "))


def print_troubles(parts: Parts, source: Source, summary: Summary) -> None:
    """Print on standard error what a person has to look at, with the way out."""
    total = sum(summary.failed.values())
    rows = parts.catalog.views.object_rows(source.id, state="failed", limit=FAILURES_SHOWN)
    causes: dict[str, list[str]] = {}
    for row in rows:  # a service that is away is one sentence, however many objects met it
        causes.setdefault(f"{row.reason}: {row.error}", []).append(row.object_key)
    for cause, keys in causes.items():
        for key in keys:
            click.echo(f"failed: {people(key)}", err=True)
        click.echo(wrapped(cause, indent="  ", stream=sys.stderr), err=True)
    if total > len(rows):
        click.echo(f"and {total - len(rows)} more: s3sync failures {source.name}", err=True)
    if summary.blocked_deletes:
        number = summary.blocked_deletes
        lost = "1 document has lost" if number == 1 else f"{number} documents have lost"
        click.echo(
            f"{lost} the object or the sidecar behind it, more than may go without a "
            "person's word. Look at the bucket; to see what it is: "
            f"s3sync approve-deletes {source.name}; to remove just these: "
            f"s3sync approve-deletes {source.name} {summary.blocked_listing}. With "
            "--approve-deletes a sync approves whatever its own listing misses.",
            err=True,
        )


def place_of(source: Source) -> str:
    """Return the source's place as people write it."""
    return people(source.place.address())
