"""What a parser that was taken over would try, as functions of a worker that names no program."""

import os
import socket
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

REUSED = ("try_again",)


def try_all(secret: str, server_socket: str, port: int) -> dict[str, bool]:
    """Return what succeeds."""
    parent = os.getppid()
    attempts: dict[str, Callable[[], object]] = {
        "read a file": lambda: Path(secret).read_bytes(),
        "list a folder": lambda: list(Path(secret).parent.iterdir()),
        "change a file": lambda: Path(secret).open("ab").close(),
        "write beside it": lambda: (Path(secret).parent / "mine").write_bytes(b"x"),
        "remove a file": lambda: (Path(secret).parent / "other").unlink(),
        "read another's environment": lambda: Path(f"/proc/{parent}/environ").read_bytes(),
        "read another's memory": lambda: Path(f"/proc/{parent}/mem").open("rb").close(),
        "signal another": lambda: os.kill(parent, 0),
        "connect": lambda: socket.create_connection(("127.0.0.1", port), 2).close(),
        "send a datagram": lambda: _datagram(socket.AF_INET, ("127.0.0.1", port)),
        "send a datagram by IPv6": lambda: _datagram(socket.AF_INET6, ("::1", port)),
        "ask our own servers": lambda: _connect(server_socket),
        "start a program": lambda: subprocess.run(["/bin/true"], check=True),
        "start its own program": _own_program,
    }
    return {name: _succeeds(attempt) for name, attempt in attempts.items()}


def try_again(secret: str) -> bool:
    """Return whether a file can be read by a process that serves many calls."""
    return _succeeds(lambda: Path(secret).read_bytes())


def hold_files() -> tuple[str, ...]:
    """Return what ``sandbox.held`` says on a kernel without Landlock but with seccomp."""
    return ("files",)


def read_given(content: Path) -> bytes:
    """Return the file that the caller gives."""
    return content.read_bytes()


def use_own_folder() -> bytes:
    """Return what was written to a temporary file, with all that a folder can do."""
    folder = Path(tempfile.mkdtemp())
    (folder / "a").write_bytes(b"mine")
    (folder / "a").rename(folder / "b")
    (folder / "deeper").mkdir()
    moved = (folder / "b").rename(folder / "deeper" / "c")
    (folder / "link").symlink_to(moved)
    found = (folder / "link").read_bytes()
    moved.unlink()
    return found


def _succeeds(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except OSError:
        return False
    return True


def _datagram(family: int, address: tuple[str, int]) -> None:
    with socket.socket(family, socket.SOCK_DGRAM) as udp:
        udp.sendto(b"secret", address)


def _connect(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(path)


def _own_program() -> None:
    program = Path(tempfile.gettempdir()) / "program"
    program.write_bytes(Path("/bin/true").read_bytes())
    program.chmod(0o700)
    subprocess.run([str(program)], check=True)
