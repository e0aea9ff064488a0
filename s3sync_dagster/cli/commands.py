"""The command tree. A command's module is imported when it is called, not for a list of all."""

import importlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from s3sync_dagster import __version__
from s3sync_dagster.cli.groups import Group, examples
from s3sync_dagster.model.errors import InvalidSetting, S3SyncError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


@dataclass(frozen=True, slots=True)
class Entry:
    """A command where it is listed; ``test_reference`` holds it equal to the command itself."""

    place: str
    """``module:name`` below ``s3sync_dagster.cli``."""
    help: str
    """First line of its help, without the full stop."""


GROUPS: Mapping[str, Mapping[str, Entry]] = {
    "Index": {
        "sync": Entry("sync:sync", "Bring a collection in line with a PLACE, once"),
        "source": Entry(
            "sources:source", "Sources in the catalog: a place, such as a bucket, and a collection"
        ),
        "import": Entry(
            "importing:import_sources",
            "Make sources of a FILE of Chroma Sync, Supermemory or Coco: the JSON that they show",
        ),
        "up": Entry("stack:up", "Run Chroma, Dagster, the API and the console until Ctrl-C"),
        "demo": Entry("stack:demo", "Show the whole story on sample files"),
    },
    "Search": {
        "query": Entry("query:query", "Search a collection for WORDS and print the best chunks"),
        "evaluate": Entry("evaluate:evaluate", "Ask a COLLECTION questions with known answers"),
        "mcp": Entry(
            "mcp:mcp",
            "Let an agent on this machine search and read (MCP over stdio)",
        ),
    },
    "See what is": {
        "status": Entry("status:status", "Show what each source has and what works on it"),
        "objects": Entry("object_list:objects", "List objects with their state, chunks and reason"),
        "failures": Entry(
            "objects:failures", "Show what failed, by reason, and when it is tried again"
        ),
        "why": Entry("objects:why", "Explain what becomes of one object, and which rule decides"),
        "doctor": Entry(
            "doctor:doctor", "Look at everything that s3sync needs, and say what is wrong"
        ),
        "chunks": Entry("look:chunks", "Show where FILE is cut into chunks, and why"),
        "extract": Entry("look:extract", "Print the text that extraction makes of FILE"),
    },
    "Decide and mend": {
        "retry": Entry(
            "objects:retry",
            "Ask again for what failed in a source",
        ),
        "approve-deletes": Entry(
            "approving:approve_deletes", "Let a listing remove what the guard stopped"
        ),
        "verify": Entry("health:verify", "Hold collections against the catalog"),
        "repair": Entry("health:repair", "Mend a COLLECTION whose vector index is damaged"),
        "rebuild": Entry("rebuilding:rebuild", "Write every record of SOURCE again"),
        "reindex": Entry(
            "rebuilding:reindex", "Index SOURCE again, in place or into a new collection"
        ),
    },
    "Set up": {
        "backup": Entry("backup:backup", "Write what cannot be made again into a new FOLDER"),
        "restore": Entry("backup:restore", "Put back what lies in the FOLDER of a backup"),
        "migrate": Entry("migrate:migrate", "Bring the catalog's schema up to this version"),
        "aws-setup": Entry(
            "aws_setup:aws_setup", "Print what AWS needs so that events reach a source"
        ),
        "credential": Entry("credentials:credential", "AWS keys that the catalog keeps encrypted"),
        "audit": Entry(
            "audit:audit",
            "Show who changed what or was refused, when and from where, the newest first",
        ),
        "token": Entry("tokens:token", "Tokens of the HTTP API, each for one tenant and one role"),
    },
}
"""All commands, in the order in which people meet them."""
COMMANDS = {name: entry for group in GROUPS.values() for name, entry in group.items()}
ALIASES = {"ls": "objects"}


class LazyGroup(Group):
    """Finds a command's module by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        del ctx
        entry = COMMANDS.get(ALIASES.get(cmd_name, cmd_name))
        if entry is None:
            return None
        module, name = entry.place.split(":")
        return getattr(importlib.import_module(f"s3sync_dagster.cli.{module}"), name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands group by group, without importing any."""
        del ctx
        width = max(map(len, COMMANDS))
        for title, entries in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), one.help) for name, one in entries.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """Return the commands that begin so, without importing any."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415  (only for completion)

        names = [name for name in COMMANDS if name.startswith(incomplete)]
        found = [CompletionItem(name, help=COMMANDS[name].help) for name in names]
        return found + click.Command.shell_complete(self, ctx, incomplete)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "s3sync sync s3://bucket/prefix --collection docs",
        's3sync query "how do I rotate a key" --collection docs',
        "s3sync failures",
    ),
)
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
    except (click.exceptions.Abort, KeyboardInterrupt) as stop:
        said = str(stop.__cause__ or stop) or "Interrupted; the next run goes on from here."
        print(said, file=sys.stderr)  # noqa: T201
        return 130
    except S3SyncError as error:
        full = _machine_fault(error) if error.reason == "catalog_unavailable" else None
        print(f"Error: {full or error.message}", file=sys.stderr)  # noqa: T201
        return 2 if isinstance(error, InvalidSetting) else 1
    except Exception as error:
        said = _machine_fault(error)
        if said is None:
            raise
        print(f"Error: {said}", file=sys.stderr)  # noqa: T201
        return 1
    return code if isinstance(code, int) else 0


def _machine_fault(error: Exception) -> str | None:
    from s3sync_dagster.cli.machine_faults import machine_fault  # noqa: PLC0415  (rarely)

    return machine_fault(error)
