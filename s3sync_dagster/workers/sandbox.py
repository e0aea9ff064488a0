"""What a worker gives up before it reads a document: a parser is taken to be taken over one day.

It keeps its own folder, the file that it is asked to read, the interpreter with its packages, the
system's libraries, fonts and data, and the programs that its module names in ``PROGRAMS``. Home,
key file, catalog and the environment of other processes are gone, sockets too. What the kernel
does not offer is left as it is: ``s3sync doctor`` says so.
"""

import functools
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from s3sync_dagster.workers import landlock, linux, seccomp
from s3sync_dagster.workers.programs import find_program

SWITCH = "S3SYNC_WORKER_SANDBOX"
"""``off`` leaves workers all rights of their user over files and programs."""
_SYSTEM = (
    *("/usr", "/lib", "/lib32", "/lib64", "/bin", "/opt", "/nix/store"),
    *("/var/cache/fontconfig", "/var/lib/libreoffice", "/var/spool/libreoffice"),
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives"),
    *("/etc/fonts", "/etc/libreoffice", "/etc/localtime", "/etc/timezone", "/etc/locale.alias"),
    *("/etc/mime.types", "/etc/magic", "/etc/papersize", "/etc/nsswitch.conf"),
    *("/etc/passwd", "/etc/group", "/etc/os-release"),
    *("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/filesystems", "/proc/version"),
    *("/proc/loadavg", "/proc/uptime", "/proc/sys/vm/overcommit_memory"),
    *("/proc/sys/crypto/fips_enabled", "/proc/sys/kernel/osrelease", "/proc/sys/kernel/pid_max"),
    *("/sys/devices/system", "/sys/fs/cgroup"),
    *("/dev/urandom", "/dev/random"),
)
"""What everybody may read: of ``/proc`` what libraries ask of the machine, and no process."""
_OF_ITSELF = ("statm", "status", "stat", "maps", "fd", "cgroup", "limits", "auxv")
"""What a worker is told of itself in ``/proc``. Programs that it starts are told nothing there."""
_NAMED_BY = ("DOCLING_ARTIFACTS_PATH", "TESSDATA_PREFIX")
_LOADERS = ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1", "/lib/ld-musl-x86_64.so.1")
_OF_SCRIPTS = ("sh", "uname", "sed", "grep", "dirname", "basename", "readlink", "ls", "cat")
"""What a program that is a shell script may need; LibreOffice's does."""


def is_off() -> bool:
    """Return whether workers are to keep all rights of their user."""
    return os.environ.get(SWITCH) == "off"


def enter(folder: str, module: str, contents: Iterable[object] = ()) -> None:
    """Give up what this process does not need; nothing brings it back.

    Args:
        folder: its own, to write in.
        module: whose function it serves.
        contents: arguments of the call; paths among them, and what they name as ``reads``, may
            be read.
    """
    if is_off():
        return
    own = [(folder, landlock.ALL & ~landlock.EXECUTE), ("/dev/null", _READ_AND_WRITE)]
    own += [(f"/proc/self/{one}", landlock.READ) for one in _OF_ITSELF]
    files = [(one, landlock.READ_FILE) for one in named_files(contents)]
    listens = _listens(module)
    if listens:
        own.append(("/tmp", landlock.MAKE_SOCKET | landlock.REMOVE_FILE))
    landlock.restrict([*_kept(module), *own, *files])
    linux.drop_capabilities()
    seccomp.refuse_calls(own_sockets=listens)  # the last: no other way to give up is left then


def named_files(contents: Iterable[object]) -> list[Path]:
    """Return the files that arguments of a call name: themselves, or by their ``reads``."""
    return [
        path
        for one in contents
        for path in ((one,) if isinstance(one, Path) else getattr(one, "reads", ()))
    ]


_READ_AND_WRITE = landlock.READ_FILE | landlock.WRITE_FILE


@functools.cache
def _kept(module: str) -> tuple[tuple[Path | str, int], ...]:
    """Return what all workers of a module keep; forkers ask before they fork."""
    readable = [*_SYSTEM, sys.prefix, sys.base_prefix, sys.exec_prefix]
    readable += [os.environ[name] for name in _NAMED_BY if os.environ.get(name)]
    readable += os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    rules: list[tuple[Path | str, int]] = [(one, landlock.READ) for one in readable if one]
    rules += _packages(module)
    rules += [(one, landlock.EXECUTE | landlock.READ) for one in _programs(module)]
    return _fewest(rules)


def warm(module: str) -> None:
    """Look at the disk once, for all workers of a module, and make what they need ready."""
    _kept(module)
    seccomp.program(own_sockets=_listens(module))


def _fewest(rules: Sequence[tuple[Path | str, int]]) -> tuple[tuple[Path | str, int], ...]:
    """Return rules that say the same, each of which costs every worker: one a place, none below."""
    rights: dict[str, int] = {}
    for path, allowed in rules:
        place = os.path.realpath(path)
        if os.path.lexists(place):
            rights[place] = rights.get(place, 0) | allowed
    return tuple(
        (place, allowed)
        for place, allowed in rights.items()
        if not any(
            allowed | rights.get(str(above), 0) == rights.get(str(above), 0)
            for above in Path(place).parents
        )
    )


def _packages(module: str) -> Iterator[tuple[Path | str, int]]:
    """Yield what may be imported from beyond the interpreter's own folders.

    Such a folder of the path may be anybody's project, with its data beside the code: its names
    may be listed, its packages read.
    """
    for name in {module.partition(".")[0], __name__.partition(".")[0]}:
        spec = find_spec(name)
        for place in (spec.submodule_search_locations or ()) if spec else ():
            yield Path(place), landlock.READ
    own = tuple(Path(one).resolve() for one in (sys.prefix, sys.base_prefix))
    for entry in map(Path, filter(None, sys.path)):
        if any(entry.resolve().is_relative_to(one) for one in own):
            continue
        if entry.is_file():
            yield entry, landlock.READ
        elif entry.is_dir():
            yield entry, landlock.READ_DIR
            for child in entry.iterdir():
                code = child.suffix in (".py", ".so", ".dist-info", ".egg-info", ".libs")
                if code or (child / "__init__.py").exists():
                    yield child, landlock.READ


def _listens(module: str) -> bool:
    return "soffice" in _names(module)


def _names(module: str) -> Sequence[str]:
    return getattr(sys.modules.get(module), "PROGRAMS", ())


def _programs(module: str) -> Sequence[str]:
    """Return the programs that a module's functions start, with what starts them."""
    found = [one for one in map(find_program, _names(module)) if one is not None]
    if not found:
        return ()
    programs = [*_LOADERS]
    for one in map(os.path.realpath, found):
        programs.append(one)
        if _is_script(one):  # what it calls lies beside it
            programs.append(str(Path(one).parent))
            programs += [there for name in _OF_SCRIPTS if (there := find_program(name))]
    return programs


def _is_script(program: str) -> bool:
    with Path(program).open("rb") as file:
        return file.read(2) == b"#!"
