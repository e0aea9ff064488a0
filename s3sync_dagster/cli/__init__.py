"""``s3sync``: parse, call, print. Results go to standard output, all else to standard error."""

import io
import os
import sys

from s3sync_dagster.starting import spare_collections


def main() -> None:
    """Run the command line; one clear sentence for what a person can mend, no traceback."""
    spare_collections()
    from s3sync_dagster.cli.commands import run  # noqa: PLC0415  (import errors are shown too)
    from s3sync_dagster.local.privacy import keep_files_private  # noqa: PLC0415

    keep_files_private()
    # Bars of other libraries, such as Dagster's when its history is made anew, stand in files.
    os.environ.setdefault("TQDM_DISABLE", "1")

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A key with letters that the terminal does not have is no reason to end.
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))
