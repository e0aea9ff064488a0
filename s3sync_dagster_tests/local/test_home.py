import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from s3sync_dagster.local.home import prepare_home, shipped
from s3sync_dagster.model.errors import FixConfiguration, InvalidSetting
from s3sync_dagster.settings import load_settings, read_encryption_key

ROOT = Path(__file__).parents[2]


def settings_of(home, **more):
    return load_settings({**os.environ, "S3SYNC_HOME": str(home), **more})


def test_the_first_open_makes_folders_instance_and_key_and_the_second_nothing(tmp_path):
    settings = settings_of(tmp_path / "a" / "home")
    prepare_home(settings)
    assert (settings.dagster_home / "history" / "runs.db").stat().st_size > 0
    assert (settings.dagster_home / "schedules" / "schedules.db").stat().st_size > 0
    assert (settings.dagster_home / "dagster.yaml").read_text().endswith(shipped("dagster.yaml"))
    assert stat.S_IMODE(settings.home.stat().st_mode) == 0o700
    assert stat.S_IMODE(settings.encryption_key_file.stat().st_mode) == 0o600
    assert len(read_encryption_key(settings)) == 44
    files = [p for p in settings.home.rglob("*") if p.is_file() and p.name != ".init.lock"]
    before = {path: path.read_bytes() for path in files}
    prepare_home(settings)
    assert {path: path.read_bytes() for path in files} == before, "the second changes nothing"


def test_a_home_that_others_could_read_is_closed(tmp_path):
    home, outside = tmp_path / "made" / "before", tmp_path / "outside"
    (home / "logs").mkdir(parents=True)
    home.chmod(0o755)
    (home / "logs").chmod(0o775)
    for file in (home / "catalog.db", home / "logs" / "api.log", outside):
        file.write_text("")
        file.chmod(0o644)
    (home / "link").symlink_to(outside)
    prepare_home(settings_of(home), dagster=False)
    modes = {p: stat.S_IMODE(p.lstat().st_mode) for p in (home, *home.rglob("*"))}
    del modes[home / "link"]
    assert {
        p: mode for p, mode in modes.items() if mode & 0o077 and p.parent == home / "logs"
    } == {}
    assert (modes[home], modes[home / "catalog.db"], modes[home / "logs"]) == (0o700, 0o600, 0o700)
    assert stat.S_IMODE(outside.stat().st_mode) == 0o644


def test_folders_above_a_new_home_are_private_too(tmp_path):
    # The demo's home lies within that of `make up`.
    before = os.umask(0o022)
    try:
        prepare_home(settings_of(tmp_path / "a" / "b" / "home"), dagster=False)
    finally:
        os.umask(before)
    for folder in (tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "home"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_that_is_shared_by_intent_stays_so(tmp_path):
    tmp_path.chmod(0o1777)
    prepare_home(settings_of(tmp_path), dagster=False)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o1777


AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files of other users")
OPEN_AS_ANOTHER = (
    "import os\n"
    "from s3sync_dagster.local import home\n"
    "from s3sync_dagster.model.errors import S3SyncError\n"
    "from s3sync_dagster.settings import load_settings\n"
    "text = home.shipped('dagster.yaml')\n"  # the checkout may be root's alone
    "home.shipped = lambda _: text\n"
    "os.setgroups([]); os.setegid(65533); os.seteuid(65533)\n"
    "try: home.prepare_home(load_settings(), dagster=False)\n"
    "except S3SyncError as error: print(error.reason, error.message)\n"
)


def opened_by_another(home):
    return subprocess.check_output(
        [sys.executable, "-c", OPEN_AS_ANOTHER],
        env={**os.environ, "S3SYNC_HOME": str(home)},
        text=True,
        timeout=60,
    )


@pytest.fixture
def open_home():
    """A folder of user 65533 in which everybody could write, with a file of root's."""
    with tempfile.TemporaryDirectory() as above:
        Path(above).chmod(0o755)
        home = Path(above, "home")
        (home / "logs").mkdir(parents=True)
        (home / "logs" / "of-root").write_text("")
        for folder in (home, home / "logs"):
            os.chown(folder, 65533, 65533)
            folder.chmod(0o777)
        yield home


@AS_ROOT
@pytest.mark.parametrize("kind", ["link", "folder", "file", "deep link"])
def test_what_another_user_put_into_an_open_home_is_refused_until_it_is_gone(open_home, kind):
    path = open_home / ("logs/api.log" if kind == "deep link" else "catalog.db")
    if kind == "folder":
        path.mkdir(mode=0o777)
    elif kind == "file":
        path.write_text("")
    else:
        path.symlink_to("/tmp/own.db")
    os.chown(path, 65534, 65534, follow_symlinks=False)
    for _ in range(2):  # the first has closed the folder to its writers
        told = opened_by_another(open_home)
        assert told.startswith(f"home_of_others '{path}'"), told
        assert stat.S_IMODE(open_home.stat().st_mode) & 0o033 == 0
        assert not (open_home / "encryption.key").exists()
    os.chown(path, 65533, 65533, follow_symlinks=False)
    if kind not in ("folder", "file"):
        path.unlink()
    assert opened_by_another(open_home) == "", "root's own file is no stranger's"
    assert stat.S_IMODE(open_home.stat().st_mode) == 0o700
    assert (open_home / "encryption.key").exists()


@AS_ROOT
@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o700])
def test_a_home_of_another_user_is_refused(open_home, mode):
    os.chown(open_home, 65534, 65534)
    open_home.chmod(mode)
    assert opened_by_another(open_home).startswith(f"home_of_others '{open_home}' belongs")
    with pytest.raises(InvalidSetting, match="chown") as caught:
        prepare_home(settings_of(open_home), dagster=False)  # root trusts him as little
    assert caught.value.reason == "home_of_others"
    assert stat.S_IMODE(open_home.stat().st_mode) == mode


