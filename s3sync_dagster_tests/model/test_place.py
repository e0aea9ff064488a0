"""Places own what differs from one type of source to the next."""

import json
import re
from pathlib import Path

import pytest

import s3sync_dagster
from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.place import CredentialsConfig, UploadPlace, parse_place
from s3sync_dagster.model.place_types import place_classes
from s3sync_dagster.model.s3_place import S3Place
from s3sync_dagster.model.source import Source
from s3sync_dagster.places.folder import FolderPlace
from s3sync_dagster.places.git import GitPlace
from s3sync_dagster.places.web import WebPlace
from s3sync_dagster.ports.places import Surroundings, open_store

PACKAGE = Path(s3sync_dagster.__file__).parent
MAY_WRITE_S3 = {
    "model/s3_place.py": "owns the address",
    "api/building.py": "takes s3:// as part of a bucket's name",
    "local/demo.py": "tells of its own bucket",
    "cli/addresses.py": "takes s3://bucket/key wherever a key is asked for",
    "moving/chroma_sync.py": "reads the address of a bucket as Chroma Sync writes it",
    **dict.fromkeys(
        (
            "cli/aws_setup.py",
            "cli/commands.py",
            "cli/indexed.py",
            "cli/look.py",
            "cli/object_list.py",
            "cli/objects.py",
            "cli/sources.py",
            "cli/sync.py",
        ),
        "examples and forms in help texts",
    ),
}
BUCKET = S3Place(bucket_name="b", path_prefix="docs/", credentials=CredentialsConfig(profile="p"))


FOLDER = FolderPlace(folder="/srv/docs", skip_folders=(".git", "x"), marker=".mounted")
REPOSITORY = GitPlace(repository="team/docs", ref="main", path_prefix="docs/")
SITE = WebPlace(starting_url="https://docs.example.org/", include_path_regexes=("^/a", "b"))


@pytest.mark.parametrize("place", [BUCKET, UploadPlace(), FOLDER, REPOSITORY, SITE])
def test_a_source_is_read_back_with_its_place_from_both_forms(place):
    source = Source(id="i", name="n", place=place, collection_name="ccc")
    assert Source.from_json(json.loads(json.dumps(source.to_json()))) == source
    assert Source.from_json(json.loads(json.dumps(source.settings()))) == source
    assert "place" not in source.settings()
    assert source.settings()["type"] == place.type


def test_fields_of_a_newer_version_are_passed_over():
    stored = Source(id="i", name="n", place=BUCKET, collection_name="ccc").to_json()
    stored["place"] |= {"newer": 1}
    stored["place"]["credentials"] |= {"newer": 1}
    assert Source.from_json(stored).place == BUCKET


def test_places_have_addresses_identities_and_names():
    assert BUCKET.address() == "s3://b/docs/"
    assert BUCKET.address("docs/a.md") == "s3://b/docs/a.md"
    assert BUCKET.identity() == ("s3", "", "b", "docs/")
    assert UploadPlace().address("a.md") == "upload:/a.md"
    assert UploadPlace().identity().place_type == "file_upload"
    assert (BUCKET.credential_id, UploadPlace().credential_id) == (None, None)


def test_a_bucket_and_an_upload_of_one_name_are_two_places():
    twin = S3Place(bucket_name="file_upload")
    assert twin.identity()[1:] == UploadPlace().identity()[1:]
    assert twin.identity() != UploadPlace().identity()


@pytest.mark.parametrize(("name", "ordered"), [("b", True), ("b--use1-az4--x-s3", False)])
def test_only_a_directory_bucket_is_listed_without_order(name, ordered):
    assert S3Place(bucket_name=name).ordered is ordered


@pytest.mark.parametrize(
    ("fields", "link"),
    [
        (
            {"region": "eu-west-1"},
            "https://console.aws.amazon.com/s3/object/b?prefix=a%2F%C3%BC+1.md&region=eu-west-1",
        ),
        ({}, "https://console.aws.amazon.com/s3/object/b?prefix=a%2F%C3%BC+1.md"),
        ({"endpoint_url": "http://u:p@h:9000/"}, "http://h:9000/b/a/%C3%BC%201.md"),
        (
            {"endpoint_url": "https://h", "addressing_style": "virtual"},
            "https://b.h/a/%C3%BC%201.md",
        ),
    ],
)
def test_the_link_of_an_object(fields, link):
    assert S3Place(bucket_name="b", **fields).link("a/ü 1.md") == link


def test_uploads_have_no_link():
    assert UploadPlace().link("a.md") is None


@pytest.mark.parametrize(
    ("text", "bucket", "prefix"),
    [("s3://b", "b", ""), ("s3://b/", "b", ""), ("s3://b/a//ü\n", "b", "a//ü\n")],
)
def test_a_written_place_is_read_as_it_is(text, bucket, prefix):
    assert parse_place(text) == S3Place(bucket_name=bucket, path_prefix=prefix)


@pytest.mark.parametrize("text", ["b", "s3://", "s3:///a", "gcs://b", "ftp://b/"])
def test_what_is_no_place_is_refused_with_the_form(text):
    with pytest.raises(InvalidSetting, match="s3://BUCKET/PREFIX"):
        parse_place(text)


def test_every_type_of_place_has_an_opener_and_says_what_it_needs(tmp_path):
    surroundings = Surroundings(
        home=tmp_path,
        resolve_env=lambda _: None,
        resolve_credential=lambda _: ("k", "s", None),
        uploads=lambda: open_catalog("sqlite://").uploads,
        guard_for=lambda _source, _url: None,
    )
    needed = {"s3": {"bucket_name": "b"}, "folder": {"folder": str(tmp_path)}}
    needed["github"] = {"repository": "team/docs"}
    needed["web_scrape"] = {"starting_url": "https://docs.example.org/"}
    needed["files"] = {"store_url": "fsspec+memory://docs"}
    for tag, kind in place_classes().items():
        place = kind(**needed.get(tag, {}))
        assert place.type == tag
        store = open_store(Source(id="i", name="n", place=place, collection_name="c"), surroundings)
        assert store.ordered is place.ordered


def test_only_places_write_the_address_of_a_bucket():
    """Whoever prints ``s3://`` has not asked the place: its text is wrong for any other type."""
    found = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*")
        if path.suffix in (".py", ".html", ".js") and re.search("s3://", path.read_text("utf-8"))
    }
    ports = {name for name in found if name.startswith("ports/")}
    assert found - ports == set(MAY_WRITE_S3)


def test_nobody_compares_the_type_of_a_source_with_words():
    compared = re.compile(r"""(\.type|["']type["']\)?) *[!=]= *["'](s3|file_upload)""")
    for path in PACKAGE.rglob("*.py"):
        if "migrations" not in path.parts:
            assert not compared.search(path.read_text("utf-8")), path
