"""A file store as a value: how it is written, what it may be, who may have it."""

import pytest

from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.place import Admission, parse_place
from s3sync_dagster.places.files import FilesPlace
from s3sync_dagster.places.git import GitPlace
from s3sync_dagster.places.web import WebPlace


@pytest.mark.parametrize(
    ("text", "server", "path"),
    [
        ("gs://team-docs", "gs://team-docs", ""),
        ("gs://team-docs/a/b/", "gs://team-docs", "a/b"),
        ("abfss://box@acct.dfs.core.windows.net/a", "abfs://box@acct.dfs.core.windows.net", "a"),
        ("sftp://u@h.example.org:2222/srv/docs", "sftp://u@h.example.org:2222", "srv/docs"),
        ("davs://u@h/remote.php/d%C3%BC", "davs://u@h", "remote.php/d\u00fc"),
        ("dav://h/", "dav://h", ""),
        ("index+https://h/pub", "index+https://h", "pub"),
        ("fsspec+smb://h/share", "fsspec+smb://h", "share"),
    ],
)
def test_a_written_store(text, server, path):
    place = parse_place(text)
    assert place == FilesPlace(store_url=text)
    assert place.identity() == ("files", server, path, "")
    assert place.address("k.md") == f"{server}/{path}{'/' if path else ''}k.md"
    assert place.address() == f"{server}/{path}{'/' if path else ''}"


def test_addresses_of_other_types_stay_theirs():
    assert isinstance(parse_place("https://docs.example.org/"), WebPlace)
    assert isinstance(parse_place("ssh://git@h/a/b.git"), GitPlace)


@pytest.mark.parametrize(
    "text",
    ["gs://", "gs://u@b/x", "gs://b:1/x", "gs://b/a//b", "gs://b/../x", "gs://b/x?y", "gs://b/x#y",
     "gs://-b/x", "abfs://acct.dfs.core.windows.net/x", "sftp://h/x", "sftp://u@h/", "sftp://u@-h/x",
     "sftp://u@h:99999/x", "davs://", "davs://h/a b", "index+https://h/a%2f%2fb", "index+ftp://h/x",
     "fsspec+file:///etc", "fsspec+s3://b/x", "fsspec+https://h/x", "fsspec+zip::file:///x.zip",
     f"gs://b/{'x' * 1030}", "ftp://h/x"],
)  # fmt: skip
def test_what_is_no_address_is_refused(text):
    with pytest.raises(InvalidSetting, match="store_url"):
        FilesPlace(store_url=text).check()


@pytest.mark.parametrize("text", ["sftp://u:hunter2@h/x", "davs://u:hunter2@h/x"])
def test_a_password_in_an_address_is_refused_and_not_repeated(text):
    for ask in (lambda: parse_place(text), FilesPlace(store_url=text).check):
        with pytest.raises(InvalidSetting, match="token_env") as caught:
            ask()
        assert "hunter2" not in caught.value.message


def test_a_secret_goes_over_tls_and_there_is_one():
    for wrong in (
        {"store_url": "dav://h/x", "token_env": "T"},
        {"store_url": "index+http://h/x", "saved_token": 1},
        {"store_url": "gs://b/x", "token_env": "T", "saved_token": 1},
    ):
        with pytest.raises(InvalidSetting, match="token_env"):
            FilesPlace(**wrong).check()
    with pytest.raises(InvalidSetting, match="marker"):
        FilesPlace(store_url="gs://b/x", marker="../m").check()
    FilesPlace(store_url="davs://u@h/x", token_env="T", marker="a/.mounted").check()


def test_links_for_a_browser():
    assert FilesPlace(store_url="gs://b/d").link("a b.md") == (
        "https://console.cloud.google.com/storage/browser/_details/b/d/a%20b.md"
    )
    assert FilesPlace(store_url="davs://u@h/d").link("a.md") == "https://h/d/a.md"
    assert FilesPlace(store_url="index+http://h:8080").link("a.md") == "http://h:8080/a.md"
    assert FilesPlace(store_url="sftp://u@h/d").link("a.md") is None


def test_trusted_tenants_alone_may_have_one():
    place = FilesPlace(store_url="gs://b/x")
    assert place.admitted(Admission(trusted=True, environment={})) == place
    for refused, trusted in ((place, False), (FilesPlace(store_url="fsspec+smb://h/x"), True)):
        with pytest.raises(InvalidSetting) as caught:
            refused.admitted(Admission(trusted=trusted, environment={}))
        assert caught.value.reason == "store_not_allowed"
