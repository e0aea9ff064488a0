"""``evaluate --try``: what it foretells is what comes, and nothing is touched before it does."""

import contextlib
import json
import re
import shlex
import signal
import sqlite3
import uuid

import numpy as np
import pytest

from s3sync_dagster.embedding.hashing import HashModel
from s3sync_dagster.engine.batch import room
from s3sync_dagster_tests.cli.test_interruptions import Process
from s3sync_dagster_tests.opened import stock_client
from s3sync_dagster_tests.scripted_http import scripted_server

PAIRS = ("copper kettle", "velvet anchor", "marble lantern", "cedar whistle", "amber saddle")
FILLER = "and then some more is told of things that nobody here ever has to look for again"
LONG = (
    "Whoever leaves last turns the heating down, shuts both windows of the hall and takes the key "
    "of the cellar to the porter, who signs for it in the blue book beside the door every night, "
    "and whoever comes first in the morning does the same the other way round, but for Sundays."
)


def corpus() -> dict[str, str]:
    """A manual with five answers in one chunk; texts with one word of each question besides."""
    told = [f"The {pair} stands here, {FILLER}." for pair in PAIRS]
    files = {"team/manual.txt": "\n\n".join(told) + "\n", "team/rules.txt": LONG + "\n"}
    for pair in PAIRS:
        for number in range(6):
            word = pair.split()[number % 2]
            files[f"other/{word}-{number}.txt"] = f"A {word}, number {number}: {FILLER}.\n"
    return files


def questions(path, *more: dict[str, str]) -> str:
    rows = [
        {"question": pair, "key": "manual.txt", "excerpt": f"The {pair} stands"} for pair in PAIRS
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in (*rows, *more)))
    return str(path)


@pytest.fixture
def filled(s3sync, aws_endpoint):
    """A collection with the corpus; its name and its bucket."""
    bucket, collection = aws_endpoint.make_bucket(), f"c-{uuid.uuid4().hex[:12]}"
    aws_endpoint.put_all(bucket, corpus())
    done = s3sync(
        "sync", f"s3://{bucket}/", "--collection", collection,
        "--endpoint-url", aws_endpoint.url, "--embedding", "hash",
    )  # fmt: skip
    assert done.code == 0, done.err
    return collection, bucket


def records(url, collection):
    host, port = url.removeprefix("http://").split(":")
    got = stock_client(host=host, port=int(port)).get_collection(collection)
    found = got.get(include=["metadatas", "documents", "embeddings"])
    order = np.argsort(found["ids"])
    return [
        (
            found["ids"][n],
            found["documents"][n],
            found["metadatas"][n],
            list(found["embeddings"][n]),
        )
        for n in order
    ]


def everything(home, url, collection, endpoint, bucket):
    """What must not change: catalog and vector cache row by row, records, objects."""
    told = []
    for name in ("catalog.db", "cache/vectors.db"):
        with contextlib.closing(sqlite3.connect(home / name)) as database:
            told.append(list(database.iterdump()))
    listed = endpoint.s3.list_objects_v2(Bucket=bucket)["Contents"]
    objects = [(one["Key"], one["ETag"], one["LastModified"]) for one in listed]
    collections = stock_client(
        host=url.removeprefix("http://").split(":")[0], port=int(url.rsplit(":", 1)[1])
    ).list_collections()
    return told, records(url, collection), objects, sorted(one.name for one in collections)


