"""``s3sync sync`` on a real bucket and a real Chroma, requests counted on the wire."""

import os
import re
import uuid

import pytest

from s3sync_dagster_tests.opened import stock_client
from s3sync_dagster_tests.wire_proxy import wire_proxy


@pytest.fixture
def collection() -> str:
    return f"c-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def bucket(aws_endpoint) -> str:
    name = aws_endpoint.make_bucket()
    aws_endpoint.put_all(
        name,
        {
            "docs/a.md": "# Holidays\n\nEveryone has 28 days of holiday.",
            "docs/b.py": "def double(x):\n    return 2 * x\n",
            "docs/c d+%.txt": "Umlauts in keys and text: äöü",
            "docs/empty.txt": "",
            "docs/broken.pdf": "%PDF-1.7 not really",
            "other/x.md": "not ours",
        },
    )
    return name


def totals(summary) -> int:
    return (
        summary["indexed"]
        + summary["updated"]
        + summary["unchanged"]
        + sum(summary["skipped"].values())
        + sum(summary["failed"].values())
        + summary["pending"]
    )


def records(chroma_url: str, collection: str) -> dict[str, str]:
    host, port = chroma_url.removeprefix("http://").split(":")
    found = stock_client(host=host, port=int(port)).get_collection(collection).get()
    return {m["document_key"]: d for m, d in zip(found["metadatas"], found["documents"])}


def test_the_whole_life_of_a_collection(s3sync, aws_endpoint, bucket, collection, chroma_server):
    place = f"s3://{bucket}/docs/"
    with wire_proxy(aws_endpoint.url) as proxy:

        def sync(*more):
            proxy.reset()
            return s3sync(
                "sync", place, "--collection", collection, "--endpoint-url", proxy.url,
                "--embedding", "hash", "--json", *more,
            )  # fmt: skip

        first = sync()
        assert first.code == 1  # the broken PDF counts
        assert first.json["listed"] == totals(first.json) == 5
        assert first.json["indexed"] == 3
        assert first.json["skipped"] == {"empty_object": 1}
        assert list(first.json["failed"]) == ["damaged"]
        assert first.json["chunks_written"] == first.json["embedded"] == 3
        assert proxy.counts() == {"LIST": 1, "GET": 4}
        assert records(chroma_server, collection)["docs/c d+%.txt"].startswith("Umlauts")

        again = sync("--fail-on", "new")
        assert again.code == 0
        assert again.json["listed"] == totals(again.json) == 5
        assert (again.json["unchanged"], again.json["indexed"]) == (3, 0)
        assert proxy.counts() == {"LIST": 1}
        assert again.json["requests"] == {"LIST": 1, "GET": 0, "HEAD": 0}

        aws_endpoint.put(bucket, "docs/a.md", "# Holidays\n\nEveryone has 30 days of holiday.")
        aws_endpoint.delete(bucket, "docs/b.py")
        aws_endpoint.delete(bucket, "docs/broken.pdf")
        aws_endpoint.put(bucket, "docs/new.txt", "Brand new")
        third = sync()
        assert third.code == 0
        assert third.json["listed"] == totals(third.json) == 4
        assert (third.json["indexed"], third.json["updated"], third.json["removed"]) == (1, 1, 1)
        assert proxy.counts() == {"LIST": 1, "GET": 2}
        held = records(chroma_server, collection)
        assert set(held) == {"docs/a.md", "docs/c d+%.txt", "docs/new.txt"}
        assert "30 days" in held["docs/a.md"]


