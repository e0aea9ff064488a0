"""Blame needs proof: what a service refuses of everybody removes nothing and is tried again."""

import copy

import pytest

from s3sync_dagster.core.patience import Patience
from s3sync_dagster.core.suspects import TRIES_ALONE
from s3sync_dagster.model.errors import (
    AccessDenied,
    InvalidSetting,
    LimitExceeded,
    RecordRejected,
    Unavailable,
    UnreadableFile,
)
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster.model.source import AutoSync
from s3sync_dagster_tests.core.rules import event, sidecar, states
from s3sync_dagster_tests.engine_fixture import text_extractor

DAY = 86_400


class Grumpy:
    """Collections that refuse records by a rule while ``on``."""

    def __init__(self, world, refuses):
        self._world, self._refuses, self.on = world, refuses, True

    def open(self, name, **options):
        port = self._world.collections.open(name, **options)
        outer, plain, probe = self, type(port).upsert, type(port).probe

        class Refusing(type(port)):
            def upsert(self, records, vectors):
                refused = [one for one in records if outer.on and outer._refuses(one.document)]
                if refused:
                    raise RecordRejected(f"Chroma refused {len(refused)} records")
                plain(self, records, vectors)

            def probe(self, vector, **named):
                if outer.on and outer._refuses("probe"):
                    raise InvalidSetting("HTTP 422", reason="chroma_refused")
                probe(self, vector, **named)

        port.__class__ = Refusing
        return port

    def __getattr__(self, name):
        return getattr(self._world.collections, name)


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
    grumpy = Grumpy(world, lambda _document: True)
    world.listing()
    world.run_batches(collections=grumpy)
    assert world.texts() == before
    assert set(states(world).values()) == {("failed", "collection_refuses")}
    grumpy.on = False
    world.clock.seconds += DAY
    world.listing()
    world.run_batches(collections=grumpy)
    assert set(world.texts().values()) == {f"new {name}" for name in filled}


def test_a_record_that_is_refused_beside_one_that_is_taken_is_to_blame(world, filled):
    grumpy = Grumpy(world, lambda document: document == "new 3.txt")
    world.listing()
    world.run_batches(collections=grumpy)
    assert states(world)["3.txt"] == ("failed", "record_rejected")
    assert set(world.texts().values()) == {f"new {name}" for name in filled} - {"new 3.txt"}


def test_the_probe_leaves_nothing_behind(world):
    world.bucket.put("a.txt", "bad")
    world.listing()
    world.run_batches(collections=Grumpy(world, lambda document: document == "bad"))
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


class TestRemovals:
    @pytest.fixture
    def emptied(self, world):
        for n in range(60):
            world.bucket.put(f"{n:02}.txt", f"text {n}")
        world.sync()
        for n in range(60):
            world.bucket.delete(f"{n:02}.txt")
        return world

    def test_what_a_blocked_listing_missed_is_removed_by_no_request(self, emptied):
        world = emptied
        assert world.listing().listing.state == "blocked"
        world.ask(*[f"{n:02}.txt" for n in range(60)], force=True, trigger=Trigger.CLI)
        world.run_batches()
        assert len(world.texts()) == 60
        assert set(states(world).values()) == {("skipped", "removal_blocked")}
        world.catalog.listings.approve(world.source.id)
        world.run_batches()
        assert world.texts() == {}

    def test_what_a_blocked_listing_missed_is_not_removed_by_a_rebuild(self, emptied):
        world = emptied
        world.catalog.documents.distrust_all(world.source.id)
        world.listing()
        world.catalog.documents.enqueue_unclean(world.source.id)
        world.run_batches()
        assert len(world.texts()) == 60

    def test_many_that_a_head_alone_misses_are_held_back_without_any_listing(self, emptied):
        world = emptied
        world.ask(*[f"{n:02}.txt" for n in range(60)])
        world.run_batches()
        assert len(world.texts()) == 60

    def test_a_few_that_a_head_alone_misses_go(self, emptied):
        world = emptied
        world.ask("00.txt", "01.txt")
        world.run_batches()
        assert len(world.texts()) == 58

    def test_an_event_and_a_head_are_evidence_also_after_a_blocked_listing(self, emptied):
        world = emptied
        world.listing()
        event(world, "07.txt", remove=True)
        world.run_batches()
        assert len(world.texts()) == 59

    def test_an_object_that_is_there_again_is_indexed_again(self, emptied):
        world = emptied
        world.listing()
        world.ask("07.txt")
        world.run_batches()
        for n in range(60):
            world.bucket.put(f"{n:02}.txt", f"back {n}")
        world.sync()
        assert set(states(world).values()) == {("indexed", None)}
        assert set(world.texts().values()) == {f"back {n}" for n in range(60)}


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

        class Picky:
            def open(self, name, **options):
                port = world.collections.open(name, **options)
                plain = type(port).update_metadata

                class Refusing(type(port)):
                    def update_metadata(self, ids, metadatas):
                        if any(one.get("document_key") == "a.txt" for one in metadatas):
                            raise RecordRejected("no")
                        plain(self, ids, metadatas)

                port.__class__ = Refusing
                return port

        world.listing()
        world.run_batches(collections=Picky())
        assert states(world) == {
            "a.txt": ("failed", "record_rejected"),
            "b.txt": ("indexed", None),
        }