def test_what_a_trial_foretells_comes_true_and_nothing_changes_before(
    s3sync, filled, home, chroma_server, aws_endpoint, tmp_path
):
    collection, bucket = filled
    asked = questions(tmp_path / "q.jsonl", {"question": "heating of the hall", "excerpt": LONG})
    evaluated = ("evaluate", collection, "--questions", asked)
    now = s3sync(*evaluated, "--json").json
    world = (home, chroma_server, collection, aws_endpoint, bucket)
    before = everything(*world)

    answer = s3sync(*evaluated, "--try", "max-chunk-bytes=130", "--json")

    assert answer.code == 0, answer.err
    assert everything(*world) == before
    trial = answer.json
    whole = {"objects": 32, "answering": 2, "by_hash": 32, "of": 32, "kept_records": 0}
    assert trial["sample"] == whole
    assert trial["today"]["rankings"] == now["rankings"]
    assert [one["today"] for one in trial["ranks"]] == [_ranks(one) for one in now["ranks"]]
    assert trial["today"]["records_in_all"] == len(before[1])
    won, lost = trial["ranks"][:5], trial["ranks"][5]
    assert all(one["today"]["dense"] > 5 and one["tried"]["dense"] == 1 for one in won)
    assert (lost["today"]["dense"], lost["tried"]["dense"]) == (1, None)
    mean, error = trial["differences"]["dense"]["recall_at_k"].values()
    assert mean == pytest.approx((5 - 1) / 6)
    assert error == pytest.approx(np.std([1, 1, 1, 1, 1, -1], ddof=1) / 6**0.5)

    assert not trial["new_collection"]
    for command in trial["commands"][0].split(" && "):
        done = s3sync(*shlex.split(command)[1:])
        assert done.code == 0, done.err
    after = s3sync(*evaluated, "--json").json
    assert after["rankings"] == trial["tried"]["rankings"]
    assert [_ranks(one) for one in after["ranks"]] == [one["tried"] for one in trial["ranks"]]
    written = records(chroma_server, collection)
    assert trial["tried"]["records_in_all"] == len(written)
    known = {text for _, text, _, _ in before[1]}
    assert trial["to_embed_in_all"] == sum(text not in known for _, text, _, _ in written)


def _ranks(one):
    return {name: one[name] for name in ("dense", "words", "hybrid")}


def test_a_sample_says_what_it_is_and_its_costs_are_those_of_its_texts(
    s3sync, aws_endpoint, tmp_path
):
    bucket, collection = aws_endpoint.make_bucket(), f"c-{uuid.uuid4().hex[:12]}"
    paragraph = "\n".join(f"{{name}} {part}: {FILLER}." for part in range(12))
    names = [f"n{number:02}" for number in range(30)]
    aws_endpoint.put_all(bucket, {f"{one}.txt": paragraph.format(name=one) for one in names})
    s3sync(
        "sync", f"s3://{bucket}/", "--collection", collection,
        "--endpoint-url", aws_endpoint.url, "--embedding", "hash",
    )  # fmt: skip
    path = tmp_path / "q.jsonl"
    path.write_text(
        '{"question": "n03 5", "key": "n03.txt"}\n{"question": "else", "key": "gone.txt"}\n'
    )
    arguments = (
        "evaluate", collection, "--questions", str(path), "--sample", "4",
        "--try", "chunking=lines", "--try", "max-chunk-lines=1",
    )  # fmt: skip
    told = s3sync(*arguments)
    assert told.code == 0, told.err
    words = " ".join(told.out.split())
    assert re.search(r"1 question asked of [45] of 30 objects: 1 that answer, 4 by hash", words)
    assert "1 not asked" in words
    assert "easier to find than in the whole collection" in words
    assert re.search(r"reading [45] objects", told.err)
    assert "tried: embedding, 0 of " in told.err
    assert "tried: asking " in told.err
    trial = s3sync(*arguments, "--json").json
    read = trial["sample"]["objects"]
    assert trial["tried"]["records"] == 12 * read
    assert trial["tried"]["texts"] == 12 * read
    assert trial["tried"]["records_in_all"] == 12 * 30
    assert trial["tried"]["vector_bytes_in_all"] == 12 * 30 * HashModel().dimension * 4
    assert trial["tried"]["cpu_seconds"] > 0
    assert trial["tried"]["cpu_seconds_in_all"] == pytest.approx(
        trial["tried"]["cpu_seconds"] * 30 / read
    )
    size = len(paragraph.format(name="n03"))
    assert trial["tried"]["chunks_a_megabyte"] == pytest.approx(12e6 / size)
    assert trial["differences"]["dense"]["mrr"]["error"] is None
    again = s3sync(*arguments, "--json").json
    assert again["ranks"] == trial["ranks"]
    assert again["sample"] == trial["sample"]


