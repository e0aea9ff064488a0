"""An endpoint that the environment names is part of what a source is, as one given by option."""

import os
from contextlib import closing
from dataclasses import replace

import pytest

from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.catalog.tables import sources as source_rows
from s3sync_dagster.settings import load_settings

HASH = ("--embedding", "hash")


@pytest.fixture
def place(aws_endpoint, monkeypatch):
    """A bucket with three documents, and the variable that names its server."""
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    bucket = aws_endpoint.make_bucket()
    aws_endpoint.put_all(bucket, {f"n/{one}.md": f"# {one}" for one in "abc"})
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_endpoint.url)
    return ["sync", f"s3://{bucket}/n/", "-c", f"c-{bucket}"]


def sources(s3sync):
    return s3sync("source", "list", "--json").json


def opened_catalog():
    return closing(open_catalog(load_settings(dict(os.environ)).database_url))


def forget_endpoint():
    """Make the one source as it was made before endpoints of the environment were kept."""
    with opened_catalog() as catalog:
        [one] = catalog.sources.all()
        catalog.sources.update(one.with_changes(place=replace(one.place, endpoint_url=None)))


def test_a_source_keeps_the_endpoint_that_the_environment_named(
    s3sync, place, aws_endpoint, monkeypatch
):
    made = s3sync(*place, *HASH)
    assert made.code == 0, made.err
    [one] = sources(s3sync)
    assert f"source {one['name']!r} was made" in made.err
    shown = s3sync("source", "show", one["name"], "--json").json
    assert shown["endpoint_url"] == aws_endpoint.url
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    again = s3sync(*place, "--json")
    assert again.code == 0, again.err
    assert (again.json["listed"], again.json["removed"]) == (3, 0)
    assert f"has this place and collection at {aws_endpoint.url}" in again.err
    assert s3sync(*place, "--endpoint-url", aws_endpoint.url, "--json").json["unchanged"] == 3
    assert len(sources(s3sync)) == 1


def test_another_server_takes_no_records_away(s3sync, place, second_endpoint, monkeypatch):
    assert s3sync(*place, *HASH).code == 0
    second_endpoint.client("s3").create_bucket(Bucket=place[1].split("/")[2])
    second_endpoint.put(place[1].split("/")[2], "n/a.md", "# other")
    monkeypatch.setenv("AWS_ENDPOINT_URL", second_endpoint.url)
    for dry in ([], ["--dry-run"]):
        refused = s3sync(*place, *dry)
        assert refused.code != 0
        assert f"name {second_endpoint.url}: say which server" in " ".join(refused.err.split())
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert s3sync(*place, "--json").json["unchanged"] == 3


@pytest.mark.parametrize("by_option", [True, False])
def test_a_source_without_endpoint_is_found_and_learns_it(s3sync, place, aws_endpoint, by_option):
    assert s3sync(*place, *HASH).code == 0
    forget_endpoint()
    option = ["--endpoint-url", aws_endpoint.url] if by_option else []
    assert s3sync(*place, *option, "--dry-run").code == 0
    assert (
        s3sync("source", "show", sources(s3sync)[0]["name"], "--json").json["endpoint_url"] is None
    )
    again = s3sync(*place, *option, "--json")
    assert again.json["unchanged"] == 3
    assert f"keeps {aws_endpoint.url} as its endpoint now" in again.err
    [one] = sources(s3sync)
    assert s3sync("source", "show", one["name"], "--json").json["endpoint_url"] == aws_endpoint.url


def test_a_source_without_endpoint_is_not_bound_to_a_server_that_lacks_its_objects(
    s3sync, place, aws_endpoint, second_endpoint, monkeypatch
):
    assert s3sync(*place, *HASH).code == 0
    forget_endpoint()
    second_endpoint.client("s3").create_bucket(Bucket=place[1].split("/")[2])
    second_endpoint.put(place[1].split("/")[2], "n/a.md", "# other")
    monkeypatch.setenv("AWS_ENDPOINT_URL", second_endpoint.url)
    refused = s3sync(*place)
    assert refused.code != 0
    assert "of its first 3 objects 1 are at" in " ".join(refused.err.split())
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_endpoint.url)
    assert s3sync(*place, "--json").json["unchanged"] == 3


def test_a_source_that_is_created_keeps_it_too_and_aws_may_ignore_it(
    s3sync, place, aws_endpoint, monkeypatch
):
    create = ["--place", place[1], "--collection", "docs"]
    assert s3sync("source", "create", "docs", *create).code == 0
    assert s3sync("source", "show", "docs", "--json").json["endpoint_url"] == aws_endpoint.url
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    create[-1] = "others"
    assert s3sync("source", "create", "others", *create, "--no-check").code == 0
    assert s3sync("source", "show", "others", "--json").json["endpoint_url"] is None


