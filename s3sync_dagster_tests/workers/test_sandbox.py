"""What a worker can no longer do once it reads a document, which is read all the same."""

import socket

import pytest

from s3sync_dagster.engine.ports import WorkLimits
from s3sync_dagster.workers import landlock, linux, sandbox, seccomp
from s3sync_dagster.workers.pool import open_pool

JOBS = "s3sync_dagster_tests.workers.burglar:"
PLENTY = WorkLimits(seconds=30, memory_bytes=500 * 1024**2)
ALONE = frozenset({"connect", "send a datagram", "send a datagram by IPv6"})
"""What ends where there is no network, with or without more."""
FILTERED = frozenset(
    {
        *("limit another", "take another's turn", "take another's processor", "share memory"),
        *("open a file to others", "close a file to its user", "change a file's time"),
        *("mark a file", "cut a file", "see what comes and goes", "have namespaces of its own"),
        *("keep memory in no process", "send a datagram from a pair"),
        *("keep descriptors on their way", "widen a socket", "widen a pipe"),
        *("take the disk at once", "share memory without a file"),
        *("send a signal by a pipe", "keep a file from others", "hide what it holds"),
        "keep pages by a pipe",
    }
)
"""What seccomp refuses, whatever Landlock knows."""
BY_MACHINE = frozenset({"mark a file", "have namespaces of its own"})
"""What some file systems and containers allow nobody."""


@pytest.fixture
def house(tmp_path):
    """A home with a secret, a server in it, and one on the network."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "encryption.key").write_bytes(b"secret")
    (home / "other").touch()
    (home / "long").write_bytes(b"long")
    path = str(home / "runs.sock")
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as own,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log,
    ):
        log.bind(str(home / "log"))
        own.bind(path)
        own.listen()
        yield str(home / "encryption.key"), path, server.getsockname()[1]


@pytest.fixture
def pool():
    with open_pool(workers=1) as opened:
        yield opened


def test_nothing_that_a_document_does_not_need_is_left(pool, house):
    done = pool.submit(JOBS + "try_all", *house, limits=PLENTY).result()
    held = pool.submit("s3sync_dagster.workers.held:held", limits=PLENTY).result()
    left = {name for name, could in done.items() if could}
    kernel = landlock.version()
    if kernel == 0:
        assert left.isdisjoint({*ALONE, *FILTERED, "ask our own servers", "read another's memory"})
        assert held == ("files", "programs", "processes")
    else:
        assert left <= ({"signal another"} if kernel < 6 else set())
        assert held == (("processes",) if kernel < 6 else ())


def test_the_attempts_succeed_where_nothing_is_given_up(monkeypatch, house):
    monkeypatch.setenv(sandbox.SWITCH, "off")
    with open_pool(workers=1) as pool:
        done = pool.submit(JOBS + "try_all", *house, limits=PLENTY).result()
        held = pool.submit("s3sync_dagster.workers.held:held", limits=PLENTY).result()
    assert {name for name, could in done.items() if not could} <= ALONE | BY_MACHINE
    assert set(held) >= {"files", "programs", "processes", "modes"}


def test_a_process_that_serves_many_calls_has_given_up_as_much(pool, house):
    for _ in range(2):
        read = pool.submit(JOBS + "try_again", house[0], limits=PLENTY).result()
        assert read is (landlock.version() == 0)


def test_the_file_that_is_to_be_read_is_read(pool, tmp_path):
    body = tmp_path / "body"
    body.write_bytes(b"a document")
    assert pool.submit(JOBS + "read_given", body, limits=PLENTY).result() == b"a document"
    assert pool.submit(JOBS + "read_given", content=body, limits=PLENTY).result() == b"a document"


def test_pairs_of_streams_are_left(pool):
    assert pool.submit(JOBS + "use_pairs_of_streams", limits=PLENTY).result() == [b"x"] * 3


def test_its_own_folder_is_its_own(pool):
    assert pool.submit(JOBS + "use_own_folder", limits=PLENTY).result() == b"mine"


@pytest.mark.parametrize("lacks", ["landlock", "seccomp"])
def test_a_kernel_that_lacks_one_of_them_is_no_error(monkeypatch, lacks, tmp_path):
    kept = []
    seccomp.program.cache_clear()
    monkeypatch.setattr(linux, "drop_capabilities", lambda: True)  # of the test itself
    if lacks == "landlock":
        monkeypatch.setattr(landlock, "version", lambda: 0)
        monkeypatch.setattr(seccomp, "refuse_calls", lambda **_: kept.append("seccomp"))
    else:
        monkeypatch.setattr(seccomp.platform, "machine", lambda: "riscv64")
        monkeypatch.setattr(landlock, "restrict", lambda _rules: kept.append("landlock"))
    sandbox.enter(str(tmp_path), __name__)
    assert kept == [{"landlock": "seccomp", "seccomp": "landlock"}[lacks]]
    assert tmp_path in tmp_path.parent.iterdir()
