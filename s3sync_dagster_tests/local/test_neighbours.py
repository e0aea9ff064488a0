"""Another user of the machine: what he reaches of a running stack."""

import socket
import stat
from pathlib import Path

import httpx
import psutil
from dagster._grpc.client import DagsterGrpcClient

from s3sync_dagster.local.sockets import private_socket


def listening(home):
    """Return the TCP addresses at which processes of a home listen."""
    found = set()
    for process in psutil.process_iter():
        try:
            if process.environ().get("S3SYNC_HOME") == str(home):
                found |= {
                    (one.laddr.ip, one.laddr.port)
                    for one in process.net_connections(kind="tcp")
                    if one.status == psutil.CONN_LISTEN
                }
        except psutil.Error:
            continue
    return found


def test_the_code_server_is_reached_by_its_user_alone(tiny_stack):
    home = tiny_stack.settings.home
    mode = (home / "code.sock").stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) & 0o077 == 0
    assert DagsterGrpcClient(socket=str(home / "code.sock")).ping("hello")["echo"] == "hello"


def test_nothing_listens_on_tcp_but_what_has_a_door_and_chroma(tiny_stack):
    addresses = tiny_stack.addresses
    known = [addresses.dagster, addresses.chroma, addresses.api, tiny_stack.settings.chroma_url]
    wanted = {(url.host, url.port) for url in map(httpx.URL, filter(None, known))}
    assert listening(tiny_stack.settings.home) == wanted


def test_sockets_of_this_stack_s_processes_are_private(tiny_stack):
    # Dagster's code server has an inner one, at a path of its own.
    mine = set()
    for process in psutil.process_iter():
        try:
            if process.environ().get("S3SYNC_HOME") == str(tiny_stack.settings.home):
                mine |= {one.laddr for one in process.net_connections(kind="unix") if one.laddr}
        except psutil.Error:
            continue
    paths = {Path(path) for path in mine if path.startswith("/") and Path(path).exists()}
    assert len(paths) >= 2
    assert [path for path in paths if path.stat().st_mode & 0o077] == []
    # Else somebody's own server may stand at a path before the one that is started.
    assert [path for path in paths if path.parent.stat().st_mode & 0o077] == []


def test_nothing_of_a_home_is_for_others(tiny_stack):
    home = tiny_stack.settings.home
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    made = [home / "logs" / "webserver.log", home / "chroma" / "chroma.sqlite3"]
    made += [home / "logs" / "code-server.log", home / "code.sock"]
    assert [path for path in made if path.stat().st_mode & 0o077] == []


def test_what_a_killed_code_server_left_goes_and_nothing_else(tmp_path):
    left, named, file = (tmp_path / name for name in ("tmpabcdefgh", "temporary", "tmp01234567"))
    file.touch()
    for path in (left, named):
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    with private_socket(tmp_path, "code.sock"):
        assert not left.exists()
        assert named.exists()
        assert file.exists()


def test_a_home_with_a_long_name_has_its_socket_elsewhere(tmp_path):
    home = tmp_path / ("x" * 120)
    with private_socket(home, "code.sock") as path:
        assert len(str(path)) < 104
        assert path.parent.stat().st_mode & 0o077 == 0
    assert not path.parent.exists()
