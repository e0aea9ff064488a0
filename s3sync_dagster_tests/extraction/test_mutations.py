"""Files with cut ends, flipped bytes, missing and doubled parts: a document or a reason."""

import random
import re
from pathlib import Path

import pytest

from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster_tests.extraction import corpus, raw_pdf
from s3sync_dagster_tests.extraction.conftest import Read

FILES = corpus.ALL | {
    "pages.pdf": lambda: raw_pdf.pages_pdf([raw_pdf.text_content("one", "two")] * 3),
}
LIGHT = {"ocr": False, "engines": corpus.LIGHT}
DOCS = Path(__file__).parents[2] / "docs" / "formats.md"
NOT_AN_ANSWER = {"worker_crashed", "timeout", "out_of_memory", "worker_server_died"}


def mutate(content: bytes, chance: random.Random) -> bytes:
    body = bytearray(content)
    kind = chance.choice(("cut", "flip", "flip", "remove", "double"))
    if kind == "cut":
        return bytes(body[: chance.randrange(1, len(body))])
    if kind == "flip":
        for _ in range(chance.choice((1, 5, 50))):
            body[chance.randrange(len(body))] = chance.randrange(256)
        return bytes(body)
    first = chance.randrange(len(body))
    last = min(len(body), first + chance.randrange(1, 2000))
    if kind == "remove":
        return bytes(body[:first] + body[last:])
    return bytes(body[:last] + body[first:])


def documented_reasons() -> set[str]:
    return set(re.findall(r"`([a-z_]+)`", DOCS.read_text()))


@pytest.mark.parametrize("name", FILES)
def test_mutated_file_gives_a_document_or_a_documented_reason(read: Read, name: str):
    chance = random.Random(name)
    reasons: set[str] = set()
    for _ in range(8):
        try:
            assert read(mutate(FILES[name](), chance), name, **LIGHT).text
        except S3SyncError as error:
            reasons.add(error.reason)
    assert reasons <= documented_reasons() - NOT_AN_ANSWER
