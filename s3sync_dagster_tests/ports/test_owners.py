"""Who is alive, as seen from the same process, another process and another home."""

import os
import shutil
import subprocess
import sys
import threading

from s3sync_dagster.ports.owners import Owners

HOLD = """
import sys
from pathlib import Path
from s3sync_dagster.ports.owners import Owners
owners = Owners(Path(sys.argv[1]))
print(owners.me(), flush=True)
sys.stdin.read()
"""


def holder(home):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(home)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return process, process.stdout.readline().strip()


def test_another_process_is_alive_until_it_is_killed(tmp_path):
    process, name = holder(tmp_path)
    owners = Owners(tmp_path)
    assert owners.is_dead(name) is False
    process.kill()
    process.communicate()
    assert owners.is_dead(name) is True
    assert owners.is_dead(name) is True
    assert not (tmp_path / "owners" / name.partition(":")[2]).exists()


def test_a_second_instance_in_the_process_does_not_free_the_firsts_lock(tmp_path):
    first, second = Owners(tmp_path), Owners(tmp_path)
    name = first.me()
    assert first.is_dead(name) is False
    assert second.is_dead(name) is False
    # Had the file been opened and closed here, the kernel would have freed the lock.
    program = (
        "import sys; from pathlib import Path; from s3sync_dagster.ports.owners import Owners;"
        "print(Owners(Path(sys.argv[1])).is_dead(sys.argv[2]))"
    )
    seen = subprocess.check_output([sys.executable, "-c", program, tmp_path, name], text=True)
    assert seen.strip() == "False"
    first.close()
    assert second.is_dead(name) is True


def test_a_child_that_was_forked_is_another_owner(tmp_path):
    owners = Owners(tmp_path)
    mine = owners.me()
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(write, f"{owners.me()} {owners.is_dead(mine)}".encode())
        os._exit(0)
    os.waitpid(pid, 0)
    theirs, _, dead = os.read(read, 1000).decode().partition(" ")
    assert theirs != mine
    assert dead == "False"
    assert owners.is_dead(theirs) is True
    assert owners.is_dead(mine) is False
    owners.close()


def test_many_threads_have_one_name(tmp_path):
    owners, names = Owners(tmp_path), []
    threads = [threading.Thread(target=lambda: names.append(owners.me())) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(names)) == 1
    owners.close()


def test_other_homes_and_odd_names_cannot_be_told(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    a, b = Owners(tmp_path / "a"), Owners(tmp_path / "b")
    assert b.is_dead(a.me()) is None
    home = b.me().partition(":")[0]
    for odd in (None, "", "nonsense", f"{home}:", f"{home}:../../etc/passwd"):
        assert b.is_dead(odd) is None
    a.close()
    b.close()


def test_a_copied_home_cannot_tell_of_the_owners_of_the_first(tmp_path):
    first = Owners(tmp_path / "first")
    name = first.me()
    shutil.copytree(tmp_path / "first", tmp_path / "second")
    second = Owners(tmp_path / "second")
    assert second.is_dead(name) is None
    assert first.is_dead(second.me()) is None
    (tmp_path / "second" / "owners" / name.partition(":")[2]).unlink()
    assert second.is_dead(name) is None  # a copy that was made before the owner began
    first.close()
    second.close()


def test_a_cloned_machine_cannot_tell_of_the_owners_of_the_first(tmp_path, monkeypatch):
    process, name = holder(tmp_path)
    process.kill()
    process.communicate()
    there = Owners(tmp_path)
    clone = tmp_path / "boot_id"
    clone.write_text("of another start")
    with monkeypatch.context() as patched:
        patched.setattr("s3sync_dagster.ports.owners._BOOT_ID", clone)
        assert there.is_dead(name) is None
    assert there.is_dead(name) is True


def test_a_system_without_boot_ids_still_tells_homes_apart(tmp_path, monkeypatch):
    monkeypatch.setattr("s3sync_dagster.ports.owners._BOOT_ID", tmp_path / "nothing")
    a, b = Owners(tmp_path / "a"), Owners(tmp_path / "b")
    assert a.is_dead(b.me()) is None
    name = b.me()
    assert Owners(tmp_path / "b").is_dead(name) is False
    b.close()
    assert Owners(tmp_path / "b").is_dead(name) is True
