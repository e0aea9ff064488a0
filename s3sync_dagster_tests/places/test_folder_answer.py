"""A folder whose mount answers nothing: who asks for it is told so, and nobody waits for good."""

import os
import threading
import time

import pytest

from s3sync_dagster.model.errors import InvalidSetting, S3SyncError, Unavailable
from s3sync_dagster.model.place import Admission
from s3sync_dagster.model.source import Source
from s3sync_dagster.places import folder_answer
from s3sync_dagster.places.folder import FOLDER_ROOTS, FolderPlace
from s3sync_dagster.ports.places import open_store
from s3sync_dagster_tests.places.test_folder_place import surroundings


@pytest.fixture
def mount(tmp_path, monkeypatch):
    """A folder that answers when the event is set."""
    folder = tmp_path / "root" / "mount"
    (folder / "team").mkdir(parents=True)
    (folder / "team" / "a.md").write_text("text")
    back, opened, realpath = threading.Event(), os.open, os.path.realpath

    def waits(call):
        def asked(path, *args, **more):
            if str(path).startswith(str(folder)):
                back.wait(30)
            return call(path, *args, **more)

        return asked

    monkeypatch.setattr(os, "open", waits(opened))
    monkeypatch.setattr(os.path, "realpath", waits(realpath))
    monkeypatch.setattr(folder_answer, "ANSWER_SECONDS", 0.3)
    yield folder, back
    back.set()


def test_a_folder_that_hangs_is_told_at_once_from_the_second_time_on(mount, tmp_path):
    folder, back = mount
    source = Source(
        id="i",
        name="docs",
        place=FolderPlace(folder=str(folder), within=str(tmp_path / "root")),
        collection_name="texts",
    )
    named = surroundings(tmp_path / "home", **{FOLDER_ROOTS: str(tmp_path / "root")})
    threads = threading.active_count()
    began = time.monotonic()
    for place in (source.place, FolderPlace(folder=str(folder / "team"))) * 3:
        with pytest.raises(Unavailable) as caught:
            open_store(Source(id="i", name="d", place=place, collection_name="c"), named)
        assert caught.value.reason == "folder_hangs"
    assert time.monotonic() - began < 5
    assert threading.active_count() <= threads + 1
    back.set()
    for waits in list(folder_answer._hanging.values()):
        waits.join(5)
    store = open_store(source, named)
    assert [ref.key for ref in store.list_page("", start_after=None).objects] == ["team/a.md"]


def test_what_hangs_costs_one_thread_by_whatever_name_it_is_asked_for(mount, tmp_path):
    folder, _ = mount
    asked, lstat = os.lstat, os.lstat

    def waits(path, *args, **more):
        if str(path).startswith(str(folder)):
            mount[1].wait(30)
        return asked(path, *args, **more)

    (tmp_path / "link").symlink_to(folder)
    threads = threading.active_count()
    os.lstat = waits
    try:
        for name in ("link", *(f"link/x{one}" for one in range(5)), "root/mount/y", "root/mount"):
            with pytest.raises(Unavailable):
                folder_answer.require_answer(str(tmp_path / name))
        assert threading.active_count() <= threads + 1
        folder_answer.require_answer(str(tmp_path / "root"))
        for one in range(2):
            folder_answer.require_answer(str(tmp_path / f"no{one}"))
    finally:
        os.lstat = lstat


def test_a_mount_that_hangs_inside_of_a_folder_is_found_before_it_is_entered(
    mount, tmp_path, monkeypatch
):
    folder, _ = mount
    (tmp_path / "root" / "a.md").write_text("text")
    escaped = str(folder).replace("m", "\\155")
    told = f"36 35 0:1 / / rw - ext4 a rw\n37 36 0:2 / {escaped} rw,noatime shared:1 - fuse b rw\n"
    (tmp_path / "mounts").write_text(told)
    monkeypatch.setattr(folder_answer, "MOUNTS", str(tmp_path / "mounts"))
    named = surroundings(tmp_path / "home")
    place = FolderPlace(folder=str(tmp_path / "root"))
    for _ in range(3):
        with pytest.raises(Unavailable) as caught:
            open_store(Source(id="i", name="d", place=place, collection_name="c"), named)
        assert caught.value.reason == "folder_hangs"
    place = FolderPlace(folder=str(tmp_path / "root"), skip_folders=("mount",))
    store = open_store(Source(id="i", name="d", place=place, collection_name="c"), named)
    assert [ref.key for ref in store.list_page("", start_after=None).objects] == ["a.md"]


def test_a_caller_of_the_api_waits_for_no_folder_that_hangs(mount, tmp_path):
    folder, _ = mount
    place = FolderPlace(folder=str(folder))
    below = Admission(trusted=False, environment={FOLDER_ROOTS: str(tmp_path / "root")})
    with pytest.raises(Unavailable) as caught:
        place.admitted(below)
    assert caught.value.reason == "folder_hangs"
    elsewhere = Admission(trusted=False, environment={FOLDER_ROOTS: str(tmp_path)})
    other = Admission(trusted=False, environment={FOLDER_ROOTS: "/etc"})
    with pytest.raises(Unavailable):
        place.admitted(elsewhere)
    with pytest.raises(InvalidSetting) as refused:  # it tells nothing of the server's disk
        place.admitted(other)
    assert refused.value.reason == "folder_not_allowed"


def test_a_root_of_all_that_holds_one_of_a_tenant_is_that_tenant_s_alone(tmp_path):
    (tmp_path / "all" / "acme").mkdir(parents=True)
    named = {FOLDER_ROOTS: f"/{tmp_path / 'all'}:acme={tmp_path / 'all' / 'acme'}"}
    for folder in (tmp_path / "all", tmp_path / "all" / "acme"):
        place = FolderPlace(folder=str(folder))
        asked = Admission(trusted=False, tenant="acme", environment=named)
        assert place.admitted(asked).within
        with pytest.raises(S3SyncError) as caught:
            place.admitted(Admission(trusted=False, tenant="evil", environment=named))
        assert caught.value.reason in ("folder_not_allowed", "source_type_not_available")
