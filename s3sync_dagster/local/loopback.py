"""Loopback addresses and ports: find a free one, or say clearly that one is taken."""

import secrets
import socket

from s3sync_dagster.model.errors import Conflict


def free_port(host: str = "127.0.0.1") -> int:
    """Return a loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def unguessable_host() -> str:
    """Return one of 16 million loopback addresses, which no page in a browser can find by trying.

    For a server that asks nobody who he is and takes every ``Host``. Where only 127.0.0.1 exists
    (macOS), it is that.
    """
    host = ".".join(["127", *(str(1 + secrets.randbelow(254)) for _ in range(3))])
    with socket.socket() as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return "127.0.0.1"
    return host


def require_free(port: int, *, what: str) -> int:
    """Return ``port`` when nobody listens on it.

    A second Dagster code server on a taken port starts without a word and shares the calls
    (SO_REUSEPORT), so the port is looked at first.

    Raises:
        Conflict: something listens there (``port_in_use``).
    """
    with socket.socket() as probe:
        # As servers do: a port in TIME_WAIT is free, one with a listener is not.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise Conflict(
                f"Port {port} for {what} is in use: name another one, or 0 for any free port.",
                reason="port_in_use",
            ) from None
    return port
