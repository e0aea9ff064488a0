"""The gallery: each file ends within its limit with its own reason, and harms no other."""

import time

import pytest

from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster_tests.extraction.bad_files import BAD_FILES, BadFile, good_pdf
from s3sync_dagster_tests.extraction.conftest import Read

MAX_SECONDS = 60
MAX_LONG_SECONDS = 250

LONG = [file for file in BAD_FILES if file.long]
SHORT = [file for file in BAD_FILES if not file.long]


def check(read: Read, file: BadFile, *, seconds: float) -> None:
    content = file.make()
    started = time.monotonic()
    reason, message = None, ""
    try:
        message = read(content, file.name).text
    except S3SyncError as error:
        reason, message = error.reason, error.message
    assert reason in file.reasons
    assert message.strip()
    assert time.monotonic() - started < seconds
    assert "An ordinary page" in read(good_pdf(), "good.pdf").text


@pytest.mark.parametrize("file", SHORT, ids=lambda file: file.name)
def test_bad_file_ends_with_its_reason(read: Read, file: BadFile):
    check(read, file, seconds=MAX_SECONDS)


@pytest.mark.long
@pytest.mark.parametrize("file", LONG, ids=lambda file: file.name)
def test_endless_file_meets_a_limit(read: Read, file: BadFile):
    check(read, file, seconds=MAX_LONG_SECONDS)
