"""``s3sync``: parse, call, print. Results go to standard output, all else to standard error."""

import sys


def main() -> None:
    """Run the command line; one clear sentence for what a person can mend, no traceback."""
    from s3sync_dagster.cli.commands import run  # noqa: PLC0415  (import errors are shown too)

    sys.exit(run(sys.argv[1:]))
