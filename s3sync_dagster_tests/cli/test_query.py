"""``s3sync query``: what stands around a hit, where else its text stands, a damaged index."""

import pytest

from s3sync_dagster.ports import word_file
from s3sync_dagster_tests.cli.conftest import synced

LONG = "".join(f"## Part {n}\n\n{f'Filler number {n} of this part. ' * 30}\n\n" for n in range(6))
FILES = {
    "docs/long.md": f"# Long\n\n{LONG}## Ferry\n\nThe ferry leaves at dawn.\n",
    "docs/one.txt": "The lighthouse keeper counts the ships.",
    "docs/two.txt": "The lighthouse  keeper counts the ships.\n",
}


@pytest.fixture
def collection(s3sync, aws_endpoint) -> str:
    return synced(s3sync, aws_endpoint, FILES)


def test_hits_name_their_copies_their_neighbours_and_their_document(s3sync, collection, home):
    told = s3sync("query", "lighthouse keeper", "-c", collection, "-n", "1").out.splitlines()
    first, other = ("one", "two") if "docs/one.txt" in told[0] else ("two", "one")
    assert told[0].startswith(f"1. docs/{first}.txt:1-1  ")
    assert told[1] == f"   the same text: docs/{other}.txt:1-1"
    [hit] = s3sync("query", "lighthouse keeper", "-c", collection, "-n", "1", "--json").json
    assert [one["metadata"]["document_key"] for one in hit["copies"]] == [f"docs/{other}.txt"]

    unquoted = s3sync("query", "lighthouse", "keeper", "-c", collection, "-n", "1", "--json").json
    assert unquoted == [hit]

    long = " ".join(f"w{n}" for n in range(70))
    for ranking, said in (("--words", True), ("--hybrid", True), ("--dense", False)):
        asked = s3sync("query", long, "-c", collection, ranking)
        assert ("70 words: by words, the first 64 were looked up" in asked.err) == said
    assert "64" not in s3sync("query", "ferry", "-c", collection).err

    [ferry] = s3sync(
        "query",
        "when does the ferry leave",
        "-c",
        collection,
        "-n",
        "1",
        "--context",
        "1",
        "--json",
    ).json
    assert "leaves at dawn" in ferry["document"]
    assert ferry["before"][-1]["id"].rsplit("-", 1)[0] == ferry["id"].rsplit("-", 1)[0]
    assert "Filler" in ferry["before"][-1]["document"]
    grouped = s3sync("query", "filler ferry ships", "-c", collection, "-n", "6", "--group").out
    documents = [line for line in grouped.splitlines() if line.startswith("docs/")]
    assert sorted(documents) == sorted(set(documents))
    assert "docs/long.md" in documents

    [index] = (home / "words").glob("*.db")
    content = index.read_bytes()
    index.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    for suffix in ("-wal", "-shm"):
        index.with_name(index.name + suffix).unlink(missing_ok=True)
    again = s3sync("query", "lighthouse keeper", "-c", collection, "--words", "-n", "1")
    assert (again.code, again.err) == (0, "")
    assert "lighthouse" in again.out


def test_an_index_of_another_layout_is_another_file(s3sync, collection, home, monkeypatch):
    with monkeypatch.context() as before:
        before.setattr(word_file, "LAYOUT", word_file.LAYOUT - 1)
        s3sync("query", "lighthouse", "-c", collection, "--words")
        [old] = (home / "words").glob("*.db")
    assert "lighthouse" in s3sync("query", "lighthouse", "-c", collection, "--words").out
    [new] = (home / "words").glob("*.db")
    assert new != old


def test_who_asks_before_anything_is_synced_is_told_what_to_do_first(s3sync):
    asked = s3sync("query", "ferry", "-c", "docs")
    assert asked.code != 0
    assert "`s3sync sync PLACE --collection NAME` makes one" in asked.err


def test_a_filter_by_a_key_that_nothing_has_says_so(s3sync, collection):
    ask = ("query", "lighthouse", "-c", collection, "--where")
    for condition in ('{"langauge": "markdown"}', '{"$and": [{"langauge": "x"}, {"page": 1}]}'):
        told = s3sync(*ask, condition)
        assert told.code == 0
        assert "--where asks for langauge" in told.err
        assert "language" in told.err.partition("they have ")[2]
    assert s3sync(*ask, '{"document_key": "nobody.md"}').err == "No hits.\n"


def test_what_is_no_question_no_filter_and_no_collection_is_refused_in_a_sentence(
    s3sync, collection
):
    for opened, closed in (('{"a":', "}"), ('{"$and":[', "]}")):
        deep = s3sync(
            "query", "x", "-c", collection, "--where", opened * 2000 + "1" + closed * 2000
        )
        assert (deep.code, deep.out) == (2, "")
        assert "at most 16 levels" in deep.err
    long = s3sync("query", "x", "-c", collection, "--where", '{"a": ' + "9" * 5000 + "}")
    assert (long.code, long.out) == (2, "")
    assert "--where has a number that is too long" in long.err
    assert "NUL" in s3sync("query", "a\0b", "-c", collection).err
    for name in ("", " ", "..", "a/b"):
        asked = s3sync("query", "x", "-c", name)
        assert asked.code == 1
        assert f"there is no collection {name!r}" in asked.err
        assert repr(collection) in asked.err
