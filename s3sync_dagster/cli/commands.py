"""The command tree. Each command's module is imported when it is called: a start costs little."""

import importlib
import sys
from collections.abc import Sequence

import click

from s3sync_dagster import __version__
from s3sync_dagster.model.errors import InvalidSetting, S3SyncError

COMMANDS = {
    "sync": "sync:sync",
    "query": "query:query",
    "evaluate": "evaluate:evaluate",
    "up": "stack:up",
    "demo": "stack:demo",
    "source": "sources:source",
    "status": "status:status",
    "failures": "objects:failures",
    "retry": "objects:retry",
    "why": "objects:why",
    "approve-deletes": "objects:approve_deletes",
    "verify": "health:verify",
    "repair": "health:repair",
    "rebuild": "rebuilding:rebuild",
    "reindex": "rebuilding:reindex",
    "aws-setup": "aws_setup:aws_setup",
    "doctor": "doctor:doctor",
    "chunks": "look:chunks",
    "extract": "look:extract",
    "token": "tokens:token",
    "credential": "credentials:credential",
    "audit": "audit:audit",
}


class LazyGroup(click.Group):
    """Finds a command's module by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        del ctx
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        del ctx
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, name = place.split(":")
        return getattr(importlib.import_module(f"s3sync_dagster.cli.{module}"), name)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Keep Chroma collections in step with S3 buckets."""


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code: 0, 1 failed, 2 usage, 130 interrupted."""
    try:
        code = cli.main(list(arguments), prog_name="s3sync", standalone_mode=False)
    except click.ClickException as error:
        error.show(sys.stderr)
        return error.exit_code
    except click.exceptions.Abort:
        print("Interrupted; the next run goes on from here.", file=sys.stderr)  # noqa: T201
        return 130
    except KeyboardInterrupt:
        print("Interrupted; the next run goes on from here.", file=sys.stderr)  # noqa: T201
        return 130
    except S3SyncError as error:
        print(f"Error: {error.message}", file=sys.stderr)  # noqa: T201
        return 2 if isinstance(error, InvalidSetting) else 1
    return code if isinstance(code, int) else 0