def test_another_model_is_a_new_collection(s3sync, filled, tmp_path):
    collection, _ = filled
    asked = questions(tmp_path / "q.jsonl")
    arguments = ("evaluate", collection, "--questions", asked, "--json")
    trial = s3sync(*arguments, "--try", "embedding=static").json
    assert trial["new_collection"]
    assert trial["tried"]["vector_bytes_in_all"] == trial["tried"]["records_in_all"] * 256 * 4
    assert trial["to_embed_in_all"] == trial["tried"]["records_in_all"]
    (command,) = trial["commands"]
    assert re.fullmatch(r"s3sync reindex \w+ --embedding=static --into NEW", command)
    both = s3sync(*arguments, "--try", "embedding=static", "--try", "chunk-context").json
    assert both["commands"][0].startswith("s3sync source create NEW --collection NEW --place s3://")
    assert "--embedding=static --chunk-context" in both["commands"][0]


def test_an_endpoint_is_asked_only_where_a_person_agrees(
    s3sync, filled, tmp_path, monkeypatch, chroma_server
):
    collection, _ = filled
    asked = questions(tmp_path / "q.jsonl")
    monkeypatch.setenv("KEY", "secret")
    texts = {text for _, text, _, _ in records(chroma_server, collection)}
    model = HashModel()

    def vectors(body):
        inputs = json.loads(body)["input"]
        rows = [
            {"index": n, "embedding": one.tolist()} for n, one in enumerate(model.infer(inputs))
        ]
        return 200, json.dumps({"data": rows}), {"content-type": "application/json"}

    with scripted_server() as server:
        server.decide = vectors
        arguments = (
            "evaluate", collection, "--questions", asked, "--json", "--try", "embedding=openai",
            "--try", "embedding-model=m", "--try", f"embedding-url={server.url}/v1",
            "--try", "embedding-key-env=KEY", "--try", "max-chunk-bytes=1024",
        )  # fmt: skip
        refused = s3sync(*arguments)
        assert refused.code == 1
        assert f"Up to {len(texts)} texts" in refused.err
        assert "5 questions" in refused.err
        assert "--yes" in refused.err
        assert not server.asked

        trial = s3sync(*arguments, "--yes").json
        sent = [text for *_, body in server.asked for text in json.loads(body)["input"]]
        queries = [one for one in sent if one in PAIRS]
        assert sorted(one for one in sent if one not in PAIRS) == sorted(texts)
        assert trial["tried"]["texts"] == len(texts)
        assert trial["tried"]["cpu_seconds"] is None
        assert trial["tried"]["rankings"] == trial["today"]["rankings"]

        server.asked.clear()
        assert s3sync(*arguments, "--yes").json["tried"]["texts"] == 0  # paid for once
        again = [text for *_, body in server.asked for text in json.loads(body)["input"]]
        assert sorted(one for one in again if one in PAIRS) == sorted(queries)
        assert set(again) <= {*PAIRS, "dimension"}  # the word that tells the length of a vector


def test_pictures_go_to_no_endpoint_before_a_person_agrees(s3sync, filled, tmp_path):
    asked = questions(tmp_path / "q.jsonl")
    with scripted_server() as server:
        told = s3sync(
            "evaluate", filled[0], "--questions", asked,
            "--try", f"vision-url={server.url}/v1", "--try", "vision-model=m",
        )  # fmt: skip
        assert told.code == 1
        assert "Pictures in up to 32 objects" in told.err
        assert "--yes" in told.err
        assert "reading" not in told.err
        assert not server.asked


