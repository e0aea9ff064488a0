"""Loopback addresses and ports: find a free one, or say clearly that one is taken."""

import secrets
import socket

from s3sync_dagster.model.errors import Conflict

# Below every system's range of ephemeral ports (Linux from 32768, others from 49152) and above
# the well-known services: between choosing a port and listening on it, a connection of anybody's
# would take an ephemeral one, and a server on 0.0.0.0 then does not start.
_FIRST_PORT, _LAST_PORT = 20_000, 32_000


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that nobody listens on at this moment and no connection takes by itself.

    Raises:
        Conflict: none was found (``port_in_use``).
    """
    for _ in range(100):
        port = _FIRST_PORT + secrets.randbelow(_LAST_PORT - _FIRST_PORT)
        with socket.socket() as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
        return port
    raise _none_free()


def listening(port: int, *, what: str) -> socket.socket:
    """Return a socket that listens at a port, 0: at any free one, for a process to take over.

    A server that listens by itself needs seconds for it, at its start and when it is started
    again: whoever listens there meanwhile is sent by what its visitors are known.

    Raises:
        Conflict: something listens there (``port_in_use``), or no free port was found.
    """
    for _ in range(1 if port else 100):
        listener = socket.socket()
        # As servers do: a port in TIME_WAIT is free, one with a listener is not.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port or free_port()))
            listener.listen()  # one that is only bound may be taken over the same way
        except OSError:
            listener.close()
        else:
            return listener
    raise _in_use(port, what) if port else _none_free()


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
            raise _in_use(port, what) from None
    return port


def _in_use(port: int, what: str) -> Conflict:
    return Conflict(
        f"Port {port} for {what} is in use: name another one, or 0 for any free port.",
        reason="port_in_use",
    )


def _none_free() -> Conflict:
    return Conflict(
        f"No free port was found between {_FIRST_PORT} and {_LAST_PORT}: name one.",
        reason="port_in_use",
    )
