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