def test_what_cannot_be_read_is_counted_and_its_questions_are_left_out(
    s3sync, filled, aws_endpoint, tmp_path
):
    collection, bucket = filled
    rules = {"question": "heating", "key": "team/rules.txt"}
    asked = questions(tmp_path / "q.jsonl", rules)
    aws_endpoint.delete(bucket, "team/rules.txt")
    aws_endpoint.put(bucket, "other/copper-0.txt", b"")
    trial = s3sync(
        "evaluate", collection, "--questions", asked, "--json", "--try", "max-chunk-bytes=200"
    ).json
    assert (trial["questions"], trial["left_out"]) == (5, 1)
    assert trial["tried"]["without_text"]["object_gone"] == 1
    assert sum(trial["tried"]["without_text"].values()) == 2
    none = tmp_path / "none.jsonl"
    none.write_text(json.dumps(rules))
    told = s3sync("evaluate", collection, "--questions", str(none), "--try", "no-ocr")
    assert told.code == 1
    assert "1 gave no text (object_gone): 'team/rules.txt' is not there any more" in told.err


REFUSED = [
    (("--try", "max-chunk-byte=300"), "max-chunk-byte"),
    (("--try", "max-chunk-bytes=12"), "64"),
    (("--try", "max-chunk-bytes", "--try", "chunk-context"), "requires an argument"),
    (("--try", "sparse-model=Chroma/BM25"), "sparse-model"),
    (("--try", "embedding-model=m"), "--embedding"),
    (("--try", "chunking=tree_sitter"), "no record would be another one"),
    (("--try", "mode=append"), "mode"),
    (("--sample", "3"), "--try"),
    (("--yes",), "--try"),
    (("--try", "chunk-context", "--make", "3"), "--make"),
    (("--try", "chunk-context", "--embedding", "hash"), "embedding=KIND"),
]


def test_what_cannot_be_tried_is_refused(s3sync, filled, tmp_path):
    asked = questions(tmp_path / "q.jsonl")
    for more, said in REFUSED:
        told = s3sync("evaluate", filled[0], "--questions", asked, *more)
        assert (told.code, said in told.err) == (2, True), (more, told.err)


def test_a_sample_that_needs_more_memory_than_there_is_for_it_ends_the_trial(
    s3sync, filled, tmp_path, monkeypatch
):
    asked = questions(tmp_path / "q.jsonl")
    for most in (500, 80_000):  # its texts alone have more, or its records
        monkeypatch.setattr(room, "MOST_BYTES", most)
        told = s3sync("evaluate", filled[0], "--questions", asked, "--try", "chunk-context")
        assert (told.code, "fewer objects" in told.err) == (1, True), told.err


def test_a_collection_that_no_source_fills_has_nothing_to_read(s3sync, tmp_path):
    asked = questions(tmp_path / "q.jsonl")
    told = s3sync("evaluate", "unknown", "--questions", asked, "--try", "chunk-context")
    assert (told.code, "No source here" in told.err) == (1, True)


def test_an_interrupted_trial_leaves_nothing(
    environment, s3sync, aws_endpoint, tmp_path, monkeypatch
):
    bucket, collection = aws_endpoint.make_bucket(), f"c-{uuid.uuid4().hex[:12]}"
    text = "\n\n".join(f"{part}: {FILLER}." for part in range(400))
    aws_endpoint.put_all(bucket, {f"{number}.txt": f"{number}\n{text}" for number in range(20)})
    s3sync(
        "sync", f"s3://{bucket}/", "--collection", collection,
        "--endpoint-url", aws_endpoint.url, "--embedding", "hash",
    )  # fmt: skip
    path = tmp_path / "q.jsonl"
    row = '{"question": "more is told of things", "key": "3.txt"}\n'
    path.write_text(row * 2000)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    process = Process(
        "evaluate", collection, "--questions", str(path), "--try", "max-chunk-bytes=200",
        log=tmp_path / "log",
    )  # fmt: skip
    process.wait_for(lambda: list(temporary.glob("s3sync-trial-*/today/words.db")) != [])
    process.popen.send_signal(signal.SIGINT)
    code, out = process.end()
    assert (code, out) == (130, "")
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("tried", [("",), ("--",), ("max-chunk-bytes=512", "max-chunk-bytes=256")])
def test_a_try_without_a_setting_or_with_two_values_of_one_is_refused(s3sync, tmp_path, tried):
    asked = questions(tmp_path / "q.jsonl", {"question": "heating", "excerpt": "heating"})
    options = [word for one in tried for word in ("--try", one)]
    refused = s3sync("evaluate", "any", "--questions", asked, *options)
    assert (refused.code, f"--try {tried[-1]!r}" in refused.err) == (2, True), refused.err