@AS_ROOT
def test_a_home_behind_a_link_of_another_user_is_refused(open_home):
    link = open_home.parent / "link"
    link.symlink_to(open_home)
    os.chown(link, 65534, 65534, follow_symlinks=False)
    assert opened_by_another(link).startswith(f"home_of_others '{link}'")
    os.chown(link, 0, 0, follow_symlinks=False)
    assert opened_by_another(link) == ""


def test_a_home_that_is_closed_is_not_looked_through_at_each_open(tmp_path, monkeypatch):
    home = tmp_path / "home"
    prepare_home(settings_of(home), dagster=False)
    monkeypatch.setattr(os, "walk", lambda *_: pytest.fail("each command would pay for it"))
    prepare_home(settings_of(home), dagster=False)


def test_a_given_key_leaves_no_key_file(tmp_path):
    key = "a2" * 21 + "a="
    settings = settings_of(tmp_path, S3SYNC_ENCRYPTION_KEY=key)
    prepare_home(settings, dagster=False)
    assert not settings.encryption_key_file.exists()
    assert read_encryption_key(settings) == key


def test_processes_that_open_at_the_same_moment_agree(tmp_path):
    program = (
        "from s3sync_dagster.settings import load_settings, read_encryption_key\n"
        "from s3sync_dagster.local.home import prepare_home\n"
        "s = load_settings(); prepare_home(s); print(read_encryption_key(s))\n"
    )
    environment = {**os.environ, "S3SYNC_HOME": str(tmp_path)}
    children = [
        subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    keys = {child.communicate(timeout=120)[0] for child in children}
    assert [child.returncode for child in children] == [0] * 4
    assert len(keys) == 1


def test_a_dagster_yaml_of_ones_own_stays(tmp_path):
    settings = settings_of(tmp_path)
    settings.dagster_home.mkdir(parents=True)
    own = settings.dagster_home / "dagster.yaml"
    own.write_text("telemetry: {enabled: false}\n")
    prepare_home(settings)
    assert own.read_text() == "telemetry: {enabled: false}\n"


def test_a_dagster_yaml_that_dagster_refuses_is_named(tmp_path):
    settings = settings_of(tmp_path)
    settings.dagster_home.mkdir(parents=True)
    (settings.dagster_home / "dagster.yaml").write_text("no_such_setting: 1\n")
    with pytest.raises(FixConfiguration, match=r"dagster-instance\.log") as caught:
        prepare_home(settings)
    assert caught.value.reason == "dagster_instance"
    assert "no_such_setting" in (tmp_path / "logs" / "dagster-instance.log").read_text()


@pytest.mark.parametrize("beneath", ["file", "too long " * 40])
def test_a_home_that_the_file_system_refuses_is_one_clear_sentence(beneath, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InvalidSetting, match="S3SYNC_HOME") as caught:
        prepare_home(settings_of(tmp_path / beneath / "home"))
    assert caught.value.reason == "home_not_writable"


def test_a_home_without_permission_is_one_clear_sentence():
    program = (
        "import os, sys\n"
        "from s3sync_dagster.settings import load_settings\n"
        "from s3sync_dagster.local.home import prepare_home\n"
        "from s3sync_dagster.model.errors import S3SyncError\n"
        "if os.geteuid() == 0: os.seteuid(65534)\n"  # root may write everywhere
        "try: prepare_home(load_settings())\n"
        "except S3SyncError as error: print(error.reason, error.message)\n"
    )
    with tempfile.TemporaryDirectory() as closed:
        Path(closed).chmod(0o555)
        result = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "S3SYNC_HOME": f"{closed}/home"},
            stdout=subprocess.PIPE,
            check=True,
            text=True,
            timeout=60,
        )
    assert result.stdout.startswith(f"home_not_writable '{closed}/home' cannot be written")


