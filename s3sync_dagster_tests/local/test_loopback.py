"""A port that was chosen is still free when the server behind it has started."""

import socket

import pytest

from s3sync_dagster.local import loopback
from s3sync_dagster.model.errors import Conflict


def test_a_free_port_is_none_that_a_connection_could_take_meanwhile():
    ports = {loopback.free_port() for _ in range(50)}
    assert len(ports) > 40
    assert max(ports) < 32_768  # where Linux's ephemeral ports begin; elsewhere at 49,152


def test_a_port_with_a_listener_is_passed_over(monkeypatch):
    choices = iter([0, 0, 1])
    first = loopback.free_port()
    monkeypatch.setattr(loopback, "_FIRST_PORT", first)
    monkeypatch.setattr(loopback.secrets, "randbelow", lambda _: next(choices))
    with socket.create_server(("0.0.0.0", first)):
        assert loopback.free_port() == first + 1


def test_no_free_port_is_said(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(loopback, "_FIRST_PORT", server.getsockname()[1])
        monkeypatch.setattr(loopback.secrets, "randbelow", lambda _: 0)
        with pytest.raises(Conflict, match="free port"):
            loopback.free_port()


def test_who_listens_for_a_server_keeps_the_port_while_that_is_started_again():
    with loopback.listening(0, what="the API") as listener:
        port = listener.getsockname()[1]
        with pytest.raises(Conflict, match=f"Port {port} for the Dagster UI is in use"):
            loopback.listening(port, what="the Dagster UI")
        with socket.create_connection(("127.0.0.1", port)) as visitor:
            served = listener.accept()[0]
            served.close()  # the server's side first: the port is in TIME_WAIT from here on
            assert visitor.recv(1) == b""
    loopback.listening(port, what="the API").close()
