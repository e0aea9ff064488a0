"""``s3sync source ...``."""

import os
from contextlib import closing

import pytest
import sqlalchemy as sa

from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.defs.resources import S3Source
from s3sync_dagster.settings import load_settings
from s3sync_dagster_tests.cli.conftest import synced
from s3sync_dagster_tests.opened import stock_client


def test_a_source_is_created_shown_edited_paused_and_deleted(s3sync):
    create = ["source", "create", "docs", "--bucket", "bucket", "--no-check"]
    create += ["--collection", "docs"]
    create += ["--prefix", "p/"]
    assert s3sync(*create, "--list-interval", "60", "--exclude", "**/*.tmp").code == 0
    shown = s3sync("source", "show", "docs", "--json").json
    assert (shown["list_interval_seconds"], shown["exclude_globs"]) == (60, ["**/*.tmp"])
    assert shown["auto_sync"] == "direct"
    assert s3sync("source", "edit", "docs", "--mode", "append").code == 0
    assert s3sync("source", "show", "docs", "--json").json["mode"] == "append"
    assert s3sync("source", "pause", "docs").code == 0
    [row] = s3sync("source", "list", "--json").json
    assert row["paused"] is True
    assert s3sync("source", "resume", "docs").code == 0
    assert s3sync(*create).code == 1  # it exists
    assert s3sync("source", "delete", "docs", "--keep-records").code == 0
    assert s3sync("source", "list", "--json").json == []


def test_an_empty_value_takes_a_setting_away(s3sync):
    create = ["source", "create", "docs", "--bucket", "bucket", "--no-check"]
    create += ["--collection", "docs"]
    create += ["--queue-url", "http://127.0.0.1:9/1/q", "--exclude", "*.tmp"]
    assert s3sync(*create, "--metadata", '{"team": "red"}').code == 0
    empty = ["--queue-url", "", "--exclude", "", "--metadata", ""]
    assert s3sync("source", "edit", "docs", *empty).code == 0
    shown = s3sync("source", "show", "docs", "--json").json
    assert (shown["queue_url"], shown["exclude_globs"], shown["metadata"]) == (None, [], {})
    people = s3sync("source", "show", "docs").out
    assert "bucket_name: bucket" in people
    assert "chunking.type: tree_sitter" in people


def test_a_source_of_code_moves_to_what_its_code_declares(s3sync, aws_endpoint):
    name = synced(s3sync, aws_endpoint, {"a.md": "# One", "b.md": "# Two"})
    [row] = s3sync("source", "list", "--json").json
    with closing(open_catalog(load_settings(dict(os.environ)).database_url)) as catalog:
        source = catalog.sources.find(row["name"])
        with catalog.database.write() as tx:
            tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
        catalog.sources.register(source.with_changes(collection_name=f"{name}-2"))
    assert f"s3sync source move {source.name}" in s3sync("status").out
    moved = s3sync("source", "move", source.name)
    assert f"{name}-2 now" in moved.err
    assert "until the first listing is complete" in s3sync("status").out
    assert s3sync("query", "One", "--collection", name, "--json").json
    with closing(open_catalog(load_settings(dict(os.environ)).database_url)) as catalog:
        assert [one.name for one in catalog.sources.all()] == [source.name]
        assert [one.id for one in catalog.sources.all(moved=True)][1:] == [source.id]
    assert "before" in s3sync("source", "move", source.name, "--now").err
    assert s3sync("status", "--json").json[0]["moving"] is None
    again = s3sync("source", "move", source.name)
    assert (again.code, "nothing to move" in again.err) == (1, True)


def test_a_source_of_code_is_changed_and_deleted_where_it_is_declared(s3sync):
    declared = S3Source(name="docs", bucket_name="bucket", collection_name="docs").to_source()
    with closing(open_catalog(load_settings(dict(os.environ)).database_url)) as catalog:
        catalog.sources.register(declared)
    for command in (["edit", "docs", "--list-interval", "60"], ["delete", "docs"]):
        refused = s3sync("source", *command)
        assert (refused.code, "is declared in python" in refused.err) == (2, True), refused.err
    shown = s3sync("source", "show", "docs", "--json").json
    assert shown["list_interval_seconds"] == declared.list_interval_seconds


