"""What a command changes is written down, with the user of the operating system who did it."""

import os
import pwd
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import click

from s3sync_dagster.catalog import Catalog
from s3sync_dagster.catalog.audit import AuditEntry
from s3sync_dagster.cli.machine_faults import machine_fault
from s3sync_dagster.model.errors import S3SyncError

CHANGES = frozenset(
    {
        *("source create", "source edit", "source pause", "source resume"),
        *("source move", "source delete"),
        *("token create", "token revoke"),
        *("credential create", "credential delete", "credential rotate"),
        *("backup", "restore", "migrate"),
        *("import", "sync", "retry", "approve-deletes", "repair", "rebuild", "reindex"),
        *("verify", "aws-setup"),
    }
)
LOOKS = {"approve-deletes": "listing_id", "verify": "fix", "aws-setup": "apply_it"}
"""Commands that only show something where this parameter is not given."""
_SUBJECTS = (
    "name",
    "listing_id",
    "source",
    "token_id",
    "credential_id",
    "tenant",
    "role",
    "bucket",
    "collection",
    "place",
)
"""Parameters that say what was changed; the others may be anything."""
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_LOGIN = re.compile(r"[^/:@]*:.*@|[^/]*@", re.DOTALL)
"""A name and a password before a host; secret keys have slashes, passwords signs of any kind."""
_SECRET_TAIL = re.compile(r"(?:[?#;&]|%(?:25|26|23|3b|3f)).*", re.DOTALL | re.IGNORECASE)
"""What an address may have of keys behind its path, also where it was quoted."""


@contextmanager
def noted(catalog: Catalog) -> Iterator[None]:
    """Write an entry around the block, if this command is one that changes something.

    It is there before anything is done: who kills his own command, or has it wait for ever,
    does not keep it out of the log.
    """
    context = click.get_current_context(silent=True)
    command = context.command_path.partition(" ")[2] if context is not None else ""
    looks = context is not None and command in LOOKS and not context.params.get(LOOKS[command])
    if context is None or command not in CHANGES or looks or context.params.get("dry_run"):
        yield
        return
    entry = AuditEntry(
        at=time.time(),
        tenant=None,
        who=f"os user {_user()}",
        role="operator",
        door="cli",
        address=None,
        action=command,
        subject=_subject(context.params),
        outcome="interrupted",
    )
    number = None
    with suppress(S3SyncError):  # the end tries again, and tells a person
        number = catalog.audit.begin(entry)
    outcome = entry.outcome
    try:
        yield
        outcome = "done"
    except S3SyncError as error:
        outcome = error.reason
        raise
    except Exception:
        outcome = "failed"
        raise
    finally:
        try:
            catalog.audit.end(number, replace(entry, outcome=outcome))
        except S3SyncError as error:
            why = "its database takes nothing now" if machine_fault(error) else error.message
            what = "this command" if number is None else "how this command ended"
            click.echo(f"The audit log lacks {what}: {why.rstrip('.')}.", err=True)


def _subject(given: Mapping[str, Any]) -> str:
    told = {name: str(given[name]) for name in _SUBJECTS if given.get(name)}
    if "place" in told:
        told["place"] = _without_secrets(told["place"])
    return " ".join(f"{name}={value}" for name, value in told.items())


def _without_secrets(place: str) -> str:
    """Return a place without secrets, also one that breaks all rules and is about to be refused."""
    scheme = _SCHEME.match(place)
    at = scheme.end() if scheme is not None else 0
    login = _LOGIN.match(place, at)
    kept = place if login is None else f"{place[:at]}***@{place[login.end() :]}"
    return _SECRET_TAIL.sub("", kept) if "://" in place else kept


def _user() -> str:
    """Return whose process this is; what its environment says might be anybody."""
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:  # a container's user without a name
        return str(number)