def test_two_sources_of_one_server_overlap_whoever_names_it(s3sync, place, aws_endpoint):
    assert s3sync(*place, *HASH).code == 0
    forget_endpoint()
    [one] = sources(s3sync)
    create = ["source", "create", "twin", "--place", place[1], "--collection", place[3]]
    create += ["--endpoint-url", aws_endpoint.url, "--no-check"]
    refused = s3sync(*create, "--auto-sync", "none", *HASH)
    assert refused.code != 0
    assert f"{one['name']!r}" in refused.err
    assert len(sources(s3sync)) == 1


@pytest.fixture
def two_servers(s3sync, place, aws_endpoint, second_endpoint):
    """A source that names no endpoint, with its records, and another server's bucket like it."""
    assert s3sync(*place, *HASH).code == 0
    forget_endpoint()
    [one] = sources(s3sync)
    bucket = place[1].split("/")[2]
    second_endpoint.client("s3").create_bucket(Bucket=bucket)
    second_endpoint.put(bucket, "n/a.md", "# other")
    return one["name"], second_endpoint


@pytest.mark.parametrize(
    ("known", "origin"),
    [
        (True, "catalog"),
        (False, "python"),
        pytest.param(False, "catalog", marks=pytest.mark.long),
        pytest.param(True, "python", marks=pytest.mark.long),
    ],
)
def test_a_source_that_names_none_does_not_follow_the_environment_to_another_server(
    s3sync, two_servers, monkeypatch, aws_endpoint, known, origin
):
    name, other = two_servers
    with opened_catalog() as catalog, catalog.database.write() as tx:
        tx.execute(source_rows.update().values(origin=origin))
    if known:
        assert s3sync("reindex", name, "--json").json["listed"] == 3
    monkeypatch.setenv("AWS_ENDPOINT_URL", other.url)
    refused = s3sync("reindex", name)
    assert refused.code != 0
    said = " ".join(refused.err.split())
    assert "Of the 3 objects that were indexed last, 0 are there as they were" in said
    assert (f"it was {aws_endpoint.url} before" in said) is known
    way = f"`s3sync source move {name}`" if origin == "python" else "`s3sync sync s3://"
    assert way in said
    with opened_catalog() as catalog:
        [one] = catalog.sources.all()
        assert catalog.documents.count(one.id) == 3
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_endpoint.url)
    again = s3sync("reindex", name, "--json").json
    assert (again["unchanged"], again["removed"]) == (3, 0)


def test_a_server_under_another_name_is_known_by_its_objects(
    s3sync, two_servers, monkeypatch, aws_endpoint
):
    name, _ = two_servers
    assert s3sync("reindex", name).code == 0
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_endpoint.url.replace("127.0.0.1", "LOCALHOST"))
    again = s3sync("reindex", name, "--json")
    assert (again.code, again.json["unchanged"]) == (0, 3)
    with opened_catalog() as catalog:
        [one] = catalog.sources.all()
        named = aws_endpoint.url.replace("127.0.0.1", "localhost")
        assert catalog.servers.names(one.id) == [named, aws_endpoint.url]


def test_whoever_asks_under_another_name_meanwhile_holds_nobody_up(
    s3sync, place, two_servers, monkeypatch, aws_endpoint
):
    """As who asks from beside a network of containers; all objects are written anew then."""
    name, other = two_servers
    daemons = aws_endpoint.url.replace("127.0.0.1", "0.0.0.0")
    bucket = place[1].split("/")[2]
    keys = [one["Key"] for one in aws_endpoint.client("s3").list_objects(Bucket=bucket)["Contents"]]
    monkeypatch.setenv("AWS_ENDPOINT_URL", daemons)
    assert s3sync("reindex", name).code == 0
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_endpoint.url)
    assert s3sync("reindex", name).code == 0
    for key in keys:
        aws_endpoint.put(bucket, key, f"# anew {key}")
    monkeypatch.setenv("AWS_ENDPOINT_URL", daemons)
    assert s3sync("reindex", name, "--json").json["updated"] == 3
    monkeypatch.setenv("AWS_ENDPOINT_URL", other.url)
    refused = s3sync("reindex", name)
    assert refused.code != 0
    assert f"it was {daemons} before" in " ".join(refused.err.split())


def test_a_source_without_endpoint_shows_whom_it_asked(s3sync, place, aws_endpoint):
    assert s3sync(*place, *HASH).code == 0
    forget_endpoint()
    [one] = sources(s3sync)
    line = "endpoint_url: none; the environment of who asks names the server"
    assert s3sync("source", "show", one["name"]).out.splitlines()[-1] == line
    assert s3sync("reindex", one["name"]).code == 0
    asked = f"{line}, which was {aws_endpoint.url} last"
    assert s3sync("source", "show", one["name"]).out.splitlines()[-1] == asked


def test_a_host_has_no_capitals(s3sync, place, aws_endpoint, monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    port = aws_endpoint.url.rpartition(":")[2]
    assert s3sync(*place, *HASH, "--endpoint-url", f"http://localhost:{port}").code == 0
    again = s3sync(*place, "--endpoint-url", f"http://LocalHost:{port}/", "--json")
    assert again.json["unchanged"] == 3, again.err
    [one] = sources(s3sync)
    assert one["endpoint_url"] == f"http://localhost:{port}"
