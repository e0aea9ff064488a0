"""``objects``, ``failures``, ``why`` and ``retry``; filters, ``-q`` and ``-v`` of ``sync``."""

import os
import time
import uuid
from contextlib import closing

import pytest
from click.shell_completion import ShellComplete

from s3sync_dagster import FolderSource
from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.catalog.tables import invocations
from s3sync_dagster.cli.addresses import key_in, rows_under
from s3sync_dagster.cli.commands import cli
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.model.source import Source
from s3sync_dagster.places.folder import FolderPlace
from s3sync_dagster.settings import load_settings
from s3sync_dagster_tests.sources import s3_source


@pytest.fixture
def bucket(aws_endpoint) -> str:
    name = aws_endpoint.make_bucket()
    broken = {f"docs/broken/{number}.pdf": f"%PDF-1.7 no {number}" for number in range(3)}
    texts = {f"docs/{name}.txt": f"The text of {name}." for name in ("a", "b", "c")}
    aws_endpoint.put_all(name, {**broken, **texts, "docs/empty.txt": ""})
    return name


@pytest.fixture
def synced(s3sync, aws_endpoint, bucket):
    """The name of the source of a bucket that was synced once."""
    collection = f"c-{uuid.uuid4().hex[:12]}"
    place = ["sync", f"s3://{bucket}/docs/", "-c", collection, "--embedding", "hash"]
    quiet = s3sync(*place, "--endpoint-url", aws_endpoint.url, "-q")
    assert (quiet.code, quiet.out) == (1, "")
    assert quiet.err.startswith("failed: docs/broken/0.pdf\n"), "only what went wrong"
    assert quiet.err.count("failed: ") == 3
    assert len(quiet.err.splitlines()) < 6, "a cause is told once, not for each object"
    [source] = s3sync("source", "list", "--json").json
    return source["name"]


def keys(answer):
    return [row["key"] for row in answer.json]


def test_objects_are_listed_by_state_reason_and_prefix(s3sync, synced, bucket):
    assert len(keys(s3sync("objects", "--json"))) == 7
    indexed = s3sync("ls", synced, "--state", "indexed", "--json")
    assert keys(indexed) == ["docs/a.txt", "docs/b.txt", "docs/c.txt"]
    assert indexed.json[0]["address"] == f"s3://{bucket}/docs/a.txt"
    assert keys(s3sync("objects", "--reason", "empty_object", "--json")) == ["docs/empty.txt"]
    for prefix in ("docs/b", f"s3://{bucket}/docs/b"):
        found = keys(s3sync("objects", "--prefix", prefix, "--json"))
        assert found == ["docs/b.txt", *(f"docs/broken/{number}.pdf" for number in range(3))]
    assert s3sync("objects", "--prefix", "s3://another/docs/", "--json").json == []
    shown = s3sync("objects", "--state", "failed", "-n", "2")
    assert "failed (damaged)" in shown.out
    assert len(shown.out.splitlines()) == 3
    assert "more than these 2" in shown.err
    assert "No objects" in s3sync("objects", "--prefix", "nothing").err


def test_failures_are_grouped_by_reason_with_counts(s3sync, synced):
    told = s3sync("failures", "-n", "2").out
    assert f"{synced}: 3 failed\n  damaged: 3, tried again only when" in told
    assert told.count("What to do: open it in its program and export it again") == 1
    assert told.count(".pdf\n") == 2
    assert f"and 1 more: s3sync objects {synced} --state failed --reason damaged" in told
    assert "Nothing failed" in s3sync("failures", "--reason", "missing_model").err
    assert len(s3sync("failures", "--json").json) == 3


def test_why_and_retry_take_addresses_and_name_near_keys(s3sync, synced, bucket):
    [told] = s3sync("why", f"s3://{bucket}/docs/a.txt", "--json").json
    assert (told["state"], told["chunks"]) == ("indexed", 1)
    broken = s3sync("why", "docs/broken/0.pdf").out
    assert "  What to do: open it in its program and export it again\n" in broken
    assert "What to do" not in s3sync("why", "docs/empty.txt").out, "nothing can be done"
    stranger = s3sync("why", "s3://another/docs/a.txt")
    assert stranger.code == 1
    assert "No source takes 's3://another/docs/a.txt'" in stranger.err
    elsewhere = s3sync("why", "a.txt")
    assert elsewhere.code == 1
    assert "Did you mean 'docs/a.txt'?" in elsewhere.err
    assert "Did you mean 'docs/broken/1.pdf" in s3sync("why", "docs/brokn/1.pdf").err
    assert "Did you mean" not in s3sync("why", "docs/a.txt").err

    one = s3sync("retry", f"s3://{bucket}/docs/broken/1.pdf")
    assert one.err == "1 objects are tried again by the next run or sync\n"
    assert keys(s3sync("objects", "--state", "pending", "--json")) == ["docs/broken/1.pdf"]
    assert "Did you mean 'docs/broken/0.pdf'" in s3sync("retry", synced, "0.pdf").err
    well = s3sync("retry", f"s3://{bucket}/docs/a.txt")
    assert (well.code, well.err) == (1, "Error: None of these keys failed.\n")
    well = s3sync("retry", synced, "docs/a.txt")
    assert well.err == f"Error: None of these keys failed in {synced!r}.\n"
    assert s3sync("retry", synced, "--reason", "missing_model").code == 1
    for typed, meant in (("damagd", "damaged"), ("missing_modle", "missing_model")):
        told = f"None of those with the reason {typed!r} failed in {synced!r}. Did you mean"
        assert s3sync("retry", synced, "--reason", typed).err == f"Error: {told} {meant!r}?\n"
    assert "Did you mean" not in s3sync("retry", synced, "--reason", "missing_model").err
    assert s3sync("retry", synced, "--reason", "damaged").code == 0
    assert len(keys(s3sync("objects", "--state", "pending", "--json"))) == 3


