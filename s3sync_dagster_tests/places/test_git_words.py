"""What git says that a server refused, whatever the server itself says beside it."""

import pytest

from s3sync_dagster.places.git_program import GitProgram, Remote

UNPACK = "fatal: early EOF\nfatal: fetch-pack: invalid index-pack output"


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (f"remote: fatal: Out of memory, malloc failed\n{UNPACK}", "git_failed"),
        (f"remote: object not found in the cache\n{UNPACK}", "git_failed"),
        (f"remote: Permission denied by the weather\n{UNPACK}", "git_failed"),
        ("fatal: Out of memory, malloc failed", "repository_too_large"),
        (
            "remote: Repository not found.\nfatal: repository 'https://h.example/r/' not found",
            "repository_not_found",
        ),
        (
            "remote: Access denied\nfatal: Authentication failed for 'https://h.example/r/'",
            "git_access_denied",
        ),
        ("fatal: remote error: upload-pack: not our ref 1234", "git_ref_not_found"),
    ],
)
def test_words_of_the_server_do_not_decide_what_a_refusal_means(tmp_path, told, reason):
    remote = Remote(
        url="https://h.example/r",
        handed="https://h.example/r",
        protocols=frozenset({"https"}),
        resolve_env=lambda _: None,
    )
    assert GitProgram(tmp_path, remote)._refusal("fetch", 128, told).reason == reason
