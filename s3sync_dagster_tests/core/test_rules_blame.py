"""Blame needs proof: what a service refuses of everybody removes nothing and is tried again."""

import copy
import re

import pytest

from s3sync_dagster.core.records import sha256_hex
from s3sync_dagster.core.suspects import TRIES_ALONE
from s3sync_dagster.model.errors import (
    InvalidSetting,
    LimitExceeded,
    RecordRejected,
    UnreadableFile,
)
from s3sync_dagster.ports.memory_chroma import MemoryCollection
from s3sync_dagster_tests.core.rules import Refusing, refuse_with, sidecar, states
from s3sync_dagster_tests.engine_fixture import text_extractor

DAY = 86_400


def refusing(world, refuses):
    """Return collections that refuse those texts; a probe's is ``probe``."""
    return Refusing(
        world,
        upsert=refuse_with(
            RecordRejected("Chroma refused a record"),
            lambda records: any(refuses(one.document) for one in records),
        ),
        probe=refuse_with(
            InvalidSetting("HTTP 422", reason="chroma_refused"), lambda _like: refuses("probe")
        ),
    )


class Unpaid:
    """A model whose endpoint answers 400 to everything while ``on``."""

    def __init__(self, embedder):
        self._embedder, self.on = embedder, True

    def __getattr__(self, name):
        return getattr(self._embedder, name)

    def embed_documents(self, texts):
        if self.on:
            raise LimitExceeded("the endpoint refuses the text", reason="text_refused")
        return self._embedder.embed_documents(texts)


def change_all(world, names):
    for name in names:
        world.bucket.put(name, f"new {name}")


@pytest.fixture
def filled(world):
    names = [f"{n}.txt" for n in range(6)]
    for name in names:
        world.bucket.put(name, f"text {name}")
    world.sync()
    change_all(world, names)
    return names


def test_a_collection_that_refuses_everything_loses_no_record_and_heals_by_itself(world, filled):
    before = world.texts()
    collections = refusing(world, lambda _document: True)
    world.listing()
    world.run_batches(collections=collections)
    assert world.texts() == before
    assert set(states(world).values()) == {("failed", "collection_refuses")}
    collections.on = False
    world.clock.seconds += DAY
    world.listing()
    world.run_batches(collections=collections)
    assert set(world.texts().values()) == {f"new {name}" for name in filled}


def test_a_record_that_is_refused_beside_one_that_is_taken_is_to_blame(world, filled):
    collections = refusing(world, lambda document: document == "new 3.txt")
    world.listing()
    world.run_batches(collections=collections)
    assert states(world)["3.txt"] == ("failed", "record_rejected")
    assert set(world.texts().values()) == {f"new {name}" for name in filled} - {"new 3.txt"}


def test_the_probe_leaves_nothing_behind(world):
    world.bucket.put("a.txt", "bad")
    world.listing()
    world.run_batches(collections=refusing(world, lambda document: document == "bad"))
    assert states(world)["a.txt"] == ("failed", "record_rejected")
    assert world.texts() == {}


def test_a_model_that_refuses_everything_loses_no_record_and_heals_by_itself(world, filled):
    before = world.texts()
    unpaid = Unpaid(world.embedder)
    world.listing()
    world.run_batches(embedder=unpaid)
    assert world.texts() == before
    assert set(states(world).values()) == {("failed", "model_refuses")}
    unpaid.on = False
    world.clock.seconds += DAY
    world.listing()
    world.run_batches(embedder=unpaid)
    assert set(world.texts().values()) == {f"new {name}" for name in filled}


TOO_MUCH = {
    "bytes": lambda text: len(text.encode()) > 150,
    "words": lambda text: len(text.split()) > 30,
    "numbers": lambda text: len(re.findall(r"[\d.,]", text)) > 60,
}
"""How a service finds texts too large that it took before: a body, a context, dense tokens."""
WORDS = "word 12.5,3 " * 20


class SmallContext(Unpaid):
    """A model whose endpoint answers 400 to what is too large for it, and to bad words."""

    def __init__(self, embedder, too_much):
        super().__init__(embedder)
        self._too_much = too_much

    def embed_documents(self, texts):
        if self.on and any(self._too_much(text) or "EVIL" in text for text in texts):
            raise LimitExceeded("the endpoint refuses the text", reason="text_refused")
        return self._embedder.embed_documents(texts)


@pytest.fixture
def filled_with_long_texts(world):
    names = [f"{n}.txt" for n in range(6)]
    for name in names:
        world.bucket.put(name, f"text {name}")
    world.sync()
    for name in names[1:]:
        world.bucket.put(name, f"new {name} {WORDS}")
    world.bucket.put(names[0], "new and short")
    return names


