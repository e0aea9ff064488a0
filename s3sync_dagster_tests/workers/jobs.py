"""Functions that tests run in workers: good ones, greedy ones, dying ones."""

import contextlib
import ctypes
import os
import platform
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from s3sync_dagster.model import errors
from s3sync_dagster.model.document import Document, Page
from s3sync_dagster.model.errors import UnreadableFile
from s3sync_dagster.workers import refusals, replies

PROGRAMS = (sys.executable, "sleep")
PRELOAD = {"loaded_modules": ("colorsys",)}
REUSED = ("do_again", "spend_seconds")
_seen: list[str] = []


def add(left: int, right: int = 0) -> int:
    return left + right


def echo(value: object) -> object:
    return value


def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def spin() -> None:
    while True:
        pass


def fill_memory(size: int) -> int:
    hoard = []
    while sum(map(len, hoard)) < size:
        hoard.append(b"x" * (8 * 1024**2))
    time.sleep(5)
    return len(hoard)


def ask_for_address_space(size: int) -> int:
    return len(bytearray(size))


def fill_memory_in_a_program(size: int) -> None:
    program = f"import time; hoard = b'x' * {size}; time.sleep(30)"
    subprocess.run([sys.executable, "-c", program], check=True)


def make_text(size: int) -> str:
    return "x" * size


def die(number: int) -> None:
    os.kill(os.getpid(), number)


def leave_quietly(code: int) -> None:
    os._exit(code)


def refuse(message: str) -> None:
    raise UnreadableFile(message, reason="damaged")


def announce_an_error(size: int) -> None:
    """Send an error of some length."""
    refusals.dump_error = lambda _: b"x" * size
    raise UnreadableFile("half a file", reason="damaged")


def raise_of_ours(name: str) -> None:
    raise getattr(errors, name)("It says so.")


def fail(secret: str) -> None:
    raise ValueError(secret)


def recurse(depth: int = 0) -> int:
    return recurse(depth + 1)


def a_document() -> Document:
    return Document(text="x", format="text", pages=(Page(start=0, label="1"),))


def reply_with(reply: bytes) -> None:
    """Send a reply of one's own making, as a parser that was taken over would."""
    replies.dump_value = lambda _: reply


class Trap:
    """A reply that would run a command where it is unpickled without care."""

    def __reduce__(self) -> tuple[object, ...]:
        return (os.system, ("true",))


def reply_with_a_trap() -> Trap:
    return Trap()