class TestSidecarsThatVanish:
    @pytest.fixture
    def described(self, world):
        for n in range(60):
            world.bucket.put(f"{n:02}.txt", f"text {n}")
            world.bucket.put(f"{n:02}.meta.json", sidecar(f"{n:02}.txt", f"id-{n}"))
        world.configure(auto_sync=AutoSync.METADATA)
        world.sync()
        assert len(world.texts()) == 60
        return world

    def remove(self, world, *, texts):
        for n in range(60):
            world.bucket.delete(f"{n:02}.meta.json")
            if texts:
                world.bucket.delete(f"{n:02}.txt")

    @pytest.mark.parametrize("texts", [True, False])
    def test_the_guard_counts_documents_whose_sidecar_goes(self, described, texts):
        self.remove(described, texts=texts)
        assert described.listing().listing.state == "blocked"
        described.run_batches()
        assert len(described.texts()) == 60

    @pytest.mark.parametrize("listed", [True, False])
    def test_nobodys_request_takes_their_records(self, described, listed):
        self.remove(described, texts=True)
        if listed:
            described.listing()
        names = [f"{n:02}" for n in range(60)]
        described.ask(*[f"{name}.meta.json" for name in names], *[f"{name}.txt" for name in names])
        described.run_batches()
        assert len(described.texts()) == 60

    def test_one_that_goes_takes_its_documents_along(self, described):
        described.bucket.delete("07.meta.json")
        described.sync()
        assert len(described.texts()) == 59


def test_old_news_of_a_create_is_no_evidence_of_a_removal(world):
    for n in range(60):
        world.bucket.put(f"{n:02}.txt", f"text {n}")
    world.sync()
    for n in range(60):
        event(world, f"{n:02}.txt", sequencer="0F")
    world.run_batches()
    for n in range(60):
        world.bucket.delete(f"{n:02}.txt")
    world.listing()
    for n in range(60):
        event(world, f"{n:02}.txt", sequencer="0A")
    world.run_batches()
    assert len(world.texts()) == 60


@pytest.mark.parametrize("error", [AccessDenied("no"), LimitExceeded("413"), Unavailable("away")])
def test_a_removal_that_fails_waits_for_its_time_and_succeeds_in_the_end(world, error):
    for name in ("a.txt", "b.txt"):
        world.bucket.put(name, "text")
    world.sync()
    world.bucket.delete("a.txt")
    tries = []

    class Stubborn:
        on = True

        def open(self, name, **options):
            port = world.collections.open(name, **options)
            plain = type(port).delete

            class Refusing(type(port)):
                def delete(self, ids):
                    if Stubborn.on:
                        tries.append(ids)
                        raise error
                    plain(self, ids)

            port.__class__ = Refusing
            return port

    world.listing()
    stubborn = Stubborn()
    patience = Patience(tries=1, final=True)
    for _ in range(5):
        world.run_batches(collections=stubborn, patience=patience)
        world.catalog.documents.enqueue_unclean(world.source.id)
    assert len(tries) == 1
    Stubborn.on = False
    world.clock.seconds += DAY
    world.catalog.documents.enqueue_unclean(world.source.id)
    world.listing()
    world.run_batches(collections=stubborn)
    assert len(world.texts()) == 1