def test_sync_takes_filters_and_tells_how_each_object_ended(
    s3sync, synced, aws_endpoint, bucket, monkeypatch
):
    place = ["sync", f"s3://{bucket}/docs/", "--endpoint-url", aws_endpoint.url]
    place += ["--embedding", "hash"]
    other = [*place, "-c", f"c-{uuid.uuid4().hex[:12]}"]
    elsewhere = s3sync(
        *place[:2],
        "-c",
        s3sync("source", "list", "--json").json[0]["collection_name"],
        "--endpoint-url",
        "http://127.0.0.1:9",
        "--embedding",
        "hash",
    )
    assert elsewhere.code == 1
    assert f"The source {synced!r} has this place and collection with another endpoint" in (
        elsewhere.err
    )
    verbose = s3sync(*other, "--include", "**/[ab].txt", "--extension", ".txt", "-v")
    assert verbose.code == 0
    assert "indexed docs/a.txt, 1 chunks\n" in verbose.err
    assert "docs/c.txt" not in verbose.err
    assert s3sync(*other, "--extension", ".txt", "-q").code == 0, "as the source has it"
    refused = s3sync(*other, "--extension", ".md")
    assert refused.code == 2
    assert "another --extension" in refused.err
    assert "source edit" in refused.err


def test_a_misspelt_prefix_is_told_and_leaves_no_source(s3sync, aws_endpoint, bucket):
    place = ["sync", f"s3://{bucket}/dosc/", "-c", "docs", "--endpoint-url", aws_endpoint.url]
    answer = s3sync(*place, "--embedding", "hash")
    assert answer.code == 0
    assert f"Nothing lies under s3://{bucket}/dosc/: is the prefix right?" in answer.err
    assert answer.out == "", "no table of zeros"
    assert s3sync("source", "list", "--json").json == []


def test_a_source_is_created_on_a_bucket_that_may_be_listed(s3sync, aws_endpoint, bucket):
    create = ["source", "create", "docs", "--collection", "docs"]
    create += ["--endpoint-url", aws_endpoint.url]
    wrong = s3sync(*create, "--bucket", "no-such-bucket")
    assert wrong.code == 1
    assert "no-such-bucket" in wrong.err
    assert "--no-check" in wrong.err
    assert s3sync("source", "list", "--json").json == []
    assert s3sync(*create, "--bucket", "no-such-bucket", "--no-check").code == 0
    create[2] = "empty"
    empty = s3sync(*create, "--bucket", bucket, "--prefix", "dosc/")
    assert empty.code == 0
    assert f"Nothing lies under s3://{bucket}/dosc/ yet" in empty.err
    create[2], create[4] = "good", "good"
    good = s3sync(*create, "--bucket", bucket, "--prefix", "docs/")
    assert good.code == 0
    assert "Nothing lies" not in good.err
    assert "Next: s3sync up" in good.err


def completed(words, incomplete):
    completion = ShellComplete(cli, {}, "s3sync", "_S3SYNC_COMPLETE")
    return [item.value for item in completion.get_completions(words, incomplete)]


def test_the_shell_completes_commands_sources_collections_and_keys(synced, s3sync):
    collection = s3sync("source", "list", "--json").json[0]["collection_name"]
    os.environ.pop("DAGSTER_HOME", None)
    assert completed([], "app") == ["approve-deletes"]
    assert completed(["source"], "cr") == ["create"]
    assert completed(["status"], synced[:4]) == [synced]
    assert completed(["query", "words", "-c"], "c-") == [collection]
    assert completed(["why"], "docs/b") == [
        "docs/b.txt", *(f"docs/broken/{number}.pdf" for number in range(3))
    ]  # fmt: skip
    assert completed(["retry", synced], "docs/broken/2") == ["docs/broken/2.pdf"]
    assert completed(["status"], "nobody") == []


