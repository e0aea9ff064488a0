"""``s3sync token`` and ``s3sync credential``: secrets go in once or out once, never again."""

import json
import os

from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.settings import load_settings
from s3sync_dagster.wiring import open_parts


def test_a_token_is_shown_once_works_and_can_be_ended(s3sync, home):
    made = s3sync("token", "create", "--tenant", "red", "--role", "owner", "--name", "laptop")
    assert made.code == 0
    secret = made.out.strip().splitlines()[-1]
    assert secret not in made.err
    catalog = open_catalog(load_settings(os.environ).database_url)
    found = catalog.tokens.find(secret)
    assert found is not None
    assert (found.tenant, found.role) == ("red", "owner")
    listed = s3sync("token", "list")
    assert "laptop" in listed.out
    assert secret not in listed.out + s3sync("token", "list", "--json").out
    assert s3sync("token", "revoke", str(found.id)).code == 0
    assert catalog.tokens.find(secret) is None
    [row] = s3sync("token", "list", "--json").json
    assert row["revoked_at"] is not None
    catalog.close()


def test_mistakes_with_tokens(s3sync):
    assert s3sync("token", "create", "--tenant", "", "--role", "owner").code == 2
    assert s3sync("token", "create", "--tenant", "red", "--role", "king").code == 2
    groups = ["--group", "sales", "--group", "support"]
    assert s3sync("token", "create", "--tenant", "red", "--role", "owner", *groups).code == 2
    member = ["token", "create", "--tenant", "red", "--role", "member"]
    for impossible in ("", "*", "a\nb"):
        assert s3sync(*member, "--group", impossible).code == 2
    assert s3sync(*member, *groups).code == 0
    [row] = s3sync("token", "list", "--json").json
    assert row["groups"] == ["sales", "support"]
    missing = s3sync("token", "revoke", "77")
    assert missing.code == 1
    assert "token list" in missing.err


def test_a_credential_is_kept_encrypted_and_used_by_a_source(
    s3sync, aws_endpoint, monkeypatch, home
):
    bucket = aws_endpoint.make_bucket()
    monkeypatch.setenv("TEAM_KEY", "AKIATEAMTEAMTEAMWXYZ")
    monkeypatch.setenv("TEAM_SECRET", "canary/secret")
    pair = ["--access-key-id-env", "TEAM_KEY", "--secret-access-key-env", "TEAM_SECRET"]
    made = s3sync("credential", "create", *pair)
    number = made.out.strip()
    assert number.isdigit()
    assert "of tenant default_tenant, from TEAM_KEY and TEAM_SECRET" in made.err
    assert s3sync("credential", "create", *pair).out.strip() == number  # the same pair, its number
    source = ["source", "create", "red", "--bucket", bucket, "--collection", "red-docs"]
    assert s3sync(*source, "--endpoint-url", aws_endpoint.url, "--credential", number).code == 0
    [listed] = s3sync("credential", "list", "--json").json
    assert listed["sources"] == ["red"]
    assert listed["hint"] == "AKIA...WXYZ"
    refused = s3sync("credential", "delete", number)
    assert (refused.code, "'red'" in refused.err) == (1, True)

    before = (home / "encryption.key").read_text()
    assert s3sync("credential", "rotate").code == 0
    assert (home / "encryption.key").read_text() != before
    (home / "encryption.key.old").unlink()
    parts = open_parts(load_settings(os.environ))
    assert parts.resolve_credential(int(number)) == ("AKIATEAMTEAMTEAMWXYZ", "canary/secret", None)
    parts.close()
    assert b"canary" not in b"".join(p.read_bytes() for p in home.glob("catalog.db*"))
    assert "canary" not in json.dumps(s3sync("source", "show", "red", "--json").json)


def test_a_credential_that_is_not_there(s3sync, monkeypatch):
    answer = s3sync("credential", "create", "--access-key-id-env", "NOBODY_HAS_SET_THIS")
    assert answer.code == 2
    assert "NOBODY_HAS_SET_THIS" in answer.err
    source = ["source", "create", "red", "--bucket", "bucket", "--no-check"]
    source += ["--collection", "red-docs"]
    assert s3sync(*source, "--credential", "9").code == 1
    assert s3sync("source", "list", "--json").json == []
