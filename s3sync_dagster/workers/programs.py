"""External programs inside a call: bounded by it, and gone with it."""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

from s3sync_dagster.model.errors import MissingEngine
from s3sync_dagster.workers import linux


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended."""

    status: int
    output: bytes


def find_program(*names: str) -> str | None:
    """Return the path of the first program that is installed."""
    return next((path for name in names if (path := shutil.which(name))), None)


def run_program(arguments: Sequence[str], *, content: bytes = b"") -> Finished:
    """Run a program with ``content`` on its standard input.

    It has no shell, no terminal and no time limit of its own: the call's limits hold for it, since
    it shares the call's process group. Raises ``MissingEngine`` (``missing_program``).
    """
    program = shutil.which(arguments[0])
    if program is None:
        raise MissingEngine(
            f"The program {arguments[0]!r} is not installed.", reason="missing_program"
        )
    done = subprocess.run(
        [program, *arguments[1:]],
        input=content,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
        cwd=tempfile.gettempdir(),
        preexec_fn=linux.die_with_parent,  # a worker has one thread
    )
    return Finished(status=done.returncode, output=done.stdout)
