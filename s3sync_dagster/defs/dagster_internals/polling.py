"""Dagster's own commands, whose parts ask one another less often, and at addresses of their own.

    python -m s3sync_dagster.defs.dagster_internals.polling dagster-daemon run ...

As shipped, daemon, webserver and both processes of a code server ask each second whether the
others are the same and alive, and the daemon reads all definitions anew each minute, whether or not
they changed. Each question goes through four processes, whose threads it wakes:
a third of what an idle stack used.
"""

import sys
import tempfile
from pathlib import Path

from dagster._grpc import client, server_watcher

WATCH_SECONDS = 2
"""Between two looks whether the code server has new definitions; as shipped 1."""
HEARTBEAT_SECONDS = 5
"""Between two signs of life to the process that has loaded the definitions, which ends itself
without any for 30 (``heartbeat_ttl`` of a code server); as shipped 1."""
RELOAD_SECONDS = 150
"""Between two reads of all definitions by the daemon, which is told of new ones by its watch. Below
half of the 300 after which a failure of it ends the daemon; as shipped 60."""


def poll_less() -> None:
    """Have the parts that this process starts from now on ask less often."""
    server_watcher.WATCH_INTERVAL = WATCH_SECONDS
    client.CLIENT_HEARTBEAT_INTERVAL = HEARTBEAT_SECONDS


def stand_apart(arguments: list[str]) -> None:
    """Have the inner process of a code server listen in the folder of the outer one's socket.

    As shipped it is a name in the folder of temporary files, which its command line tells seconds
    before it listens: a server of another user's might stand there first.
    """
    if "--socket" in arguments:
        tempfile.tempdir = str(Path(arguments[arguments.index("--socket") + 1]).parent)


def main() -> None:
    """Run the command of Dagster that the arguments name: ``dagster`` or ``dagster-daemon``."""
    poll_less()
    stand_apart(sys.argv)
    del sys.argv[0]
    if sys.argv[0] == "dagster-daemon":
        from dagster._daemon import controller  # noqa: PLC0415  (one of the two)
        from dagster._daemon.cli import main as command  # noqa: PLC0415

        controller.RELOAD_WORKSPACE_INTERVAL = RELOAD_SECONDS
    else:
        from dagster._cli import main as command  # noqa: PLC0415
    command()


if __name__ == "__main__":
    main()
