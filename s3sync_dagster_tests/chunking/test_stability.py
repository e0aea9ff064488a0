"""An edit in the middle changes the chunks it touches and not all that follow."""

import random
import statistics

import pytest

from s3sync_dagster_tests.chunking.invariants import chunks_of

WORDS = ["the", "of", "shelf", "book", "long", "short", "page", "reader", "night", "flower", "ship"]
rng = random.Random(7)


def sentence():
    return " ".join(rng.choices(WORDS, k=rng.randint(5, 20))).capitalize() + ". "


DOCUMENTS = {
    # name: (kind, text, inserted line)
    "csv": ("csv", "id,name\n" + "".join(f"{i:06},name{i:06}\n" for i in range(3000)), "x,y\n"),
    "log": (
        "log",
        "".join(f"2025-01-31 10:00:00 INFO request {i:06}\n" for i in range(3000)),
        "2025-01-31 10:00:00 INFO inserted\n",
    ),
    "lines": ("text", "".join(f"line {i:06} of many\n" for i in range(4000)), "inserted\n"),
    "prose": (
        "text",
        "".join(sentence() + sentence() + sentence() + "\n\n" for _ in range(400)),
        "An inserted sentence.\n",
    ),
    "json lines": ("jsonl", "".join(f'{{"id": {i:06}}}\n' for i in range(4000)), '{"id": 1}\n'),
    "json": (
        "json",
        "[\n" + "".join(f'  {{"id": {i:06}, "b": [1, 2]}},\n' for i in range(2000)) + "  {}\n]\n",
        '  {"id": 1},\n',
    ),
    "table": (
        "markdown",
        "# T\n\n|a|b|\n|-|-|\n" + "".join(f"|{i:05}|some text|\n" for i in range(3000)),
        "|x|inserted|\n",
    ),
    "list": ("markdown", "".join(f"- item {i:05} of many\n" for i in range(3000)), "- inserted\n"),
    "python": (
        "python",
        "".join(f"def f{i:05}(x):\n    return x + {i}\n\n\n" for i in range(1500)),
        "y = 1\n",
    ),
    "constants": ("python", "".join(f"X{i:05} = call({i})\n" for i in range(3000)), "Y = 1\n"),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_an_inserted_line_changes_one_or_two_chunks(name):
    kind, text, line = DOCUMENTS[name]
    before = {chunk.text for chunk in chunks_of(kind, text, 1024)}
    changed = []
    for share in (0.02, 0.1, 0.25, 0.4, 0.5, 0.63, 0.77, 0.9):
        place = text.find("\n", int(len(text) * share)) + 1
        after = chunks_of(kind, text[:place] + line + text[place:], 1024)
        changed.append(sum(chunk.text not in before for chunk in after))
    assert statistics.median(changed) <= 2, changed
    assert max(changed) <= len(before) // 4, changed


def test_the_same_document_gives_the_same_chunks():
    for kind, text, _ in DOCUMENTS.values():
        assert chunks_of(kind, text, 512) == chunks_of(kind, text, 512)


@pytest.mark.parametrize("name", ["csv", "table"])
def test_chunks_that_repeat_a_header_are_well_filled(name):
    kind, text, _ = DOCUMENTS[name]
    chunks = chunks_of(kind, text, 1024)
    assert statistics.mean(len(chunk.text) for chunk in chunks) > 0.85 * 1024
