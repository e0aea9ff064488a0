"""The page docs/commands.md, made from the commands themselves: ``python -m ...cli.reference``."""

from collections.abc import Iterator

import click

from s3sync_dagster.cli.commands import cli

WIDTH = 90
HEAD = """# Commands

Made by `python -m s3sync_dagster.cli.reference` from the commands themselves. Results go to
standard output, progress and logs to standard error. Every command that prints rows takes `--json`:
one line of JSON, the last on standard output.

| exit code | meaning |
|---|---|
| 0 | all well |
| 1 | something failed, or waits for an approval |
| 2 | a mistake in the command or in a setting |
| 130 | interrupted by Ctrl-C or SIGTERM; the next run goes on from there |
"""


def commands_markdown() -> str:
    """Return the reference of all commands as Markdown."""
    parts = [HEAD]
    for context in all_commands():
        text = context.command.get_help(context).strip()
        parts.append(f"## `{context.command_path}`\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


def all_commands() -> Iterator[click.Context]:
    """Yield a context for each command that does something, in the order of their names."""
    return (one for one in _below(cli, _top()) if not isinstance(one.command, click.Group))


def all_groups() -> Iterator[click.Context]:
    """Yield a context for each group of commands, the outermost first."""
    yield _top()
    yield from (one for one in _below(cli, _top()) if isinstance(one.command, click.Group))


def _top() -> click.Context:
    return click.Context(
        cli,
        info_name="s3sync",
        terminal_width=WIDTH,
        max_content_width=WIDTH,
        help_option_names=["-h", "--help"],
    )


def _below(group: click.Group, context: click.Context) -> Iterator[click.Context]:
    for name in group.list_commands(context):
        child = group.get_command(context, name)
        if child is None:
            continue
        inner = click.Context(child, info_name=name, parent=context)
        yield inner
        if isinstance(child, click.Group):
            yield from _below(child, inner)


if __name__ == "__main__":
    click.echo(commands_markdown(), nl=False)