def test_removals_of_everything_wait_for_a_person(s3sync, aws_endpoint, bucket, collection):
    place = ["sync", f"s3://{bucket}/other/", "--collection", collection]
    place += ["--endpoint-url", aws_endpoint.url, "--embedding", "hash", "--json"]
    assert s3sync(*place).code == 0
    aws_endpoint.delete(bucket, "other/x.md")
    blocked = s3sync(*place)
    assert blocked.code == 1
    assert blocked.json["blocked_deletes"] == 1
    assert blocked.json["listed"] == totals(blocked.json) == 0  # what is kept is not in the bucket
    assert "--approve-deletes" in blocked.err
    why = s3sync("why", "other/x.md")
    assert "A whole listing did not find the object. Its records stay until a person" in why.out
    [source] = s3sync("source", "list", "--json").json
    assert f"s3sync approve-deletes {source['name']}" in why.out
    assert "objects    1, 1 of them not found by a listing" in s3sync("status").out
    name, number = source["name"], blocked.json["blocked_listing"]
    approve = f"s3sync approve-deletes {name} {number}"
    assert approve in blocked.err
    assert f"removals of listing {number} wait for a person" in s3sync("status").out
    looked = s3sync("approve-deletes", name)
    assert looked.code == 1
    assert f"listing {number} of {name} would remove 1 documents:\n  other/x.md\n" in looked.out
    assert f"Nothing is approved yet. To remove just these: {approve}" in looked.err
    keys = {"listing": number, "documents": 1, "keys": ["other/x.md"]}
    assert s3sync("approve-deletes", name, "--json").json == keys
    assert "approve-deletes" not in s3sync("audit").out  # nothing was approved so far
    other = s3sync("approve-deletes", name, str(number + 1))
    assert other.code == 1
    assert f"those of listing {number} wait, which would remove 1 documents" in other.err
    assert s3sync(*place).json["blocked_deletes"] == 1
    old = s3sync("approve-deletes", name, str(number))  # a newer listing has asked anew
    assert (old.code, f"those of listing {number + 1} wait" in old.err) == (1, True)
    assert "1 documents are removed" in s3sync("approve-deletes", name, str(number + 1)).err
    assert f"name={name} listing_id={number + 1}" in s3sync("audit").out
    aws_endpoint.put(bucket, "other/x.md", b"it is back")
    assert s3sync(*place).code == 0
    aws_endpoint.delete(bucket, "other/x.md")
    approved = s3sync(*place, "--approve-deletes")
    assert (approved.code, approved.json["removed"]) == (0, 1)
    gone = s3sync("why", "other/x.md")
    assert gone.code == 0
    assert f"{source['name']}: gone\n  The object is gone: it was seen last at 20" in gone.out
    assert "No record of it is left." in gone.out
    assert not any(word in gone.out for word in ("Selected.", "bytes", "storage"))
    never = s3sync("why", "other/never.md", "--json")
    assert (never.code, never.json[0]["state"]) == (1, "unknown")
    assert never.json[0]["decision"][0] == "No listing has seen this key."
    assert "Selected." not in never.out


