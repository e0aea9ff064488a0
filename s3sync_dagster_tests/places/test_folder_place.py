"""A folder as a value: how it is written, what it may be, who may have it."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.defs.resources import FolderSource
from s3sync_dagster.model.errors import AccessDenied, FixConfiguration, InvalidSetting, NotPossible
from s3sync_dagster.model.place import Admission, parse_place
from s3sync_dagster.model.source import Source
from s3sync_dagster.places.folder import FOLDER_ROOTS, FolderPlace
from s3sync_dagster.ports.places import Surroundings, open_store


def admission(*roots: Path, trusted: bool = False) -> Admission:
    return Admission(trusted=trusted, environment={FOLDER_ROOTS: os.pathsep.join(map(str, roots))})


def surroundings(home: Path, **environment: str) -> Surroundings:
    return Surroundings(
        home=home,
        resolve_env=environment.get,
        resolve_credential=lambda _: ("k", "s", None),
        uploads=lambda: open_catalog("sqlite://").uploads,
        guard_for=lambda _source, _url: None,
    )


@pytest.mark.parametrize("text", ["./docs", "docs/..//docs/", "../here/docs", "~/docs"])
def test_a_written_folder_is_absolute(text, tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(here))
    if not text.startswith((".", "~")):
        with pytest.raises(InvalidSetting, match=r"\./FOLDER"):
            parse_place(text)
        return
    assert parse_place(text) == FolderPlace(folder=str(here / "docs"))


def test_a_folder_has_an_address_an_identity_and_no_link():
    place = FolderPlace(folder="/srv/docs")
    assert (place.address(), place.address("a/b.md")) == ("/srv/docs/", "/srv/docs/a/b.md")
    assert FolderPlace(folder="/").address("a") == "/a"
    assert place.identity() == ("folder", "", "/srv/docs", "")
    assert place.link("a") is None


@pytest.mark.parametrize("folder", ["docs", "/a/../b", "/a/", "//a", "", "/a\0b"])
def test_a_folder_that_is_not_absolute_is_refused_where_it_is_declared(folder):
    declared = FolderSource(name="docs", folder=folder, collection_name="texts")
    with pytest.raises(InvalidSetting, match="folder"):
        declared.to_source()


@pytest.mark.parametrize(
    "wrong", [{"marker": "../x"}, {"marker": "/x"}, {"skip_folders": ["a/b"]}, {"marker": ""}]
)
def test_a_marker_lies_in_the_folder_and_folders_are_left_out_by_name(wrong):
    declared = FolderSource(name="docs", folder="/srv", collection_name="texts", **wrong)
    with pytest.raises(InvalidSetting):
        declared.to_source()


def test_nobody_gets_a_folder_by_the_api_unless_a_root_is_named(tmp_path):
    place = FolderPlace(folder=str(tmp_path))
    for trusted in (False, True):
        with pytest.raises(NotPossible, match=FOLDER_ROOTS):
            place.admitted(admission(trusted=trusted))


def test_only_folders_at_or_below_a_root_are_admitted_wherever_links_lead(tmp_path):
    root, other = tmp_path / "root", tmp_path / "root2"
    (root / "team").mkdir(parents=True)
    other.mkdir()
    (root / "out").symlink_to(other)
    allowed = admission(root)
    for inside in (root, root / "team", root / "later"):
        assert FolderPlace(folder=str(inside)).admitted(allowed).within == str(root)
    for outside in (other, root / "out", tmp_path, Path("/etc")):
        with pytest.raises(InvalidSetting) as caught:
            FolderPlace(folder=str(outside)).admitted(allowed)
        assert str(other) not in caught.value.message


def test_a_root_of_one_tenant_is_nobody_elses(tmp_path):
    folder = tmp_path / "acme"
    folder.mkdir()
    place = FolderPlace(folder=str(folder))
    named = {FOLDER_ROOTS: f"{tmp_path / 'all'}:acme={folder}:=/:relative=x"}
    asked = Admission(trusted=False, tenant="acme", environment=named)
    admitted = place.admitted(asked)
    assert admitted.within == str(folder)
    for tenant in ("other", "default_tenant", "relative"):
        with pytest.raises(InvalidSetting) as caught:
            place.admitted(replace(asked, tenant=tenant, trusted=True))
        assert caught.value.reason == "folder_not_allowed"
    source = Source(
        id="i", name="docs", place=admitted, collection_name="texts", tenant="acme"
    )  # fmt: skip
    assert open_store(source, surroundings(tmp_path / "home", **named))
    for others in (replace(source, tenant="other"), source):
        withdrawn = {FOLDER_ROOTS: f"{tmp_path / 'all'}:third={folder}"}
        with pytest.raises(AccessDenied):
            open_store(others, surroundings(tmp_path / "home", **withdrawn))
    with pytest.raises(AccessDenied):
        open_store(replace(source, tenant="other"), surroundings(tmp_path / "home", **named))


def test_a_root_that_is_withdrawn_closes_the_folder(tmp_path):
    folder = tmp_path / "root" / "team"
    folder.mkdir(parents=True)
    place = FolderPlace(folder=str(folder), within=str(tmp_path / "root"))
    source = Source(id="i", name="docs", place=place, collection_name="texts")
    roots = {FOLDER_ROOTS: str(tmp_path / "root")}
    (folder / "a.md").write_text("text")
    store = open_store(source, surroundings(tmp_path / "home", **roots))
    assert [ref.key for ref in store.list_page("", start_after=None).objects] == ["a.md"]
    with pytest.raises(AccessDenied) as caught:
        open_store(source, surroundings(tmp_path / "home"))
    assert caught.value.reason == "folder_not_allowed"
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AccessDenied):
        open_store(source, surroundings(tmp_path / "home", **roots))
    free = replace(source, place=replace(place, within=None))
    assert open_store(free, surroundings(tmp_path / "home"))


@pytest.mark.parametrize("swapped", ["root/team/docs", "root/team"])
@pytest.mark.parametrize("other", ["elsewhere", "root/home"])
def test_a_folder_that_leads_elsewhere_by_now_is_closed_to_a_store_that_is_open(
    tmp_path, swapped, other
):
    """The API keeps stores open: whoever may write below a root must not lead them out of it."""
    root = tmp_path / "root"
    folder, secret = root / "team" / "docs", tmp_path / other
    folder.mkdir(parents=True)
    (folder / "a.md").write_text("text")
    (secret / "docs").mkdir(parents=True)
    for at in (secret, secret / "docs"):
        (at / "a.md").write_text("secret")
    place = FolderPlace(folder=str(folder), within=str(root))
    source = Source(id="i", name="docs", place=place, collection_name="texts")
    store = open_store(source, surroundings(root / "home", **{FOLDER_ROOTS: str(root)}))
    assert store.read("a.md", max_size_bytes=100).content == b"text"
    (tmp_path / swapped).rename(tmp_path / "before")
    (tmp_path / swapped).symlink_to(secret)
    for ask in (
        lambda: store.list_page("", start_after=None),
        lambda: store.head("a.md"),
        lambda: store.read("a.md", max_size_bytes=100),
    ):
        with pytest.raises((AccessDenied, FixConfiguration)) as caught:
            ask()
        assert caught.value.reason in ("folder_not_allowed", "folder_missing")
    (tmp_path / swapped).unlink()
    (tmp_path / "before").rename(tmp_path / swapped)
    assert store.read("a.md", max_size_bytes=100).content == b"text"