def declare(source, **more):
    """Do what the code location of a source does at each tick."""
    with closing(open_catalog(load_settings(dict(os.environ)).database_url)) as catalog:
        with catalog.database.write() as tx:
            tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
        catalog.sources.register(source, **more)


def test_no_command_works_on_the_records_of_a_source_in_another_chroma(
    s3sync, aws_endpoint, chroma_server
):
    bucket = aws_endpoint.make_bucket()
    aws_endpoint.put(bucket, "a.md", "# A")
    name = f"c-{bucket}"
    red = S3Source(
        name="red", bucket_name=bucket, collection_name=name, endpoint_url=aws_endpoint.url,
        embedding={"kind": "hash"},
    ).to_source()  # fmt: skip
    declare(red, chroma="http://red:8000", by="of_red")
    place = ["sync", f"s3://{bucket}/", "-c", name, "--endpoint-url", aws_endpoint.url]
    for command in (
        ["rebuild", "red"], ["rebuild", "red", "--drop"], ["reindex", "red"],
        ["reindex", "red", "--into", f"{name}-2"], ["verify", name], ["verify"],
        ["query", "A", "--collection", name], place,
    ):  # fmt: skip
        refused = s3sync(*command)
        assert refused.code != 0, command
        told = " ".join(refused.err.split())
        assert "'red' is declared with the Chroma http://red:8000, and this would open" in told
    host, port = chroma_server.removeprefix("http://").split(":")
    there = stock_client(host=host, port=int(port)).list_collections()
    assert not [one for one in there if one.name.startswith(name)]
    refused = s3sync("source", "delete", "red", "--undeclared")
    assert "is declared in python" in refused.err
    assert "by 'of_red'" in refused.err
    long_ago = "UPDATE sources SET declared = json_replace(declared, '$.at', 1.0)"
    with (
        closing(open_catalog(load_settings(dict(os.environ)).database_url)) as catalog,
        catalog.database.write() as tx,
    ):
        tx.execute(sa.text(long_ago))
    assert "http://red:8000" in s3sync("source", "delete", "red", "--undeclared").err
    shown = " ".join(s3sync("status", "red").out.split())
    assert "not now: code declared it" in shown
    assert s3sync("source", "delete", "red", "--undeclared", "--keep-records").code == 0


def test_a_chroma_under_another_name_is_known_by_its_collection(s3sync, aws_endpoint):
    name = synced(s3sync, aws_endpoint, {"a.md": "# One"})
    [row] = s3sync("source", "list", "--json").json
    with closing(open_catalog(load_settings(dict(os.environ)).database_url)) as catalog:
        source = catalog.sources.find(row["name"])
    declare(source, chroma="http://chroma-in-the-cluster:8000")
    assert s3sync("verify", name).code == 0


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--metadata", "[1]"], "--metadata"),
        (["--engines", '{"pdf": "x"}'], "extraction.engines"),
        (["--max-chunk-bytes", "9"], "max-chunk-bytes"),
        (["--external-id", "x"], "role_arn"),
        (["--place", "s3://bucket"], "--place"),
        (["--metadata", '{"s3sync_x": 1}'], "metadata"),
        (["--embedding", "openai"], "endpoint_url"),
        (["--embedding-model", "x"], "--embedding"),
        (["--credential", "77"], "77"),
        (["--include", "["], "glob '['"),
    ],
)
def test_a_mistake_in_a_setting_leaves_no_source_behind(s3sync, more, words):
    create = [
        "source",
        "create",
        "docs",
        "--bucket",
        "bucket",
        "--no-check",
        "--collection",
        "docs",
    ]
    answer = s3sync(*create, *more)
    assert answer.code in (1, 2)
    assert words in answer.err
    assert "Traceback" not in answer.err
    assert s3sync("source", "list", "--json").json == []


