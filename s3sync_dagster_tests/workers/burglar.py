"""What a parser that was taken over would try, as functions of a worker that names no program."""

import ctypes
import fcntl
import mmap
import os
import platform
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import zipfile
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
        "read another's command line": lambda: Path(f"/proc/{parent}/cmdline").read_bytes(),
        "see the machine's mounts": lambda: Path(f"/proc/{parent}/mountinfo").read_bytes(),
        "see the machine's connections": lambda: Path(f"/proc/{parent}/net/tcp").read_bytes(),
        "list all processes": lambda: list(Path("/proc").iterdir()),
        "signal another": lambda: os.kill(parent, 0),
        "connect": lambda: socket.create_connection(("127.0.0.1", port), 2).close(),
        "send a datagram": lambda: _datagram(socket.AF_INET, ("127.0.0.1", port)),
        "send a datagram by IPv6": lambda: _datagram(socket.AF_INET6, ("::1", port)),
        "send a datagram from a pair": lambda: _from_a_pair(str(Path(secret).parent / "log")),
        "ask our own servers": lambda: _connect(server_socket),
        "start a program": lambda: subprocess.run(["/bin/true"], check=True),
        "start its own program": _own_program,
        "limit another": lambda: resource.prlimit(parent, resource.RLIMIT_CORE, (0, 0)),
        "take another's turn": lambda: os.setpriority(os.PRIO_PROCESS, parent, 1),
        "take another's processor": lambda: os.sched_setaffinity(parent, {0}),
        "open a file to others": lambda: _set_mode(Path(secret), 0o666),
        "close a file to its user": lambda: _set_mode(Path(secret), 0),
        "change a file's time": lambda: _set_time(secret),
        "mark a file": lambda: os.setxattr(secret, "user.mine", b"1"),
        "cut a file": lambda: os.truncate(Path(secret).parent / "long", 0),
        "see what comes and goes": lambda: _watch(str(Path(secret).parent)),
        "share memory": lambda: _done(_LIBC.shmget(0, 4096, 0o1600)),
        "have namespaces of its own": _namespaces,
        "keep memory in no process": lambda: os.close(os.memfd_create("mine")),
        "keep descriptors on their way": _send_descriptor,
        "widen a socket": _widen_socket,
        "widen a pipe": _widen_pipe,
        "take the disk at once": _take_disk,
        "share memory without a file": lambda: mmap.mmap(-1, 4096).close(),
        "share memory by a device": _share_zeros,
        "send a signal by a pipe": _signal_by_pipe,
        "keep a file from others": _lease,
        "hide what it holds": lambda: _done(_LIBC.prctl(4, 0, 0, 0, 0)),
        "keep pages by a pipe": _send_file,
    }
    return {name: _succeeds(attempt) for name, attempt in attempts.items()}


def make_calls(numbers: dict[str, int]) -> dict[str, int]:
    """Return the error of each call, made with zeros for arguments; 0 where it was made."""
    return {name: _error_of(number) for name, number in numbers.items()}


def try_again(secret: str) -> bool:
    """Return whether a file can be read by a process that serves many calls."""
    return _succeeds(lambda: Path(secret).read_bytes())


def hold_files() -> tuple[str, ...]:
    """Return what ``held.held`` says on a kernel without Landlock but with seccomp."""
    return ("files",)


def read_given(content: Path) -> bytes:
    """Return the file that the caller gives."""
    return content.read_bytes()


def use_pairs_of_streams() -> list[bytes]:
    """Return what came through pairs of sockets, as libraries make them."""
    found: list[bytes] = []
    for flags in (0, socket.SOCK_CLOEXEC, socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK):
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM | flags)
        with one, other:
            one.sendall(b"x")
            found.append(other.recv(1))
    return found


