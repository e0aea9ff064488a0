"""What run workers are forked from (``defs.dagster_internals.run_forker``), as others ask it."""

import json
import socket
from pathlib import Path
from typing import Any

from s3sync_dagster.model.errors import Unavailable

_ANSWER_SECONDS = 10.0


def ask_forker(path: Path, request: dict[str, str]) -> dict[str, Any] | None:
    """Return the forker's answer; None where none serves that socket.

    Raises:
        Unavailable: the request was sent and no answer came. A worker may work by now, so nobody
            may start another one: two of one run would both hold its batch.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(_ANSWER_SECONDS)
        try:
            link.connect(str(path))
        except OSError:
            return None
        try:
            link.sendall(json.dumps(request).encode() + b"\n")
            with link.makefile("r", encoding="utf-8") as lines:
                answer = lines.readline()
        except OSError:
            answer = ""
    if not answer:
        raise Unavailable(
            "The process that run workers are forked from took a request and did not answer: "
            "logs/runs.log says why. What a failed run held is dispatched anew."
        )
    return json.loads(answer)
