"""Replies of workers are data: whatever a taken-over worker sends calls nothing in the caller."""

import gc
import importlib
import json
import pickle
import re
import struct
import subprocess
import sys
import time
import tracemalloc
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import s3sync_dagster
from s3sync_dagster.chunking.outline import Path as Around
from s3sync_dagster.chunking.outline import Piece
from s3sync_dagster.engine.ports import WorkLimits
from s3sync_dagster.extraction.steps import Attachment, Mail, PdfPages
from s3sync_dagster.model.document import Chunk, Document, Page
from s3sync_dagster.model.errors import LimitExceeded
from s3sync_dagster.workers import open_pool, replies

ROOM = Path(s3sync_dagster.__file__).parent


def framed(tree: object, blobs: bytes = b"") -> bytes:
    text = json.dumps(tree).encode()
    return struct.pack(">Q", len(text)) + text + blobs


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters())
    | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.integers(0, 2**31 - 1), inner)
        | st.frozensets(st.text() | st.integers(0, 2**31 - 1))
    ),
    max_leaves=20,
)


@given(plain)
def test_plain_values_cross(value):
    assert replies.load_value(replies.dump_value(value)) == value


@pytest.mark.parametrize(
    "value",
    [
        Document(text="half \ud800", format="text", pages=(Page(start=0, label="S1"),)),
        Document(text="long \ud800 ö," * 1000, format="text", title="[{," * 1000),
        Mail(
            headers=(("a", "b"),),
            html=b"<p>",
            attachments=(Attachment(name="n", content=b"\0\xff"), Attachment(name="", content=b"")),
        ),
        PdfPages(texts=("a",), scans=(1,), continued=frozenset({3, 4}), engine="e"),
        [Piece(0, 4, (("symbol", "f"),), (0, 1)), Piece(4, 8)],
    ],
)
def test_values_of_ours_cross_whole(value):
    crossed = replies.load_value(replies.dump_value(value))
    assert crossed == value
    assert type(crossed) is type(value)


def test_what_is_neither_plain_nor_listed_does_not_cross():
    chunk = Chunk(
        index=0,
        text="x",
        start_line=1,
        end_line=1,
        start_col=1,
        end_col=1,
        start_byte=0,
        end_byte=1,
        strategy="lines",
    )
    for value in (chunk, Path("x"), [object()], 1j, replies.BrokenReply):
        with pytest.raises(TypeError):
            replies.dump_value(value)