def use_own_folder() -> bytes:
    """Return what was written to a temporary file, with all that a folder can do."""
    folder = Path(tempfile.mkdtemp())
    (folder / "a").write_bytes(b"mine")
    (folder / "a").rename(folder / "b")
    (folder / "deeper").mkdir()
    moved = (folder / "b").rename(folder / "deeper" / "c")
    (folder / "link").symlink_to(moved)
    shutil.copy2(folder / "link", folder / "copied")  # with its mode, times and marks
    shutil.copytree(folder / "deeper", folder / "copies")
    with zipfile.ZipFile(folder / "archive.zip", "w") as archive:
        archive.write(folder / "copied", "inner/copied")
    with zipfile.ZipFile(folder / "archive.zip") as archive:
        archive.extractall(folder / "unpacked")
    (folder / "copied").chmod(0o600)
    found = (folder / "unpacked" / "inner" / "copied").read_bytes()
    shutil.rmtree(folder)
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


def _from_a_pair(address: str) -> None:
    for end in (pair := socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)):
        end.sendto(b"secret", address)
    for end in pair:
        end.close()


def _connect(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(path)


def _set_mode(path: Path, mode: int) -> None:
    path.chmod(mode)
    if path.stat().st_mode & 0o777 != mode:
        raise PermissionError


def _set_time(path: str) -> None:
    os.utime(path, (1, 1))
    if Path(path).stat().st_mtime != 1:
        raise PermissionError


_LIBC = ctypes.CDLL(None)
_OWN_ERRORS = ctypes.CDLL(None, use_errno=True)


def _watch(folder: str) -> None:
    watcher = _done(_LIBC.inotify_init())
    try:
        _done(_LIBC.inotify_add_watch(watcher, folder.encode(), 0xFFF))
    finally:
        os.close(watcher)


def _send_descriptor() -> None:
    one, other = socket.socketpair()
    with one, other:
        socket.send_fds(one, [b"x"], [other.fileno()])


def _take_disk() -> None:
    with tempfile.TemporaryFile() as file:
        os.posix_fallocate(file.fileno(), 0, 2**20)


def _share_zeros() -> None:
    zeros = os.open("/dev/zero", os.O_RDONLY)
    try:
        mmap.mmap(zeros, 4096, prot=mmap.PROT_READ).close()
    finally:
        os.close(zeros)


def _signal_by_pipe() -> None:
    out, into = os.pipe()
    with os.fdopen(out), os.fdopen(into, "w"):
        fcntl.fcntl(out, fcntl.F_SETOWN, os.getpid())


def _lease() -> None:
    with tempfile.NamedTemporaryFile() as file, Path(file.name).open("rb") as again:
        file.close()
        fcntl.fcntl(again, fcntl.F_SETLEASE, fcntl.F_RDLCK)


def _send_file() -> None:
    out, into = os.pipe()
    with os.fdopen(out), os.fdopen(into, "w"), tempfile.TemporaryFile() as file:
        file.write(b"x" * 4096)
        file.flush()
        os.sendfile(into, file.fileno(), 0, 1)


def _widen_socket() -> None:
    one, other = socket.socketpair()
    with one, other:
        before = one.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, before)  # the kernel doubles it
        if one.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == before:
            raise PermissionError


def _widen_pipe() -> None:
    out, into = os.pipe()
    with os.fdopen(out), os.fdopen(into, "w"):
        fcntl.fcntl(into, 1031, 2**17)  # F_SETPIPE_SZ


def _namespaces() -> None:
    number = {"x86_64": 56, "aarch64": 220}[platform.machine()]
    flags = 0x10000000 | signal.SIGCHLD
    child = _LIBC.syscall(ctypes.c_long(number), ctypes.c_long(flags), None, None, None, None)
    if child == 0:
        os._exit(0)
    os.waitpid(_done(child), 0)


def _error_of(number: int) -> int:
    made = _OWN_ERRORS.syscall(ctypes.c_long(number), *[ctypes.c_long(0)] * 6)
    return ctypes.get_errno() if made < 0 else 0


def _done(result: int) -> int:
    if result < 0:
        raise PermissionError
    return result


def _own_program() -> None:
    program = Path(tempfile.gettempdir()) / "program"
    program.write_bytes(Path("/bin/true").read_bytes())
    program.chmod(0o700)
    subprocess.run([str(program)], check=True)
