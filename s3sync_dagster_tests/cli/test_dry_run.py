"""``s3sync sync --dry-run`` tells what the sync after it does, and does nothing itself."""

import pytest

from s3sync_dagster_tests.wire_proxy import wire_proxy


@pytest.fixture
def bucket(aws_endpoint) -> str:
    name = aws_endpoint.make_bucket()
    objects = {f"docs/{number:02}.md": f"# {number}\n\nText {number}." for number in range(20)}
    aws_endpoint.put_all(name, {**objects, "docs/empty.md": "", "docs/film.mp4": "film"})
    return name


@pytest.fixture
def dry_and_real(s3sync, aws_endpoint, bucket):
    """Run both and hold them against each other."""
    with wire_proxy(aws_endpoint.url) as proxy:
        command = ["sync", f"s3://{bucket}/docs/", "--collection", bucket, "--json"]
        command += ["--endpoint-url", proxy.url, "--embedding", "hash"]

        def run(*more: str):
            sources = s3sync("source", "list", "--json").json
            proxy.reset()
            dry = s3sync(*command, *more, "--dry-run")
            assert dry.code == 0, dry.err
            assert proxy.counts() == {"LIST": 1}
            assert s3sync("source", "list", "--json").json == sources
            told = dry.json
            parts = ("indexed", "updated", "retried", "unchanged")
            total = sum(told[part] for part in parts)
            total += sum(told["skipped"].values()) + sum(told["failed"].values())
            assert total == told["listed"]
            real = s3sync(*command, *more).json
            for part in ("listed", "indexed", "updated", "unchanged", "skipped"):
                assert told[part] == real[part], part
            if told["needs_approval"]:
                assert real["blocked_deletes"] == told["removed"]
            else:
                assert real["removed"] == told["removed"]
            return told

        yield run


def test_what_is_told_is_what_happens(dry_and_real, aws_endpoint, bucket):
    first = dry_and_real()
    assert (first["indexed"], first["updated"], first["removed"]) == (20, 0, 0)
    assert sum(first["skipped"].values()) == 2
    assert first["bytes"] > 0
    assert first["estimated_chunks"] == 20
    nothing = dry_and_real()
    assert (nothing["unchanged"], nothing["bytes"]) == (20, 0)
    aws_endpoint.put(bucket, "docs/03.md", "# changed")
    aws_endpoint.put(bucket, "docs/new.md", "# new")
    aws_endpoint.delete(bucket, "docs/04.md")
    some = dry_and_real()
    assert (some["indexed"], some["updated"], some["removed"]) == (1, 1, 1)
    for number in range(20):
        aws_endpoint.delete(bucket, f"docs/{number:02}.md")
    aws_endpoint.delete(bucket, "docs/new.md")
    everything = dry_and_real()
    assert (everything["removed"], everything["needs_approval"]) == (20, True)


def test_what_failed_by_its_bytes_rests_until_they_change(s3sync, aws_endpoint, bucket):
    aws_endpoint.put(bucket, "docs/03.md.meta.json", "no json")
    aws_endpoint.put(bucket, "docs/broken.pdf", "%PDF-1.7 not really")
    command = ["sync", f"s3://{bucket}/docs/", "--collection", bucket, "--json"]
    command += ["--endpoint-url", aws_endpoint.url, "--embedding", "hash"]
    failed = s3sync(*command).json["failed"]
    assert sum(failed.values()) == 2
    assert s3sync(*command, "--dry-run").json["failed"] == failed
    aws_endpoint.put(bucket, "docs/broken.pdf", "%PDF-1.7 not really either")
    again = s3sync(*command, "--dry-run").json
    assert (sum(again["failed"].values()), again["indexed"] + again["updated"]) == (1, 1)


def test_the_other_modes(dry_and_real, aws_endpoint, bucket):
    dry_and_real("--mode", "append")
    aws_endpoint.put(bucket, "docs/03.md", "# changed")
    aws_endpoint.delete(bucket, "docs/04.md")
    told = dry_and_real("--mode", "append")
    assert told["skipped"]["changed_in_append_mode"] == 1
    assert (told["updated"], told["removed"]) == (0, 0)


def test_people_read_sentences_and_mistakes_are_told(s3sync, aws_endpoint, bucket):
    place = ["sync", f"s3://{bucket}/docs/", "--collection", bucket, "--dry-run"]
    told = s3sync(*place, "--endpoint-url", aws_endpoint.url)
    assert "22 objects listed" in told.out
    assert "new        20" in told.out
    assert "Nothing was changed." in told.err
    missing = s3sync(
        "sync", "s3://no-such-bucket/", "--collection", bucket, "--dry-run",
        "--endpoint-url", aws_endpoint.url,
    )  # fmt: skip
    assert missing.code == 1
    assert "no-such-bucket" in missing.err
    assert s3sync("source", "list", "--json").json == []


def test_what_a_sync_refuses_is_refused_before(s3sync, aws_endpoint, bucket):
    rest = ["--collection", bucket, "--endpoint-url", aws_endpoint.url]
    made = ["--bucket", bucket, "--prefix", "docs/", *rest, "--no-check"]
    assert s3sync("source", "create", "docs", *made).code == 0
    real = s3sync("sync", f"s3://{bucket}/docs", *rest)
    dry = s3sync("sync", f"s3://{bucket}/docs", *rest, "--dry-run")
    assert (dry.code, dry.out, dry.err) == (real.code, "", real.err)
    assert f"overlap the source 'docs': did you mean 's3://{bucket}/docs/'?" in dry.err
    other = s3sync("sync", f"s3://{bucket}/docs/deep/", *rest, "--dry-run").err
    assert "overlap the source 'docs': use another collection" in other