class Command:
    """What a pickled reply could do."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return (subprocess.Popen, (["touch", str(self.marker)],))


ATTACKS = [
    framed({"subprocess.Popen": [["true"]]}),
    framed({"s3sync_dagster.workers.pool.subprocess.Popen": [["true"]]}),
    framed({"LocalPool": [1, None]}),
    framed({"__class__": []}),
    framed({"Document": []}),
    framed({"Document": ["x"] * 30}),
    framed({"Piece": [0, 1, {"tuple": []}, "header"]}),
    framed({"Piece": [0, 1, {"tuple": [5]}, None]}),
    framed({"Piece": [0, 1, {"tuple": [{"tuple": ["other", "name"]}]}, None]}),
    framed({"Piece": [0, 2**31, {"tuple": []}, None]}),
    framed({"Piece": [True, 1, {"tuple": []}, None]}),
    framed({"Page": [-1, "label"]}),
    framed({"Page": [0, 1]}),
    framed({"Picture": ["name", None, ["text"], {"bytes": 0}]}),
    framed({"Mail": [{"tuple": []}, None, None, None, "", "", {"tuple": []}, "e", {"tuple": []}]}),
    framed({"str": 2}, b"x"),
    framed({"str": True}, b"x"),
    framed({"str": 2}, b"\xff\xff"),
    framed({"Piece": {"start": 1}}),
    framed({"bytes": 1}),
    framed({"bytes": -1}, b"x"),
    framed({"bytes": 1e300}, b"x"),
    framed({"tuple": 5}),
    framed({"tuple": [], "list": []}),
    framed({"dict": [[{"dict": []}, 1]]}),
    framed({"dict": [[2**61 - 1, 1]]}),
    framed({"set": [1, 2**31]}),
    framed({"frozenset": [-1]}),
    framed({"set": [0.5]}),
    framed([[]])[:-1],
    b"\xff" * 9,
    b"",
    struct.pack(">Q", 200_000) + b"[" * 200_000,
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_reply_makes_anything_else(attack):
    with pytest.raises(replies.BrokenReply):
        replies.load_value(attack)


def test_a_worker_that_was_taken_over_runs_nothing_in_its_caller(tmp_path):
    marker = tmp_path / "was here"
    body = pickle.dumps(Command(marker))
    dotted = (  # what a pickle's own names allow: a class that a module of ours has imported
        b"\x80\x04\x8c\x1bs3sync_dagster.workers.pool\x8c\x10subprocess.Popen\x93"
        b"]\x8c\x05touch\x94a\x8c" + bytes([len(str(marker))]) + str(marker).encode() + b"a\x85R."
    )
    job = "s3sync_dagster_tests.workers.jobs:reply_with"
    with open_pool(workers=1) as pool:
        for reply in (body, dotted, *ATTACKS):
            with pytest.raises(LimitExceeded) as caught:
                pool.submit(job, reply, limits=WorkLimits(seconds=30)).result(60)
            assert caught.value.reason == "worker_crashed"
    assert not marker.exists()


@pytest.mark.parametrize("unit", [b"[],", b'{"tuple":[0]},', b'"ab",', b"[[[0]]],"])
def test_a_reply_makes_no_more_than_so_many_values(monkeypatch, unit):
    monkeypatch.setattr(replies, "MOST_VALUES", 3000)

    def reply(count: int) -> bytes:
        body = b"[" + unit * count + b"0]"
        return struct.pack(">Q", len(body)) + body

    assert len(replies.load_value(reply(100))) == 101
    with pytest.raises(replies.BrokenReply):
        replies.load_value(reply(3001))


@pytest.mark.parametrize("tag", ["set", "frozenset", "dict"])
def test_a_reply_makes_few_sets_and_dictionaries(monkeypatch, tag):
    monkeypatch.setattr(replies, "MOST_TABLES", 10)
    assert len(replies.load_value(framed([{tag: []}] * 10))) == 10
    with pytest.raises(replies.BrokenReply):
        replies.load_value(framed([{tag: []}] * 11))


def test_what_is_refused_for_its_marks_is_not_made():
    body = b"[" + b"[]," * 5_000_000 + b"0]"  # 15 MB, which would be 700 MB
    tracemalloc.start()
    try:
        with pytest.raises(replies.BrokenReply):
            replies.load_value(struct.pack(">Q", len(body)) + body)
        assert tracemalloc.get_traced_memory()[1] < 3 * len(body)
    finally:
        tracemalloc.stop()


def test_large_answers_of_honest_readers_cross():
    names: Around = tuple(("symbol", f"name {level}") for level in range(5))
    pieces = [Piece(16 * n, 16 * n + 16, names[: n % 5]) for n in range(30_000)]
    text = "{[,\n" * 3_000_000  # nine million marks, all of them text
    sheets = tuple(Page(start=n, label=f"Sheet{n}") for n in range(2000))
    for value in (
        pieces,
        Document(text=text, format="markdown", pages=sheets),
        PdfPages(texts=tuple(f"{n}, " * 500 for n in range(1000)), scans=(), engine="e"),
    ):
        assert replies.load_value(replies.dump_value(value)) == value


def classes_of(hint: object) -> Iterator[type]:
    """Yield the classes of ours in a type, and in their fields' types."""
    if isinstance(hint, type) and hint.__module__.startswith("s3sync_dagster"):
        yield hint
        for inner in typing.get_type_hints(hint).values():
            yield from classes_of(inner)
    for inner in typing.get_args(hint):
        yield from classes_of(inner)


def test_the_list_has_all_that_functions_in_workers_return_and_nothing_else():
    found: set[type] = set()
    for file in ROOM.rglob("*.py"):
        if file.name == "place_types.py":
            continue  # names what opens places, not what workers call
        text = file.read_text()
        names = re.findall(r'"(s3sync_dagster\.[\w.]+:\w+)"', text)
        names += [
            f"s3sync_dagster.extraction.{name}"
            for name in re.findall(r'_ROOM \+ "([\w.]+:\w+)"', text)
        ]
        for name in [*names, "s3sync_dagster.chunking.parsing:cut_source"]:
            module, _, function = name.partition(":")
            hints = typing.get_type_hints(getattr(importlib.import_module(module), function))
            found.update(classes_of(hints["return"]))
    assert {kind.__name__: kind.__module__ for kind in found} == replies.CLASSES


def test_nothing_of_a_reply_stays_when_it_is_opened():
    """A view that a function still names would keep it until a collection."""
    reply = replies.dump_value({"text": "words", "blob": b"bytes"})
    before = sys.getrefcount(reply)
    gc.disable()
    try:
        assert replies.load_value(reply) == {"text": "words", "blob": b"bytes"}
        assert sys.getrefcount(reply) == before
    finally:
        gc.enable()


@pytest.mark.parametrize("tag", ["set", "dict"])
def test_keys_that_stand_at_one_place_of_a_table_cost_nothing(tag):
    """All multiples of 2**61 - 1 have one hash: each is compared with all before it."""
    keys = [number * (2**61 - 1) for number in range(60_000)]
    attack = framed({tag: [[key, 0] for key in keys] if tag == "dict" else keys})
    started = time.thread_time()
    with pytest.raises(replies.BrokenReply):
        replies.load_value(attack)
    assert time.thread_time() - started < 3