OPEN_HERE = (
    "from s3sync_dagster.settings import export_settings, load_settings\n"
    "from s3sync_dagster.local.home import open_dagster, prepare_home\n"
    "s = load_settings(); prepare_home(s, dagster=False); export_settings(s)\n"
    "assert not (s.dagster_home / 'history').exists()\n"
    "open_dagster(s)\n"
)


def test_dagster_opened_in_this_process_is_the_same_instance_and_says_nothing(tmp_path):
    environment = {**os.environ, "S3SYNC_HOME": str(tmp_path / "here")}
    environment.pop("DAGSTER_HOME", None)
    done = subprocess.run(
        [sys.executable, "-c", OPEN_HERE],
        env=environment,
        capture_output=True,
        timeout=120,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "")
    child = settings_of(tmp_path / "child")
    prepare_home(child)
    here = settings_of(tmp_path / "here")
    assert _schema(here.dagster_home) == _schema(child.dagster_home)
    log = here.home / "logs" / "dagster-instance.log"
    size = log.stat().st_size
    prepare_home(here)  # nothing is left to be done
    assert log.stat().st_size == size


def test_a_dagster_yaml_that_dagster_refuses_is_named_here_too(tmp_path):
    settings = settings_of(tmp_path)
    settings.dagster_home.mkdir(parents=True)
    (settings.dagster_home / "dagster.yaml").write_text("no_such_setting: 1\n")
    program = (
        "from s3sync_dagster.model.errors import S3SyncError\n"
        "from s3sync_dagster.settings import export_settings, load_settings\n"
        "from s3sync_dagster.local.home import open_dagster, prepare_home\n"
        "s = load_settings(); prepare_home(s, dagster=False); export_settings(s)\n"
        "try: open_dagster(s)\n"
        "except S3SyncError as error: print(error.reason)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "S3SYNC_HOME": str(tmp_path)},
        capture_output=True,
        timeout=120,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "dagster_instance"
    assert "no_such_setting" in (tmp_path / "logs" / "dagster-instance.log").read_text()


def _schema(dagster_home):
    found = {}
    for path in sorted(dagster_home.rglob("*.db")):
        with closing(sqlite3.connect(path)) as connection:
            rows = connection.execute(
                "SELECT name, sql FROM sqlite_master ORDER BY name"
            ).fetchall()
            if ("alembic_version",) in [row[:1] for row in rows]:
                rows += connection.execute("SELECT * FROM alembic_version").fetchall()
        found[str(path.relative_to(dagster_home))] = rows
    return found


OPEN_AND_TELL = (
    "import dagster as dg\n"
    "dg.DagsterInstance.upgrade = lambda *_, **__: print('upgraded')\n"
    "from s3sync_dagster.local.home import open_instance\n"
    "open_instance()\n"
)


@pytest.mark.parametrize("own", [True, False])
def test_an_instance_that_others_use_is_not_migrated_in_passing(own, tmp_path):
    """A laptop with a newer Dagster would change the tables beneath a team's older one."""
    settings = settings_of(tmp_path)
    settings.dagster_home.mkdir(parents=True)
    if not own:
        (settings.dagster_home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    prepare_home(settings, dagster=False)
    told = subprocess.check_output(
        [sys.executable, "-c", OPEN_AND_TELL], env=settings.child_environment(), text=True
    )
    assert told == ("upgraded\n" if own else "")
