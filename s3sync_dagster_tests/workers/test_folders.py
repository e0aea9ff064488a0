"""What workers write has a bound in all, and nothing of it stays, whatever they have made of it."""

import ctypes
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from s3sync_dagster.engine.ports import WorkLimits
from s3sync_dagster.model.errors import LimitExceeded
from s3sync_dagster.workers import folders, open_pool, processes
from s3sync_dagster.workers.worker import Worker
from s3sync_dagster_tests.waiting import wait_for

JOBS = "s3sync_dagster_tests.workers.jobs:"
PLENTY = WorkLimits(seconds=60)


def test_many_files_of_one_worker_end_it_and_go():
    with open_pool(workers=1) as pool:
        call = pool.submit(JOBS + "write_files", folders.MOST_FILES + 100, 0, limits=PLENTY)
        with pytest.raises(LimitExceeded) as caught:
            call.result()
        assert caught.value.reason == "output_too_large"
        assert pool.submit(JOBS + "add", 1, limits=PLENTY).result() == 1


def test_all_files_of_a_folder_together_count_and_what_hides_is_too_much(tmp_path: Path):
    for number in range(10):
        inner = tmp_path / f"in/{number % 3}"
        inner.mkdir(parents=True, exist_ok=True)
        (inner / str(number)).write_bytes(bytes(40_960))
    size = 10 * 40_960
    assert not folders.is_overfull(str(tmp_path), most_bytes=2 * size)
    assert folders.is_overfull(str(tmp_path), most_bytes=size - 1)
    assert folders.is_overfull(str(tmp_path), most_bytes=2 * size, most_files=9)
    assert not folders.is_overfull(str(tmp_path / "gone"))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="of Linux")
def test_files_without_a_name_count_as_long_as_they_are_open(tmp_path: Path):
    place = tmp_path / "a"
    with place.open("wb") as file:
        file.write(bytes(81_920))
        file.flush()
        assert folders.nameless_bytes(processes.trees_of(os.getpid()), str(tmp_path)) == 0
        place.unlink()
        assert folders.nameless_bytes(processes.trees_of(os.getpid()), str(tmp_path)) >= 81_920
    assert folders.nameless_bytes(processes.trees_of(os.getpid()), str(tmp_path)) == 0


def test_who_may_not_be_looked_at_has_written_too_much(monkeypatch, tmp_path: Path):
    def refuse(self: Path) -> Iterator[Path]:
        raise PermissionError

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert (
        folders.nameless_bytes(processes.trees_of(os.getpid()), str(tmp_path)) > folders.MOST_BYTES
    )


HIDES = """
import os, tempfile, time
if os.fork() == 0:
    with tempfile.TemporaryFile(dir=".") as file:
        file.write(bytes(81_920))
        file.flush()
        print("held", flush=True)
        time.sleep(60)
time.sleep(60)
"""


def test_what_a_worker_has_started_and_that_again_is_looked_at(tmp_path: Path):
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HIDES!r}])"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE) as started:
        try:
            assert started.stdout is not None
            assert started.stdout.readline() == b"held\n"
            family = processes.trees_of(started.pid)
            assert len(family) == 3
            held = [folders.nameless_bytes([one], str(tmp_path)) for one in family]
            assert held[0] == 0
            assert sum(held) >= 81_920
        finally:
            for one in processes.trees_of(started.pid):
                os.kill(one.pid, signal.SIGKILL)


