"""Errors of workers: what says something of a file is believed, and nothing else."""

import ast
import json
import time
from pathlib import Path

import pytest

import s3sync_dagster
from s3sync_dagster.engine.ports import WorkLimits
from s3sync_dagster.model import errors
from s3sync_dagster.model.errors import LimitExceeded, MissingEngine, UnreadableFile
from s3sync_dagster.workers import open_pool, refusals
from s3sync_dagster.workers.replies import BrokenReply

ROOM = Path(s3sync_dagster.__file__).parent
CALLERS = {"choice.py", "engines.py", "extract.py", "follow.py", "scans.py", "vision.py"} | {
    *("pool.py", "document.py", "surroundings.py", "inside.py")
}
"""Files whose errors are the caller's own."""


@pytest.mark.parametrize(
    "error",
    [
        UnreadableFile("half a file", reason="damaged"),
        LimitExceeded("too many", reason="too_many_pages"),
        MissingEngine("no such program", reason="missing_program"),
    ],
)
def test_errors_cross_with_what_they_say(error):
    crossed = refusals.load_error(refusals.dump_error(error))
    assert type(crossed) is type(error)
    assert (crossed.message, crossed.reason) == (error.message, error.reason)
    assert vars(crossed).keys() == {"message", "reason"}


@pytest.mark.parametrize(
    "told",
    [
        ["BaseException", "error", "x"],
        ["sys", "error", "x"],
        ["S3SyncError", "deleted", "x"],
        ["LeaseLost", "lease_lost", "x"],
        ["Throttled", "throttled", "x"],
        ["AccessDenied", "access_denied", "x"],
        ["InvalidSetting", "invalid_setting", "x"],
        ["EmptyPlace", "folder_not_mounted", "x"],
        ["RecordRejected", "record_rejected", "x"],
        ["UnreadableFile", "gone", "x"],
        ["UnreadableFile", {}, "x"],
        ["UnreadableFile", ["damaged"], "x"],
        ["UnreadableFile", "damaged", 5],
        ["UnreadableFile", "damaged"],
        ["UnreadableFile", "damaged", "x", {"record_ids": 5}],
        ["UnreadableFile", "a\nb\x1b[31m", "x"],
        [["UnreadableFile"], "damaged", "x"],
        {"UnreadableFile": "damaged"},
        [[[]]] * 3,
    ],
)
def test_no_reply_makes_another_error(told):
    with pytest.raises(BrokenReply):
        refusals.load_error(json.dumps(told).encode())


def test_a_message_is_one_line_of_some_length():
    told = ["UnreadableFile", "damaged", "a\x1b[31mb\nc\u202e" + "d" * 5000]
    reply = json.dumps(told).encode()
    message = refusals.load_error(reply).message
    assert len(message) == refusals.MESSAGE_CHARACTERS
    assert message.startswith("a [31mb c d")
    long = UnreadableFile("\U0001f600" * 5000, reason="damaged")
    reply = refusals.dump_error(long)
    assert len(reply) <= refusals.MAX_BYTES
    assert refusals.load_error(reply).message == "\U0001f600" * refusals.MESSAGE_CHARACTERS


def test_an_endless_error_is_not_read():
    body = json.dumps(["UnreadableFile", "damaged", "m" * 50_000_000]).encode()
    begun = time.thread_time()
    with pytest.raises(BrokenReply):
        refusals.load_error(body)
    assert time.thread_time() - begun < 0.1  # 50 MB take 0.3 s to parse and as long to look at


def test_who_announces_an_endless_error_is_not_waited_for():
    with open_pool(workers=1) as pool:
        for _ in range(2):
            job = "s3sync_dagster_tests.workers.jobs:announce_an_error"
            future = pool.submit(job, 20_000_000, limits=WorkLimits(seconds=500))
            with pytest.raises(LimitExceeded) as caught:
                future.result(60)
            assert caught.value.reason == "worker_crashed"


def test_what_a_worker_may_not_say_is_its_crash():
    with open_pool(workers=1) as pool:
        for name in ("Throttled", "AccessDenied", "EmptyPlace", "RecordRejected", "S3SyncError"):
            job = "s3sync_dagster_tests.workers.jobs:raise_of_ours"
            with pytest.raises(LimitExceeded) as caught:
                pool.submit(job, name, limits=WorkLimits(seconds=30)).result(60)
            assert caught.value.reason == "worker_crashed"
            assert name in caught.value.message


def test_all_that_readers_say_is_believed():
    raised = set()
    for room in ("extraction", "chunking", "workers"):
        for file in sorted((ROOM / room).rglob("*.py")):
            if file.name in CALLERS:
                continue
            for node in ast.walk(ast.parse(file.read_text())):
                name = getattr(node.func, "id", None) if isinstance(node, ast.Call) else None
                kind = getattr(errors, name, None) if isinstance(name, str) else None
                if isinstance(kind, type):
                    assert isinstance(node, ast.Call)
                    given = [one.value for one in node.keywords if one.arg == "reason"]
                    reason = ast.literal_eval(given[0]) if given else kind.reason
                    raised.add((kind, reason))
    believed = {(kind, one) for kind, some in refusals.BELIEVED.items() for one in some}
    assert raised <= believed
    assert {one for one in believed - raised if one[1] != one[0].reason} == set()
