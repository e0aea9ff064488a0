"""``s3sync audit``: what commands changed, and by whom."""

import os
import pwd
import signal
import subprocess
import sys
import time
from unittest.mock import Mock

import click
import pytest

from s3sync_dagster.cli import commands
from s3sync_dagster.cli.noting import CHANGES, noted

SHOWS = """
    source list/source show/up/demo/query/evaluate/mcp/status/objects/failures/why/doctor
    chunks/extract/credential list/audit/token list
"""


def names_of(group, before=""):
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from names_of(command, f"{before}{name} ")
        else:
            yield f"{before}{name}"


def test_each_command_changes_something_or_shows_something():
    [top] = {one for one in vars(commands).values() if isinstance(one, click.Group)}
    shows = {one.strip() for one in SHOWS.replace("\n", "/").split("/")} - {""}
    assert set(names_of(top)) == shows | CHANGES
    assert not shows & CHANGES


def test_commands_say_what_they_changed_and_who_did_whatever_the_environment_says(
    s3sync, tmp_path, monkeypatch
):
    monkeypatch.setenv("LOGNAME", "alice")
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "a.md").write_text("# A\n\ntext")
    assert s3sync("sync", str(folder), "--collection", "docs").code == 0
    assert s3sync("verify", "docs").code == 0  # looks
    assert s3sync("sync", str(folder), "--collection", "docs", "--dry-run").code == 0
    assert s3sync("verify", "docs", "--fix").code == 0
    assert s3sync("sync", "https://ann:secret@127.0.0.1:9/?key=secret", "-c", "docs").code != 0
    found = s3sync("audit", "--json").json
    told = [(one["action"], one["subject"]) for one in reversed(found)]
    assert told[:2] == [("sync", f"collection=docs place={folder}"), ("verify", "collection=docs")]
    assert {one["who"] for one in found} == {f"os user {pwd.getpwuid(os.getuid()).pw_name}"}
    assert "secret" not in str(found)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://127.0.0.1:9/x%3Ftoken=secret", "https://127.0.0.1:9/x"),
        ("HTTPS://127.0.0.1:9/x;token=secret", "HTTPS://127.0.0.1:9/x"),
        ("https://127.0.0.1:9/x%3ftoken=sec\nret", "https://127.0.0.1:9/x"),
        ("s3://AKIA:secret/G@bucket/p", "s3://***@bucket/p"),
        ("https://ann:sec?r#e@t@127.0.0.1:9/x", "https://***@127.0.0.1:9/x"),
        ("https://secret@127.0.0.1/x", "https://***@127.0.0.1/x"),
        ("ann:secret@127.0.0.1:r.git", "***@127.0.0.1:r.git"),
        ("ann:secret/r@127.0.0.1:r.git", "***@127.0.0.1:r.git"),
        ("https:/ann:secret@127.0.0.1", "***@127.0.0.1"),
        ("simplecache::https://ann:secret@h/x?key=secret", "***@h/x"),
        ("git@127.0.0.1:ann/r.git", "***@127.0.0.1:ann/r.git"),
        ("https://127.0.0.1:9/@ann/x", "https://***@ann/x"),
        ("https://example.org/@ann/x", "https://example.org/@ann/x"),
        ("s3://bucket/of a@b/x", "s3://bucket/of a@b/x"),
        ("/texts/a@b;c?d#e%3F", "/texts/a@b;c?d#e%3F"),
    ],
)
def test_of_a_place_no_secret_is_kept(given, kept):
    top = click.Context(click.Group(), info_name="s3sync")
    command = click.Context(click.Command("sync"), parent=top, info_name="sync")
    command.params = {"place": given}
    catalog = Mock()
    with command, noted(catalog):
        [[begun]] = [one.args for one in catalog.audit.begin.call_args_list]
    assert begun.subject == f"place={kept}"
    assert "secret" not in str(catalog.mock_calls)


def test_commands_that_change_something_are_in_the_log(s3sync):
    assert s3sync("token", "create", "--tenant", "acme", "--role", "member").code == 0
    secret = s3sync("token", "create", "--tenant", "acme", "--role", "owner").out.strip()
    assert s3sync("token", "revoke", "77").code == 1
    assert s3sync("token", "list").code == 0
    found = s3sync("audit", "--json").json
    told = [(one["action"], one["subject"], one["outcome"]) for one in reversed(found)]
    assert told == [
        ("token create", "tenant=acme role=member", "done"),
        ("token create", "tenant=acme role=owner", "done"),
        ("token revoke", "token_id=77", "token_not_found"),
    ]
    assert {one["who"] for one in found} == {f"os user {pwd.getpwuid(os.getuid()).pw_name}"}
    assert secret not in str(found)
    lines = s3sync("audit").out.splitlines()
    assert len(lines) == 4
    assert "token revoke" in lines[1]
    assert s3sync("audit", "--tenant", "acme", "--json").json == []
    revoked = s3sync("audit", "--what", "revoke", "--since", "2020-01-01", "--json").json
    assert [one["action"] for one in revoked] == ["token revoke"]
    assert s3sync("audit", "--who", "nobody", "--json").json == []
    assert s3sync("audit", "--until", "2020-01-01", "--json").json == []
    assert len(s3sync("audit", "--before", str(found[0]["number"]), "--json").json) == 2


KILLED = (
    "import os, signal, sys\n"
    "from s3sync_dagster.catalog.tokens import Tokens\n"
    "Tokens.revoke = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)\n"
    "from s3sync_dagster.cli import main\n"
    "sys.argv = ['s3sync', 'token', 'revoke', '7']\n"
    "main()\n"
)


def test_a_command_that_was_killed_is_in_the_log(s3sync):
    killed = subprocess.run([sys.executable, "-c", KILLED], timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL
    [one] = s3sync("audit", "--json").json
    told = (one["action"], one["subject"], one["outcome"])
    assert told == ("token revoke", "token_id=7", "begun")
    assert s3sync("token", "revoke", "7").code == 1
    ended, killed = s3sync("audit", "--json").json
    assert (ended["outcome"], killed["outcome"]) == ("token_not_found", "begun")
    assert killed["at"] <= ended["at"] <= time.time()