def test_people_read_words_and_programs_read_json(s3sync, aws_endpoint, bucket, collection):
    answer = s3sync(
        "sync", f"s3://{bucket}/docs/", "--collection", collection,
        "--endpoint-url", aws_endpoint.url, "--embedding", "hash",
    )  # fmt: skip
    assert "5 objects listed" in answer.out
    assert "requests: 1 LIST, 4 GET" in answer.out
    assert re.search(
        r"chunks: \d+ written \(\d+ embedded, \d+ with vectors known before\)", answer.out
    )
    assert "docs/broken.pdf" in answer.err
    assert "Traceback" not in answer.err
    hits = s3sync("query", "days of holiday", "--collection", collection, "--json").json
    assert hits[0]["metadata"]["document_key"] == "docs/a.md"
    assert hits[0]["score"] != hits[0]["dense"]
    assert hits[0]["words"] > 0
    indexed = s3sync("chunks", f"s3://{bucket}/docs/a.md")
    assert f"docs/a.md in {collection}, of source " in indexed.out
    assert "-- 0: docs/a.md:1-" in indexed.out
    assert "28 days" in indexed.out
    [chunk] = s3sync("chunks", "docs/a.md", "--json").json
    assert (chunk["collection"], chunk["metadata"]["document_key"]) == (collection, "docs/a.md")
    neither = s3sync("chunks", "docs/nowhere.md")
    assert neither.code == 1
    assert "no source has indexed an object of that key" in neither.err
    absent = s3sync("query", "28 days", "-c", "nope")
    assert (absent.code, f"; there are {collection!r}" in absent.err) == (1, True)
    hits = s3sync("query", "28 days", "-c", collection, "--limit", "1", "--context", "1", "--group")
    assert re.match(
        r"docs/a\.md\n1\. docs/a\.md:1-3.*  \d\.\d{3} \(dense \S+, words \S+\)\n", hits.out
    )
    assert "\n   > " in hits.out
    dense = s3sync("query", "28 days", "-c", collection, "--dense", "--json").json
    assert {(hit["words"], hit["score"] == hit["dense"]) for hit in dense} == {(None, True)}
    words = s3sync("query", "28 days", "-c", collection, "--words", "--json").json
    assert {(hit["dense"], hit["score"] == hit["words"]) for hit in words} == {(None, True)}
    [status] = s3sync("status", "--json").json
    assert (status["objects"], status["indexed"]) == (5, 3)
    told = s3sync("status").out
    assert f"{bucket}/docs/ -> {collection}" in told
    assert "failed     1 (damaged 1)" in told
    assert re.search(r"vector cache: \d+ vectors, .* MB; \d+ of \d+ texts so far were in it", told)
    [failure] = s3sync("failures", "--json").json
    assert failure["key"] == "docs/broken.pdf"
    listed = s3sync("failures").out
    assert "damaged: 1, tried again only when the object" in listed
    assert "    docs/broken.pdf\n      " in listed
    [why] = s3sync("why", "docs/empty.txt", "--json").json
    assert (why["state"], why["reason"]) == ("skipped", "empty_object")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["sync", "not-a-place", "--collection", "docs"], 2, ["not-a-place", "s3://BUCKET"]),
        (["sync", "s3://{bucket}/docs/", "--collection", "x"], 2, ["collection_name"]),
        (["sync", "s3://{bucket}/docs/"], 2, ["--collection"]),
        (
            ["sync", "s3://no-such-bucket/", "--collection", "docs", "--endpoint-url", "{s3}"],
            1,
            ["no-such-bucket", "does not exist"],
        ),
        (
            ["sync", "s3://{bucket}/", "--collection", "docs", "--endpoint-url",
             "http://127.0.0.1:9"],
            1,
            ["http://127.0.0.1:9", "cannot be reached"],
        ),
        (
            ["sync", "s3://{bucket}/", "--collection", "docs", "--endpoint-url", "{s3}",
             "--chroma-url", "http://127.0.0.1:9"],
            1,
            ["http://127.0.0.1:9", "Chroma"],
        ),
        (["query", "words", "-c", "docs", "--chroma-url", "http://["], 2, ["--chroma-url"]),
        (["query", " ", "-c", "docs"], 2, ["the question is blank"]),
        (["query", "words", "-c", "docs", "--where", "[1]"], 2, ["--where"]),
        (["query", "words", "--collection", "nothing-here"], 1, ["nothing-here"]),
        (["source", "show", "nobody"], 1, ["nobody", "source list"]),
        (["source", "create", "bad-name!", "--bucket", "bucket", "--collection", "docs"], 2,
         ["bad-name!"]),
        (["approve-deletes", "nobody"], 1, ["nobody"]),
    ],
)  # fmt: skip
def test_a_mistake_gets_one_clear_sentence(s3sync, aws_endpoint, bucket, arguments, code, words):
    filled = [one.format(bucket=bucket, s3=aws_endpoint.url) for one in arguments]
    answer = s3sync(*filled)
    assert answer.code == code
    for word in words:
        assert word in answer.err
    assert "Traceback" not in answer.err
    assert len([line for line in answer.err.splitlines() if line.startswith("Error")]) == 1
    assert s3sync("source", "list", "--json").json == []


