"""``s3sync doctor``."""

import json
from collections.abc import Iterator
from dataclasses import asdict

import click

from s3sync_dagster.cli.checks import (
    Check,
    home_checks,
    install_checks,
    server_checks,
    worker_checks,
)
from s3sync_dagster.cli.groups import examples
from s3sync_dagster.cli.options import as_json, chroma_url, opened
from s3sync_dagster.cli.showing import people
from s3sync_dagster.cli.source_checks import source_checks
from s3sync_dagster.model.errors import S3SyncError

COLOURS = {"ok": "green", "note": "yellow", "broken": "red"}


@click.command(epilog=examples("s3sync doctor", "s3sync doctor --json"))
@chroma_url
@as_json
def doctor(chroma_url: str | None, as_json: bool) -> int:
    """Look at everything that s3sync needs, and say what is wrong.

    With the way out. One line each: `ok`, `note` for what works with less, `broken`. The exit
    code is 1 when something is broken. Nothing is changed, no message is taken from a queue.
    """
    found: list[Check] = []
    for check in _all(chroma_url):
        found.append(check)
        if not as_json:
            mark = click.style(f"{check.state:<7}", fg=COLOURS[check.state])
            click.echo(f"{mark} {people(f'{check.name}: {check.text}')}")
    if as_json:
        click.echo(json.dumps([asdict(check) for check in found]))
    return 1 if any(check.state == "broken" for check in found) else 0


def _all(url: str | None) -> Iterator[Check]:
    yield from install_checks()
    yield from worker_checks()
    try:
        with opened(url, chroma=False) as parts:
            yield from home_checks(parts.settings)
            yield from server_checks(parts)
            yield from source_checks(parts)
    except S3SyncError as error:  # without settings, data folder or catalog nothing else can be
        yield Check("start", "broken", error.message)