def assert_kept_and_healed(world, before, reason, heal, **parts):
    """All long documents keep their records; what is short is written; later all is."""
    world.listing()
    world.run_batches(**parts)
    found = states(world)
    assert found.pop("0.txt") == ("indexed", None)
    assert set(found.values()) == {("failed", reason)}
    assert len(world.texts()) == len(before)
    assert {text for text in before.values() if "0.txt" not in text} < set(world.texts().values())
    heal.on = False
    world.clock.seconds += DAY
    world.listing()
    world.run_batches(**parts)
    assert {state for state, _ in states(world).values()} == {"indexed"}
    assert all("new" in text for text in world.texts().values())


@pytest.mark.parametrize("measure", TOO_MUCH)
def test_a_model_that_takes_less_than_before_loses_no_record(
    world, filled_with_long_texts, measure
):
    small = SmallContext(world.embedder, TOO_MUCH[measure])
    assert_kept_and_healed(world, world.texts(), "model_refuses", small, embedder=small)


@pytest.mark.parametrize("measure", TOO_MUCH)
def test_a_collection_that_takes_less_than_before_loses_no_record(
    world, filled_with_long_texts, measure
):
    small = Refusing(
        world,
        upsert=refuse_with(
            RecordRejected("Chroma refused a record"),
            lambda records: any(TOO_MUCH[measure](one.document) for one in records),
        ),
    )
    assert_kept_and_healed(world, world.texts(), "collection_refuses", small, collections=small)


def test_a_collection_that_takes_fewer_keys_than_before_loses_no_record(world, filled):
    before = world.texts()
    few_keys = Refusing(
        world,
        upsert=refuse_with(
            RecordRejected("a quota of keys"),
            lambda records: any(len(one.metadata) > 8 for one in records),
        ),
    )
    world.listing()
    world.run_batches(collections=few_keys)
    assert world.texts() == before
    assert set(states(world).values()) == {("failed", "collection_refuses")}
    few_keys.on = False
    world.clock.seconds += DAY
    world.listing()
    world.run_batches(collections=few_keys)
    assert set(world.texts().values()) == {f"new {name}" for name in filled}


class SmallUpdates(MemoryCollection):
    """A collection whose gateway takes updates of 1,000 bytes."""

    def update_metadata(self, ids, metadatas):
        if len(repr(metadatas)) > 1_000:
            raise LimitExceeded("HTTP 413", reason="request_too_large")
        super().update_metadata(ids, metadatas)


def test_updates_that_are_too_large_now_blame_no_bytes(world):
    """Same text, more metadata: only those are written, and only the small ones are taken."""
    world.bucket.put("a.txt", "text")
    world.sync()
    before = world.texts()
    world.configure(metadata={"note": "x" * 1_000}, on_config_change="reindex")
    collection = world.collections.open(
        world.source.collection_name,
        tenant=world.source.tenant,
        database=world.source.database_name,
        embedder=world.embedder,
    )
    collection.__class__ = SmallUpdates
    world.listing()
    world.run_batches()
    assert (states(world)["a.txt"], world.texts()) == (("failed", "collection_refuses"), before)


@pytest.mark.parametrize("service", ["model", "collection"])
def test_a_long_text_is_to_blame_where_a_neutral_one_of_its_size_is_taken(world, service):
    for name in ("a.txt", "b.txt"):
        world.bucket.put(name, f"old {name}")
    world.sync()
    world.bucket.put("a.txt", f"EVIL {WORDS}")
    world.bucket.put("b.txt", f"good {WORDS}")
    world.listing()
    if service == "model":
        world.run_batches(embedder=SmallContext(world.embedder, lambda text: len(text) > 250))
    else:
        world.run_batches(collections=refusing(world, lambda document: "EVIL" in document))
    assert [state for state, _ in states(world).values()] == ["failed", "indexed"]
    assert states(world)["a.txt"][1] in ("text_refused", "record_rejected")
    assert [text[:4] for text in world.texts().values()] == ["good"]


@pytest.mark.parametrize("service", ["model", "collection"])
def test_one_refusal_of_a_service_that_answers_right_after_it_blames_no_bytes(world, service):
    world.bucket.put("a.txt", "old")
    world.sync()
    world.bucket.put("a.txt", "new")
    texts = []

    def refuses(document):
        texts.append(document)
        return texts == ["new"]  # the first time only; the probe after it is taken

    class Hiccup(Unpaid):
        def embed_documents(self, texts):
            self.on = refuses(texts[0])
            return super().embed_documents(texts)

    world.listing()
    if service == "model":
        world.run_batches(embedder=Hiccup(world.embedder))
    else:
        world.run_batches(collections=refusing(world, refuses))
    assert set(world.texts().values()) == {"new"}
    assert states(world)["a.txt"] == ("indexed", None)


