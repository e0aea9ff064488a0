"""Groups of commands: those that are near a misspelt one, and help texts that are not cut off."""

from difflib import get_close_matches

import click


class Group(click.Group):
    """A group that names what a misspelt command may have meant, and tells each in full."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command. Raises ``UsageError`` with the names that are near."""
        name = args[0]
        if name[:1] != "-" and self.get_command(ctx, name) is None and not ctx.resilient_parsing:
            near = get_close_matches(name, self.list_commands(ctx), n=3, cutoff=0.6)
            meant = f" Did you mean {' or '.join(near)}?" if near else ""
            raise click.UsageError(f"There is no command {name!r}.{meant}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each command with its whole first sentence."""
        rows = [
            (name, first_sentence(command))
            for name in self.list_commands(ctx)
            if (command := self.get_command(ctx, name)) is not None
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def first_sentence(command: click.Command) -> str:
    """Return the first line of a command's help, without its full stop."""
    return (command.help or "").strip().partition("\n")[0].rstrip(".")


def examples(*lines: str) -> str:
    """Return the examples at the end of a help text, one command a line."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
