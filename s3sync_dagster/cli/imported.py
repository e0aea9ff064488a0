"""What an import makes of each entry of a file, and how people see it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from s3sync_dagster.cli.showing import columns, people
from s3sync_dagster.model.s3_place import S3Place
from s3sync_dagster.model.source import Source
from s3sync_dagster.moving.wanted import KeyPair


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What becomes of one entry."""

    label: str
    state: str
    """``new``, ``there`` or ``refused``."""
    source: Source | None = None
    """Ours: the one that will be made, or that is there."""
    keys: KeyPair | None = field(default=None, repr=False)
    paused: bool = False
    notes: Sequence[str] = ()
    """What has no counterpart; of a refusal, why."""


def show_planned(planned: Sequence[Planned], *, dry_run: bool, as_json: bool) -> None:
    """Print a row for each entry, and each note on standard error; as JSON all on one line."""
    if as_json:
        click.echo(json.dumps([_values(one) for one in planned]))
        return
    words = {"new": "would be made" if dry_run else "made", "there": "is there"}
    table = [
        (
            words.get(one.state, one.state),
            people(one.source.name) if one.source else "-",
            people(_place(one.source)) if one.source else "-",
            people(one.source.collection_name) if one.source else "-",
            _keys(one),
            people(one.label),
        )
        for one in planned
    ]
    for line in columns(("", "name", "place", "collection", "keys", "from"), table):
        click.echo(line)
    for one in planned:
        for note in one.notes:
            word = "refused" if one.state == "refused" else "left out"
            click.echo(f"{people(one.label)}: {word}: {people(note)}", err=True)


def _place(source: Source) -> str:
    """Return where objects come from: of a server that the file names, which one gets the keys."""
    address = source.place.address()
    named = isinstance(source.place, S3Place) and source.server
    return f"{address} at {source.server}" if named else address


def _keys(planned: Planned) -> str:
    if planned.source is None or not isinstance(planned.source.place, S3Place):
        return "-"
    credentials = planned.source.place.credentials
    if credentials.access_key_id_env is not None:
        return f"${credentials.access_key_id_env}"
    if credentials.credential_id is not None:
        return f"credential {credentials.credential_id}"
    if planned.state == "new" and planned.keys is not None:
        return "to be kept encrypted"
    return "default chain"


def _values(planned: Planned) -> dict[str, Any]:
    return {
        "state": planned.state,
        "from": planned.label,
        "source": planned.source.settings() if planned.source else None,
        "paused": planned.paused,
        "keys": _keys(planned),
        "notes": list(planned.notes),
    }