def test_updates_that_are_refused_of_everybody_remove_nothing(world, filled):
    """Same texts under new etags: only metadata are to be written, and nobody takes them."""

    class NoUpdates:
        on = True

        def open(self, name, **options):
            port = world.collections.open(name, **options)
            plain = type(port).update_metadata

            class Refusing(type(port)):
                def update_metadata(self, ids, metadatas):
                    if NoUpdates.on:
                        raise RecordRejected("no nulls here")
                    plain(self, ids, metadatas)

            port.__class__ = Refusing
            return port

    world.sync()
    before = world.texts()
    for name in filled:
        world.bucket.put(name, f"new {name}\n\n")
    world.listing()
    world.run_batches(collections=NoUpdates())
    assert world.texts() == before
    assert set(states(world).values()) == {("failed", "collection_refuses")}
    NoUpdates.on = False
    world.clock.seconds += DAY
    world.listing()
    world.run_batches(collections=NoUpdates())
    assert set(states(world).values()) == {("indexed", None)}


class TestManyRemovals:
    @pytest.fixture
    def half_gone(self, world):
        for n in range(24):
            world.bucket.put(f"{n:02}.txt", f"text {n}")
        world.sync()
        for n in range(12):
            world.bucket.delete(f"{n:02}.txt")
        return world

    def test_an_events_removals_that_failed_once_are_not_held_back_the_next_time(self, half_gone):
        world = half_gone

        class Away:
            on = True

            def open(self, name, **options):
                port = world.collections.open(name, **options)
                plain = type(port).delete

                class Refusing(type(port)):
                    def delete(self, ids):
                        if Away.on:
                            raise AccessDenied("no")
                        plain(self, ids)

                port.__class__ = Refusing
                return port

        for n in range(12):
            event(world, f"{n:02}.txt", remove=True)
        world.run_batches(collections=Away())
        assert len(world.texts()) == 24
        Away.on = False
        world.clock.seconds += DAY
        assert world.catalog.documents.enqueue_unclean(world.source.id) == 12
        world.run_batches(collections=Away())
        assert len(world.texts()) == 12
        assert world.catalog.documents.enqueue_unclean(world.source.id) == 0

    def test_what_is_held_back_is_not_asked_for_again_and_again(self, world):
        for n in range(60):
            world.bucket.put(f"{n:02}.txt", f"text {n}")
        world.bucket.put("07.meta.json", sidecar("07.txt", "one"))
        world.sync()
        for n in range(60):
            world.bucket.delete(f"{n:02}.txt")
        assert world.listing().listing.state == "blocked"
        world.bucket.put("07.meta.json", sidecar("07.txt", "two"))
        world.listing()
        world.run_batches()
        for _ in range(3):
            assert world.catalog.documents.enqueue_unclean(world.source.id) == 0
        assert len(world.texts()) == 60

    @pytest.mark.parametrize("number", [60, 600])
    def test_an_emptied_bucket_loses_nothing_to_heads_however_the_batches_are_cut(
        self, world, number
    ):
        names = [f"{n:03}.txt" for n in range(number)]
        for name in names:
            world.bucket.put(name, f"text {name}")
        world.sync()
        for name in names:
            world.bucket.delete(name)
        world.ask(*names)
        world.run_batches()
        assert len(world.texts()) == number

    @pytest.mark.parametrize(
        ("documents", "gone", "state"),
        [(3, 1, "complete"), (10, 5, "complete"), (10, 10, "blocked")],
    )
    def test_documents_that_go_with_their_sidecars_count_once(self, world, documents, gone, state):
        world.configure(auto_sync=AutoSync.METADATA)
        for n in range(documents):
            world.bucket.put(f"{n}.txt", f"text {n}")
            world.bucket.put(f"{n}.meta.json", sidecar(f"{n}.txt", f"id-{n}"))
        world.sync()
        for n in range(gone):
            world.bucket.delete(f"{n}.txt")
            world.bucket.delete(f"{n}.meta.json")
        listing = world.listing().listing
        assert (listing.state, listing.gone) == (state, gone)

    def test_documents_of_another_collection_go_with_their_sidecar_alone(self, world):
        for n in range(60):
            world.bucket.put(f"{n}.txt", f"text {n}")
            target = {"target_collection_name": "other"}
            world.bucket.put(f"{n}.meta.json", sidecar(f"{n}.txt", f"id-{n}", **target))
        world.sync()
        there = len(world.texts("other"))
        assert there == 60
        for n in range(60):
            world.bucket.delete(f"{n}.meta.json")
        assert world.listing().listing.state == "blocked"
        world.run_batches()
        assert len(world.texts("other")) == 60


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