def test_a_press_of_tab_makes_no_folder_and_says_nothing(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("S3SYNC_HOME", str(tmp_path / "home"))
    assert completed(["status"], "") == []
    monkeypatch.setenv("S3SYNC_DATABASE_URL", "nonsense://")
    assert completed(["status"], "") == []
    assert not (tmp_path / "home").exists()
    assert capfd.readouterr() == ("", "")


def test_an_address_names_a_key_of_its_own_bucket_only():
    source = s3_source(
        id="one", name="docs", collection_name="docs", bucket_name="mine", path_prefix="docs/"
    )
    assert key_in(source, "s3://mine/docs/a") == "docs/a"
    assert key_in(source, "docs/a") == "docs/a"
    assert key_in(source, "s3://yours/docs/a") is None
    folder = FolderSource(name="notes", folder="/data", collection_name="notes").to_source()
    assert key_in(folder, "s3://mine/docs/a") is None
    assert key_in(folder, "/data/docs/a") == "docs/a"
    assert key_in(folder, "docs/a") == "docs/a"
    assert key_in(source, "notes: s3://mine/x") == "notes: s3://mine/x"
    assert key_in(source, "/a") == "/a"
    docs = Source(id="f", name="f", place=FolderPlace(folder="/srv/docs"), collection_name="texts")
    assert key_in(docs, "/srv/docs/a.md") == key_in(docs, "a.md") == "a.md"
    assert key_in(docs, "/srv/other/a.md") is None


@pytest.mark.parametrize(
    "prefix", ["", "a", "a/", "a/b", "b", "\x00", "a\x00", "ä", "a\ud7ff", "a\ue000", "zz"]
)
def test_a_prefix_finds_what_begins_so_whatever_its_last_letter(prefix, catalog_of_keys):
    known, source, catalog = catalog_of_keys
    found = [row.object_key for row in rows_under(catalog, source, prefix=prefix)]
    assert found == sorted(key for key in known if key.startswith(prefix))


@pytest.fixture(scope="module")
def catalog_of_keys(tmp_path_factory):
    """Keys that lie close to each other in the order of their letters."""
    from s3sync_dagster.catalog import open_catalog
    from s3sync_dagster.model.object import ObjectRef

    known = ["a", "a/", "a/b", "a/b/c", "a0", "a\x00", "a\x00b", "ab", "b", "ä", "äa", "z", "\x00"]
    known += ["a\ud7ffx", "a\ue000x", "a\U0001f600"]
    catalog = open_catalog(f"sqlite:///{tmp_path_factory.mktemp('catalog') / 'catalog.db'}")
    source = catalog.sources.add(
        s3_source(id="one", name="docs", collection_name="docs", bucket_name="mine")
    )
    refs = [(ObjectRef(key=key, etag="e", size=1, storage_class="STANDARD"), None) for key in known]
    catalog.work.record_objects(source.id, refs, known={})
    yield known, source, catalog
    catalog.close()


def test_what_waits_for_chroma_says_so(s3sync, tmp_path):
    """An attempt has failed, or none was made since nothing is handed out: it looks the same."""
    folder = tmp_path / "texts"
    folder.mkdir()
    for name in ("a.md", "b.md"):
        (folder / name).write_text("# Text")
    declared = FolderSource(name="docs", folder=str(folder), collection_name="docs").to_source()
    with closing(open_catalog(load_settings(dict(os.environ)).database_url)) as catalog:
        source = catalog.sources.register(declared, chroma="http://localhost:9", by="team")
        refs = [ObjectRef(key=name, etag="e", size=6) for name in ("a.md", "b.md")]
        catalog.work.record_objects(source.id, [(ref, None) for ref in refs], known={})
        catalog.invocations.request_automatic(source.id, ["a.md", "b.md"], trigger=Trigger.LISTING)
        with catalog.database.write() as tx:
            failed = {"reason": "chroma_unreachable", "error": "Chroma cannot be reached (it)."}
            after = invocations.c.object_key == "a.md"
            values = {**failed, "next_attempt_at": time.time() + 300}
            tx.execute(invocations.update().where(after).values(**values))
    waits = "Work waits for the Chroma at http://localhost:9: Chroma cannot be reached"
    told = " ".join(s3sync("why", "a.md").out.split())
    assert "docs: pending" in told
    assert "The last attempt failed: chroma_unreachable: Chroma cannot be reached (it)." in told
    assert waits in told
    assert "The last attempt failed" not in s3sync("why", "b.md").out
    assert waits in " ".join(s3sync("why", "b.md").out.split())
    status = " ".join(s3sync("status").out.split())
    assert "an attempt failed: 1 (chroma_unreachable 1); again in 5 min" in status
    assert waits in status
    assert "docs: 1 not done yet, an attempt failed: chroma_unreachable" in s3sync("failures").err