def test_whose_areas_nobody_can_read_has_written_too_much(tmp_path: Path):
    me = processes.trees_of(os.getpid())
    assert folders.nameless_bytes(me, str(tmp_path)) == 0
    areas = len(Path("/proc/self/maps").read_bytes())
    assert folders.nameless_bytes(me, str(tmp_path), most_read=areas // 2) > folders.MOST_BYTES


def test_many_watches_are_seen_and_few_are_left():
    me = processes.trees_of(os.getpid())
    assert not processes.has_many_watches(me)
    out, into = os.pipe()
    kept = [os.dup(out) for _ in range(1000)]
    try:
        with select.epoll() as watching:
            for one in kept[:100]:
                watching.register(one)
            assert not processes.has_many_watches(me)
            for one in kept[100:]:
                watching.register(one)
            assert processes.has_many_watches(me)
    finally:
        for one in (out, into, *kept):
            os.close(one)


def test_a_worker_with_many_watches_ends():
    with open_pool(workers=1) as pool, pytest.raises(LimitExceeded) as caught:
        pool.submit(JOBS + "watch_many", 900, 30, limits=PLENTY).result()
    assert caught.value.reason == "out_of_memory"


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_who_has_ended_and_is_not_waited_for_holds_nothing(tmp_path: Path):
    """Nobody but root may look at its descriptors."""
    code = (
        "import os, time\n"
        "from s3sync_dagster.workers import folders, processes\n"
        "os.setuid(23456)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os._exit(0)\n"
        "while processes.resident_bytes(child):\n"
        "    time.sleep(0.01)\n"
        "seen = processes.trees_of(child)\n"
        "print(processes.memory_of(seen) < 2**20, folders.nameless_bytes(seen, '/none'))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True 0\n"


def map_for_good(path: Path) -> None:
    """Map a page of a file, with no descriptor left, as ``mmap.mmap`` keeps one."""
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    with path.open("rb") as file:
        mapped = libc.mmap(None, ctypes.c_size_t(4096), 1, 2, file.fileno(), ctypes.c_long(0))
    assert mapped != ctypes.c_void_p(-1).value


def test_what_is_only_mapped_and_has_no_name_is_more_than_may_be_written(tmp_path: Path):
    """Its size is told to nobody."""
    folder, place, other = str(tmp_path / "own"), tmp_path / "own/mapped", tmp_path / "other"
    place.parent.mkdir()
    for one in (place, other):
        one.write_bytes(bytes(8192))
    for one in (place, other):
        map_for_good(one)
    assert folders.nameless_bytes(processes.trees_of(os.getpid()), folder) == 0
    other.unlink()
    assert folders.nameless_bytes(processes.trees_of(os.getpid()), folder) == 0
    place.unlink()
    nameless = folders.nameless_bytes(processes.trees_of(os.getpid()), folder)
    assert nameless > folders.MOST_BYTES
    assert folders.is_overfull(folder, most_bytes=folders.MOST_BYTES - nameless)


MAZE = """
import os
for number in range(1500):
    os.mkdir("deeper" * 10)
    os.chdir("deeper" * 10)
    open("left", "wb").close()
    if number % 100 == 0:
        os.chmod("..", 0o300)
"""


def test_nothing_stays_of_folders_in_folders_that_no_path_reaches(tmp_path: Path):
    folder, beside = tmp_path / "folder", tmp_path / "beside"
    folder.mkdir()
    beside.write_text("another one's")
    (folder / "link").symlink_to(beside)
    subprocess.run([sys.executable, "-c", MAZE], cwd=folder, check=True)
    assert folders.is_overfull(str(folder))  # nobody can say how much there is
    folders.remove(str(folder))
    assert list(tmp_path.iterdir()) == [beside]
    assert beside.read_text() == "another one's"


def test_what_stands_in_the_way_keeps_nothing_else(tmp_path: Path):
    """As a name beside the folder did that everybody could know."""
    folder = tmp_path / "folder"
    (folder / "profile/deeper").mkdir(parents=True)
    (folder / "profile/deeper/copy").write_text("secret")
    beside = [tmp_path / f"folder-{number}" for number in range(3)]
    for one in beside:
        one.touch()
    folders.remove(str(folder))
    assert sorted(tmp_path.iterdir()) == beside


def test_what_cannot_be_removed_is_told_and_keeps_nothing_else(tmp_path, monkeypatch, caplog):
    folder = tmp_path / "folder"
    for name in ("a", "kept", "z"):
        (folder / name / "in").mkdir(parents=True)
        (folder / name / "in/file").touch()
    unlink = Path.unlink
    kept: list[str] = []

    def refuse_one(self: Path) -> None:
        if not kept:
            kept.append(str(self))
            raise PermissionError("kept")
        unlink(self)

    monkeypatch.setattr(Path, "unlink", refuse_one)
    folders.remove(str(folder))
    left = [one for one in folder.rglob("*") if one.is_file()]
    assert len(left) == 1
    (told,) = caplog.messages
    assert str(folder) in told


def test_what_dead_forkers_have_left_is_swept_and_what_living_have_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    living, held = folders.make_own()
    dead, left = folders.make_own()
    other = tmp_path / "other"
    (tmp_path / "s3sync-workers-link").symlink_to(other)
    (tmp_path / "s3sync-workers-file").touch()
    for one in (Path(living), Path(dead), other):
        (one / "0/profile").mkdir(parents=True)
        (one / "0/profile/copy").touch()
    os.close(left)
    folders.sweep()
    assert not Path(dead).exists()
    assert Path(living, "0/profile/copy").exists()
    assert (other / "0/profile/copy").exists()
    os.close(held)
    folders.sweep()
    assert not Path(living).exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder to another user")
def test_what_another_user_has_left_is_not_swept(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder, held = folders.make_own()
    os.close(held)
    os.chown(folder, 23456, 23456)
    folders.sweep()
    assert Path(folder).exists()


def test_what_a_killed_forker_leaves_goes_with_the_next_one(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with open_pool(workers=1) as pool:
        pool.submit(JOBS + "parent_pids", limits=PLENTY).result()
        (living,) = tmp_path.iterdir()
        left = tmp_path / "s3sync-workers-left"
        (left / "7").mkdir(parents=True)
        (left / "7/copy").touch()
        with open_pool(workers=1) as another:
            another.submit(JOBS + "add", 1, limits=PLENTY).result()
            wait_for(lambda: not left.exists())
        assert living.exists()
    wait_for(lambda: not [*tmp_path.iterdir()])


def test_removal_goes_on_when_the_server_has_ended(tmp_path, monkeypatch):
    """By a process of its own, which ends by itself."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    code = "import os\nfrom s3sync_dagster.workers import remover\nremover.sweep_apart()\n"
    left = tmp_path / "s3sync-workers-left"
    (left / "7").mkdir(parents=True)
    (left / "7/copy").touch()
    subprocess.run([sys.executable, "-c", code], check=True)
    wait_for(lambda: not left.exists())


def test_a_look_asks_the_kernel_once_for_each_process(monkeypatch):
    """Of memory; how many threads and descriptors there are, it asks once as well."""
    asked: list[str] = []

    def note(path: str, *arguments: Any, **more: Any) -> Any:
        asked.append(path)
        return open(path, *arguments, **more)  # noqa: PTH123

    monkeypatch.setattr(processes, "open", note, raising=False)
    with subprocess.Popen(["sleep", "60"], process_group=0) as looked_at:
        try:
            Worker(pid=looked_at.pid, folder="/none", caller="").watch(0.0)
        finally:
            looked_at.kill()
    here = f"/proc/{looked_at.pid}"
    assert asked.count(f"{here}/statm") == 1
    assert asked.count(f"{here}/task/{looked_at.pid}/children") == 1


def test_who_is_gone_by_his_turn_is_told_and_who_had_ended_before_is_not(monkeypatch):
    code = (
        "import os, time; os._exit(0) if os.fork() == 0 else print(1, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as started:
        try:
            assert started.stdout is not None
            started.stdout.readline()
            (child,) = processes.children_of(started.pid)
            wait_for(lambda: processes.resident_bytes(child) == 0)
            first = processes.Look()
            processes.trees_of(started.pid, look=first)
            assert (first.ended, first.is_whole) == ({child}, False)
            second = processes.Look(ended_before=frozenset(first.ended))
            family = processes.trees_of(started.pid, look=second)
            processes.memory_of(family, look=second)
            processes.has_many_watches(family, look=second)
            folders.nameless_bytes(family, "/none", look=second)
            assert second.is_whole
            gone = processes.Look()
            monkeypatch.setattr(processes, "_threads_of", lambda _pid: ["4194305"])
            processes.trees_of(started.pid, look=gone)
            assert not gone.is_whole
        finally:
            started.kill()


def test_what_has_another_name_or_number_by_its_turn_is_told(monkeypatch, tmp_path: Path):
    """And what stands beside it counts all the same."""
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(bytes(81_920))
    scandir = os.scandir

    def move_when_it_is_listed(place: str) -> Any:
        if place.endswith("/b"):
            (tmp_path / "b").rename(tmp_path / "another")
        return scandir(place)

    look = processes.Look()
    assert not folders.is_overfull(str(tmp_path), look=look)
    assert look.is_whole
    monkeypatch.setattr(os, "scandir", move_when_it_is_listed)
    assert not folders.is_overfull(str(tmp_path), look=look)
    assert not look.is_whole
    (tmp_path / "another").rename(tmp_path / "b")
    assert folders.is_overfull(str(tmp_path), most_bytes=2 * 81_920)
    monkeypatch.undo()
    look = processes.Look()
    with (tmp_path / "a/file").open() as file:
        numbers = [Path(f"/proc/{os.getpid()}/fd/{number}") for number in (file.fileno(), 1023)]
        monkeypatch.setattr(Path, "iterdir", lambda _self: iter(numbers))
        (tmp_path / "a/file").unlink()
        me = processes.trees_of(os.getpid())
        assert folders.nameless_bytes(me, str(tmp_path), look=look) >= 81_920
    assert not look.is_whole


@pytest.mark.parametrize("job", ["write_in_a_moving_folder", "hand_memory_on", "fork_many"])
def test_whoever_hides_from_the_looks_ends(job):
    least = 300 if job == "hand_memory_on" else 3_000
    limits = WorkLimits(seconds=30, memory_bytes=least * 1024**2)
    with open_pool(workers=1) as pool:
        with pytest.raises(LimitExceeded) as caught:
            pool.submit(JOBS + job, 12, limits=limits).result()
        written = job == "write_in_a_moving_folder"
        assert caught.value.reason == ("output_too_large" if written else "out_of_memory")
        assert pool.submit(JOBS + "add", 1, limits=PLENTY).result() == 1


def test_who_starts_program_after_program_is_not_ended():
    with open_pool(workers=1) as pool:
        job = JOBS + "start_and_rename_without_end"
        assert pool.submit(job, 4, limits=PLENTY).result() > 20