@pytest.mark.parametrize("deaths", [1, TRIES_ALONE, TRIES_ALONE + 1])
@pytest.mark.parametrize("reason", ["worker_crashed", "timeout"])
def test_bytes_are_blamed_when_their_worker_died_three_times_two_of_them_alone(
    world, reason, deaths
):
    world.bucket.put("a.txt", "old")
    world.sync()
    world.bucket.put("a.txt", "new")
    met = []

    def dies(content, **options):
        met.append(content)
        if len(met) <= deaths:
            raise LimitExceeded("the worker is gone", reason=reason)
        return text_extractor(content, **options)

    world.listing()
    world.run_batches(extractor=dies)
    if deaths <= TRIES_ALONE:
        assert set(world.texts().values()) == {"new"}
    else:
        assert (states(world)["a.txt"], world.texts()) == (("failed", reason), {})
    assert len(met) == min(deaths, TRIES_ALONE) + 1


def test_damaged_bytes_are_blamed_at_once(world):
    world.bucket.put("a.txt", "old")
    world.sync()
    world.bucket.put("a.txt", "new")
    met = []

    def damaged(content, **_options):
        met.append(content)
        raise UnreadableFile("damaged", reason="damaged")

    world.listing()
    world.run_batches(extractor=damaged)
    assert (len(met), world.texts()) == (1, {})


def test_what_a_sidecar_caused_ends_when_the_sidecar_is_mended(world):
    many = {f"k{n}": n for n in range(10)}
    world.configure(metadata={f"s{n}": n for n in range(10)})
    world.bucket.put("a.txt", "text")
    world.bucket.put("a.txt.meta.json", sidecar("a.txt", metadata=many))
    world.sync()
    assert states(world)["a.txt"] == ("failed", "record_rejected")
    world.bucket.put("a.txt", "changed at the same time")
    world.bucket.put("a.txt.meta.json", sidecar("a.txt", metadata={"k": 1}))
    world.sync()
    assert states(world)["a.txt"] == ("indexed", None)
    assert set(world.texts().values()) == {"changed at the same time"}


class TestAfterTheFirstProbe:
    """What was proven of one document is not proven of the others."""

    def test_a_model_that_fails_after_one_bad_text_blames_no_other(self, world, filled):
        asked = []

        class Failing(Unpaid):
            def embed_documents(self, texts):
                asked.append(list(texts))
                if len(asked) == 1 or len(asked) > 3:
                    raise LimitExceeded("refused", reason="text_refused")
                return self._embedder.embed_documents(texts)

        world.listing()
        world.run_batches(embedder=Failing(world.embedder))
        found = [state for state in states(world).values() if state == ("failed", "text_refused")]
        assert len(found) <= 1
        assert len(world.texts()) >= len(filled) - 1

    def test_metadata_that_one_record_may_not_have_fail_that_one_alone(self, world):
        for name in ("a.txt", "b.txt"):
            world.bucket.put(name, f"text {name}")
        world.sync()
        world.configure(metadata={"team": "x"}, on_config_change="reindex")

        record = f"{sha256_hex('a.txt')}-0"
        no_a = refuse_with(RecordRejected("no"), lambda ids: record in ids)
        world.listing()
        world.run_batches(collections=Refusing(world, update_metadata=no_a))
        assert states(world) == {
            "a.txt": ("failed", "record_rejected"),
            "b.txt": ("indexed", None),
        }


def test_updates_that_are_refused_of_everybody_remove_nothing(world, filled):
    """Same texts under new etags: only metadata are to be written, and nobody takes them."""
    no_updates = Refusing(world, update_metadata=refuse_with(RecordRejected("no nulls here")))
    world.sync()
    before = world.texts()
    for name in filled:
        world.bucket.put(name, f"new {name}\n\n")
    world.listing()
    world.run_batches(collections=no_updates)
    assert world.texts() == before
    assert set(states(world).values()) == {("failed", "collection_refuses")}
    no_updates.on = False
    world.clock.seconds += DAY
    world.listing()
    world.run_batches(collections=no_updates)
    assert set(states(world).values()) == {("indexed", None)}


class TooSmall:
    """Collections behind a gateway that finds each request of one kind too large."""

    def __init__(self, world, call):
        self._world, self._call = world, call

    def open(self, name, **options):
        if self._call == "open":
            raise LimitExceeded("HTTP 413", reason="request_too_large")
        port = copy.copy(self._world.collections.open(name, **options))
        setattr(port, self._call, self._refuse)
        return port

    def _refuse(self, *_arguments, **_options):
        raise LimitExceeded("HTTP 413", reason="request_too_large")


@pytest.mark.parametrize("call", ["open", "get", "delete"])
def test_a_call_that_holds_no_text_blames_none(world, call):
    world.bucket.put("a.txt", "one\n\ntwo\n\nthree")
    world.sync()
    world.bucket.put("a.txt", "one\n\ntwo")
    world.bucket.put("b.txt", "new")
    world.listing()
    world.run_batches(collections=TooSmall(world, call))
    assert states(world)["a.txt"] == ("failed", "request_too_large") or call == "get"
    assert len([name for name in world.texts() if name.endswith("-1")]) == 1
    world.clock.seconds += DAY
    world.sync()
    assert {state for state, _ in states(world).values()} == {"indexed"}
    assert sorted(world.texts().values()) == ["new", "one", "two"]