def test_wrong_credentials_are_named_and_not_shown(s3sync, aws_endpoint, bucket, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", "/nonexistent")
    answer = s3sync(
        "sync", f"s3://{bucket}/", "--collection", "docs", "--endpoint-url", aws_endpoint.url
    )
    assert answer.code == 1
    assert "credentials" in answer.err


def test_a_model_that_is_missing_is_told_before_the_bucket_is_asked(
    s3sync, aws_endpoint, bucket, tmp_path
):
    with wire_proxy(aws_endpoint.url) as proxy:
        answer = s3sync(
            "sync", f"s3://{bucket}/", "--collection", "docs", "--endpoint-url", proxy.url,
            "--embedding", "onnx", "--embedding-model", str(tmp_path / "no-model"),
        )  # fmt: skip
        assert answer.code in (1, 2)
        assert str(tmp_path / "no-model") in answer.err
        assert len(answer.err.splitlines()) == 1
        assert proxy.counts() == {}
    assert s3sync("source", "list", "--json").json == []


def test_a_home_that_cannot_be_written_is_named(s3sync, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("S3SYNC_HOME", str(tmp_path / "file"))
    answer = s3sync("status")
    assert answer.code == 2
    assert "S3SYNC_HOME" in answer.err


def test_settings_of_a_source_are_not_changed_by_sync(s3sync, aws_endpoint, bucket, collection):
    place = ["sync", f"s3://{bucket}/other/", "--collection", collection]
    place += ["--endpoint-url", aws_endpoint.url]
    assert s3sync(*place, "--embedding", "hash").code == 0
    answer = s3sync(*place, "--embedding", "minilm")
    assert answer.code == 2
    assert "another collection" in answer.err
    answer = s3sync(*place, "--mode", "append")
    assert answer.code == 2
    assert "source edit" in answer.err
    [source] = s3sync("source", "list", "--json").json
    assert (source["embedding"]["kind"], source["mode"]) == ("hash", "mirror")


def test_a_folder_is_synced_like_a_bucket(s3sync, tmp_path, collection, chroma_server, monkeypatch):
    docs = tmp_path / "work" / "docs"
    (docs / "sub").mkdir(parents=True)
    for name, text in (("a.md", "# Holidays\n\n28 days."), ("sub/b.txt", "more"), ("c.zip", "x")):
        (docs / name).write_text(text)
    (docs / "link.md").symlink_to("/etc/hostname")
    os.utime(docs / "a.md", (1, 1))
    monkeypatch.chdir(docs.parent)

    def sync(*more):
        return s3sync("sync", "./docs", "-c", collection, "--embedding", "hash", *more)

    dry = sync("--dry-run", "--json")
    assert (dry.code, dry.json["indexed"]) == (0, 2), dry
    assert (dry.json["estimated_chunks"], dry.json["estimated_tokens"]) == (2, 7)
    monkeypatch.setenv("S3SYNC_EMBEDDING_PRICES", '{"hash": 20000}')
    told = "to embed: about 2 texts, 24 bytes, 7 tokens, 0.14 at 20000 a million tokens"
    assert told in sync("--dry-run").out
    first = sync("--json")
    assert first.code == 0, first.err
    assert first.json["listed"] == totals(first.json) == 4
    assert first.json["indexed"] == 2
    assert first.json["skipped"] == {"symlink": 1, "unsupported_type": 1}
    assert sorted(records(chroma_server, collection)) == ["a.md", "sub/b.txt"]

    (docs / "sub" / "b.txt").unlink()
    second = sync()
    assert second.code == 0
    assert f"{docs}/ -> {collection}: 3 objects listed" in second.out
    assert list(records(chroma_server, collection)) == ["a.md"]

    docs.rename(docs.with_name("away"))
    lost = sync()
    assert lost.code == 1
    assert "folder_missing" in lost.err or "does not exist" in lost.err
    assert list(records(chroma_server, collection)) == ["a.md"]
    refused = s3sync("sync", "./docs", "-c", collection, "--region", "eu-west-1")
    assert "--region is no setting of folder sources" in refused.err