def start_a_program_and_wait(pid_file: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    Path(pid_file).write_text(f"{os.getpid()} {process.pid}")
    time.sleep(60)


def start_a_program_and_return(pid_file: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    Path(pid_file).write_text(f"{os.getpid()} {process.pid}")


def fork_away(size: int, seconds: float) -> int:
    """Leave a process that is nobody's child and tries to leave the group; return its id."""
    reads, writes = os.pipe()
    if os.fork() == 0:
        if os.fork() == 0:
            for leave in (os.setsid, lambda: os.setpgid(0, 0)):
                with contextlib.suppress(OSError):
                    leave()
            hoard = b"x" * size
            os.write(writes, str(os.getpid()).encode())
            time.sleep(60)
            os._exit(len(hoard) % 2)
        os._exit(0)
    os.wait()
    left = int(os.read(reads, 20))
    time.sleep(seconds)
    return left


def fill_when_told(folder: str, size: int) -> None:
    """Say who it is, fill memory once it is told to, and say so."""
    said, told, filled = (Path(folder) / name for name in ("said", "told", "filled"))
    said.write_text(f"{os.getpid()} {os.getppid()}")
    while not told.exists():
        time.sleep(0.01)
    hoard = b"x" * size
    filled.write_text(str(len(hoard)))
    time.sleep(60)


def fork_in_a_thread(size: int, seconds: float) -> int:
    """Leave a child of another thread than the first, which goes on; return its id."""
    started: list[int] = []

    def start() -> None:
        child = os.fork()
        if child == 0:
            hoard = b"x" * size
            time.sleep(60)
            os._exit(len(hoard) % 2)
        started.append(child)
        time.sleep(60)

    threading.Thread(target=start, daemon=True).start()
    time.sleep(seconds)
    return started[0]


def start_threads(count: int) -> int:
    """Have so many threads for some seconds, with little memory of their own."""
    threading.stack_size(32 * 1024)
    for _ in range(count):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    time.sleep(3)
    return threading.active_count()


def end_first_threads(size: int, seconds: float) -> None:
    """Have a child whose first thread has ended fill memory in another one."""
    child = os.fork()
    if child:
        time.sleep(seconds)
        return

    def fill() -> None:
        time.sleep(0.2)
        hoard = b"x" * size
        time.sleep(60)
        os._exit(len(hoard) % 2)

    threading.Thread(target=fill, daemon=True).start()
    exit_thread = {"x86_64": 60, "aarch64": 93}[platform.machine()]
    ctypes.CDLL(None).syscall(ctypes.c_long(exit_thread), ctypes.c_long(0))


def watch_many(count: int, seconds: float) -> None:
    """Watch so many descriptors of one pipe."""
    out, _ = os.pipe()
    watching = select.epoll()
    for _ in range(count):
        watching.register(os.dup(out))
    time.sleep(seconds)


def hold_in_pairs(count: int, seconds: float) -> int:
    """Leave so many pairs of sockets full of what nobody reads; return how many bytes wait."""
    kept: list[socket.socket] = []
    waiting = 0
    for _ in range(count):
        kept += (pair := socket.socketpair())
        for end in pair:
            end.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    waiting += end.send(b"x" * 65_536)
    time.sleep(seconds)
    return waiting


def open_many(count: int) -> int:
    """Open so many descriptors; return how many could be."""
    kept: list[int] = []
    with contextlib.suppress(OSError):
        for _ in range(count):
            kept.append(os.open(os.devnull, os.O_RDONLY))
    return len(kept)


def loaded_modules() -> list[str]:
    return sorted(sys.modules)


def environment() -> dict[str, str]:
    return dict(os.environ)


def temporary_folder() -> str:
    folder = os.environ["TMPDIR"]
    (Path(folder) / "left behind").write_text("x")
    return folder


def write_endlessly() -> None:
    with (Path(os.environ["TMPDIR"]) / "big").open("wb") as file:
        while True:
            file.seek(1024**3, os.SEEK_CUR)
            file.write(b"x")


def can_connect(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2):
            return True
    except OSError:
        return False


def ignore_sigterm_and_sleep() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(60)


def parent_pids() -> tuple[int, int]:
    return os.getpid(), os.getppid()


def do_again(deed: str = "") -> tuple[int, list[str]]:
    """Serve one of many calls; returns the process and what was done in it before."""
    before = [*_seen]
    _seen.append(deed)
    if deed == "leave a file":
        (Path(os.environ["TMPDIR"]) / "left behind").write_text("x")
    elif deed == "leave a program":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    elif deed == "leave a thread":
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    elif deed == "leave memory":
        _seen.append("x" * (200 * 1024**2))
    elif deed == "fail":
        raise ValueError
    elif deed == "refuse":
        raise UnreadableFile("half a file", reason="damaged")
    elif deed == "die" or deed == "die of others" and before:
        os.kill(os.getpid(), signal.SIGSEGV)
    elif deed == "take memory of others" and before:
        fill_memory(600 * 1024**2)
    elif deed == "sleep":
        time.sleep(60)
    elif deed == "say done first":
        _say_done()
        fill_memory(400 * 1024**2)
    return os.getpid(), [one[:50] for one in before]


def _say_done() -> None:
    """Send what tells that a call is over, on the socket by which calls come."""
    for entry in [*Path("/proc/self/fd").iterdir()]:
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(entry.name))) as link:
            if link.type == socket.SOCK_SEQPACKET:
                link.send(b"d")


def spend_seconds(seconds: float) -> tuple[int, float]:
    """Spend processor time; returns the process, and how much it had left when it began."""
    left = resource.getrlimit(resource.RLIMIT_CPU)[0] - time.process_time()
    ends_at = time.process_time() + seconds
    while time.process_time() < ends_at:
        pass
    return os.getpid(), left


def write_files(count: int, size: int) -> str:
    """Fill the own folder with files, and wait."""
    folder = Path(tempfile.gettempdir())
    for number in range(count):
        (folder / str(number)).write_bytes(bytes(size))
    time.sleep(30)
    return str(folder)


def write_in_a_moving_folder(seconds: float) -> None:
    """Write more files than may be, in folders that never have the name that was listed."""
    folder = tempfile.gettempdir()
    outer = f"{folder}/0"
    Path(outer, "0").mkdir(parents=True)
    for number in range(1500):
        os.close(os.open(f"{folder}/f{number}", os.O_CREAT))
    inside = os.open(f"{outer}/0", os.O_RDONLY)
    for place in (os.open(folder, os.O_RDONLY), os.open(outer, os.O_RDONLY)):
        if os.fork() == 0:
            os.fchdir(place)
            number = 0
            while True:
                Path(str(number)).rename(str(number + 1))
                number += 1
    for number in range(6000):
        os.close(os.open(f"f{number}", os.O_CREAT, dir_fd=inside))
    time.sleep(seconds)


def hand_memory_on(seconds: float) -> None:
    """Hold memory in a process that is another one each time."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    if os.fork():
        time.sleep(seconds)
        return
    hoard = b"x" * (400 * 1024**2)
    while hoard:
        if os.fork():
            os._exit(0)


def fork_many(seconds: float) -> None:
    """Have many processes that do nothing."""
    for _ in range(100):
        if os.fork() == 0:
            time.sleep(60)
    time.sleep(seconds)


def start_and_rename_without_end(seconds: float) -> int:
    """Start programs one after the other, and have files come and go; return how many."""
    folder = Path(tempfile.gettempdir())
    ends_at = time.monotonic() + seconds
    started = 0
    while time.monotonic() < ends_at:
        subprocess.run(["sleep", "0"], check=True)
        started += 1
        for number in range(30):
            (folder / str(number)).write_bytes(b"x" * 5000)
            (folder / str(number)).rename(folder / f"{number}-")
            (folder / f"{number}-").unlink()
    return started
