"""The commands on a catalog in Postgres, and one that cannot be reached."""

import time

from sqlalchemy import make_url

from s3sync_dagster_tests.conftest_catalog import fresh_postgres_database


def test_a_team_keeps_its_catalog_in_postgres(s3sync, aws_endpoint, postgres_url, monkeypatch):
    bucket = aws_endpoint.make_bucket()
    keys = ["docs/a.md", "docs/üben +%.md", "docs/日本.txt"]
    aws_endpoint.put_all(bucket, {key: f"# {key}\n\nThe text of {key}." for key in keys})
    url = fresh_postgres_database(postgres_url)
    monkeypatch.setenv("S3SYNC_DATABASE_URL", url)
    sync = ["sync", f"s3://{bucket}/docs/", "--collection", bucket, "--json"]
    sync += ["--endpoint-url", aws_endpoint.url, "--embedding", "hash"]
    first = s3sync(*sync)
    assert (first.code, first.json["indexed"]) == (0, 3), first.err
    again = s3sync(*sync)
    assert (again.json["unchanged"], again.json["requests"]["GET"]) == (3, 0)
    aws_endpoint.delete(bucket, keys[0])
    third = s3sync(*sync)
    assert (third.code, third.json["removed"], third.json["listed"]) == (0, 1, 2)
    hits = s3sync("query", "日本", "--hybrid", "-c", bucket, "--json").json
    assert hits[0]["metadata"]["document_key"] == "docs/日本.txt"
    assert "docs/日本.txt:1-3" in s3sync("query", "日本", "-c", bucket).out
    [why] = s3sync("why", keys[1], "--json").json
    assert why["state"] == "indexed"
    assert s3sync("doctor").code == 0


def test_a_database_that_is_not_there_is_told_from_a_server_that_does_not_answer(
    s3sync, postgres_url, monkeypatch
):
    there = make_url(postgres_url)
    for url, told in (
        (there.set(database="nobody_made_it"), "has no such database: make it (createdb)"),
        (there.set(username="nobody"), "refuses this user or its password"),
    ):
        monkeypatch.setenv("S3SYNC_DATABASE_URL", url.render_as_string(hide_password=False))
        answer = s3sync("status")
        assert (answer.code, told in answer.err) == (1, True), answer.err
        assert "start its database" not in answer.err


def test_a_catalog_that_cannot_be_reached_is_told_in_time_and_without_its_password(
    s3sync, monkeypatch
):
    url = "postgresql+psycopg2://team:canary-password@127.0.0.1:9/s3sync"
    monkeypatch.setenv("S3SYNC_DATABASE_URL", url)
    began = time.monotonic()
    answer = s3sync("status")
    assert time.monotonic() - began < 30
    assert answer.code == 1
    assert "127.0.0.1" in answer.err
    assert "canary" not in answer.err + answer.out
    assert "Traceback" not in answer.err
    doctor = s3sync("doctor")
    assert doctor.code == 1
    assert "canary" not in doctor.err + doctor.out