def test_of_a_source_that_appends_what_it_keeps_is_foretold_as_it_is(
    s3sync, aws_endpoint, chroma_server, tmp_path
):
    """A reindex leaves it alone; a rebuild writes what its objects have still, and nothing else."""
    bucket, collection = aws_endpoint.make_bucket(), f"c-{uuid.uuid4().hex[:12]}"
    aws_endpoint.put_all(bucket, {**corpus(), "team/gone.txt": LONG, "team/new.txt": LONG[::-1]})
    s3sync(
        "sync", f"s3://{bucket}/", "--collection", collection, "--mode", "append",
        "--endpoint-url", aws_endpoint.url, "--embedding", "hash",
    )  # fmt: skip
    aws_endpoint.put_all(bucket, {"team/new.txt": f"{FILLER}.\n\n" * 40})
    aws_endpoint.s3.delete_object(Bucket=bucket, Key="team/gone.txt")
    asked = questions(tmp_path / "q.jsonl")
    trial = s3sync(
        "evaluate", collection, "--questions", asked, "--try", "max-chunk-bytes=130", "--json"
    ).json
    for side in ("today", "tried"):
        assert trial[side]["without_text"] == {"changed_in_append_mode": 1, "object_gone": 1}
    assert trial["today"]["records_in_all"] == len(records(chroma_server, collection)) == 34
    assert trial["tried"]["records_in_all"] > 34
    kept = trial["sample"]["kept_records"]
    assert kept == 34 - trial["today"]["records"] > 0
    tried = ("--try", "max-chunk-bytes=130")
    said = " ".join(s3sync("evaluate", collection, "--questions", asked, *tried).out.split())
    assert f"{kept} records of objects that are gone or have other bytes by now stay as" in said

    [command] = trial["commands"]
    for one in command.split(" && "):
        done = s3sync(*shlex.split(one)[1:])
        assert done.code == 0, done.err
    assert len(records(chroma_server, collection)) == trial["tried"]["records_in_all"]
    after = s3sync("evaluate", collection, "--questions", asked, "--json").json
    assert [_ranks(one) for one in after["ranks"]] == [one["tried"] for one in trial["ranks"]]


def test_the_commands_name_each_source_of_the_collection_in_the_sample_or_not(
    s3sync, filled, aws_endpoint, tmp_path
):
    collection, _ = filled
    for name in ("beside", "empty"):
        other = aws_endpoint.make_bucket()
        if name == "beside":
            aws_endpoint.put_all(other, {"x.txt": FILLER})
        done = s3sync(
            "source", "create", name, "--bucket", other, "--collection", collection,
            "--endpoint-url", aws_endpoint.url, "--embedding", "hash",
        )  # fmt: skip
        assert done.code == 0, done.err
        place = ("sync", f"s3://{other}/", "--collection", collection)
        done = s3sync(*place, "--endpoint-url", aws_endpoint.url)
        assert done.code == 0, done.err
    asked = questions(tmp_path / "q.jsonl")
    evaluated = ("evaluate", collection, "--questions", asked, "--sample", "1", "--json")
    trial = s3sync(*evaluated, "--try", "max-chunk-bytes=130").json
    assert trial["sample"]["objects"] <= 2
    edited = [command.split()[3] for command in trial["commands"]]
    assert len(edited) == 3
    assert {"beside", "empty"} < set(edited)
    model = s3sync(*evaluated, "--try", "embedding=static").json
    assert len(model["commands"]) == 3