def test_a_source_goes_with_its_records_and_its_partitions(s3sync, aws_endpoint, chroma_server):
    bucket = aws_endpoint.make_bucket()
    aws_endpoint.put(bucket, "a.md", "# A\n\nText.")
    name = f"c-{bucket}"
    sync = ["sync", f"s3://{bucket}/", "--collection", name, "--endpoint-url", aws_endpoint.url]
    assert s3sync(*sync, "--embedding", "hash").code == 0
    [source] = s3sync("source", "list", "--json").json
    host, port = chroma_server.removeprefix("http://").split(":")
    collection = stock_client(host=host, port=int(port)).get_collection(name)
    assert collection.count() == 1
    deleted = s3sync("source", "delete", source["name"])
    assert deleted.code == 0, deleted.err
    assert "is deleted" in deleted.err
    assert collection.count() == 0
    assert s3sync("source", "list", "--json").json == []
    assert s3sync("status", source["name"]).code == 1


def test_who_creates_a_source_after_a_sync_is_led_to_the_one_that_is_there(s3sync, aws_endpoint):
    name = synced(s3sync, aws_endpoint, {"p/a.md": "One.", "b.md": "Two."})
    [made] = s3sync("source", "list", "--json").json
    place = ["--bucket", made["bucket_name"], "--endpoint-url", aws_endpoint.url, "--no-check"]
    create = ["source", "create", "docs", *place, "--collection", name]
    for more in ([], ["--prefix", "p/"]):
        refused = s3sync(*create, *more)
        assert refused.code == 1
        assert f"s3sync source edit {made['name']} --auto-sync direct" in refused.err
    assert s3sync("source", "edit", made["name"], "--auto-sync", "direct").code == 0
    refused = s3sync(*create)
    assert (refused.code, "--auto-sync" in refused.err) == (1, False)
    assert "overlap the source" in refused.err


def test_a_source_of_a_folder_is_made_by_place_or_by_option(s3sync, tmp_path):
    for name, option in (("one", "--place"), ("two", "--folder")):
        made = s3sync("source", "create", name, option, str(tmp_path), "-c", f"docs-{name}")
        assert made.code == 0, made.err
        assert s3sync("source", "show", name, "--json").json["folder"] == str(tmp_path)
    twice = s3sync("source", "create", "x", "--folder", "/a", "--bucket", "bbb", "-c", "texts")
    assert (twice.code, "--bucket, --folder" in twice.err) == (2, True), twice.err
    edited = s3sync("source", "edit", "one", "--marker", ".mounted", "--file-version", "mtime")
    assert edited.code == 0, edited.err
    assert "marker: .mounted" in s3sync("source", "show", "one").out
    refused = s3sync("source", "edit", "one", "--queue-url", "http://q")
    assert "--queue-url is no setting of folder sources" in refused.err


def test_a_source_of_the_catalog_is_not_moved_and_its_way_out_is_told(s3sync):
    place = ["--place", "s3://some-bucket/", "--collection", "docs", "--no-check"]
    assert s3sync("source", "create", "docs", *place).code == 0
    refused = s3sync("source", "move", "docs")
    assert refused.code != 0
    told = " ".join(refused.err.split())
    assert "no code declares it" in told
    assert "create another source" in told


@pytest.mark.parametrize("option", ["--prefix", "--place", "--collection", "--endpoint-url"])
def test_what_a_source_is_cannot_be_edited_and_the_way_is_told(s3sync, option):
    refused = s3sync("source", "edit", "docs", option, "x")
    assert refused.code == 2
    assert f"{option} decides what a source is" in refused.err
    assert "s3sync source move" in refused.err
    assert "No such option" in s3sync("source", "edit", "docs", "--bogus", "x").err
