"""A function of the operator's changes documents before they are cut; its faults cost nothing."""

from dataclasses import replace

import pytest

from s3sync_dagster.core.source_rules import validate_source
from s3sync_dagster.engine.batch.enrich import load_function
from s3sync_dagster.model.errors import FixConfiguration, InvalidSetting
from s3sync_dagster_tests.engine_fixture import make_world


@pytest.fixture
def world():
    made = make_world()
    made.configure(enrich="package.module:loud")
    for name in ("a", "b", "c"):
        made.bucket.put(f"{name}.txt", f"text {name}")
    return made


def loud(_source, documents):
    return {key: replace(one, text=one.text.upper()) for key, one in documents.items()}


def states(world, **changes):
    return {one.key: (one.state, one.reason) for one in world.run_batches(**changes)}


def test_what_the_function_returns_is_cut_and_written_and_it_gets_a_batch_at_once(world):
    given = []

    def enrich(source, documents):
        given.append((source.id, sorted(documents)))
        return loud(source, documents)

    world.listing()
    assert set(states(world, enrich=enrich).values()) == {("indexed", None)}
    assert given == [(world.source.id, ["a.txt", "b.txt", "c.txt"])]
    assert sorted(world.texts().values()) == ["TEXT A", "TEXT B", "TEXT C"]


def test_a_function_that_fails_fails_its_documents_and_loses_nothing(world):
    world.listing()
    world.run_batches(enrich=loud)
    before = world.texts()
    world.bucket.put("a.txt", "secret text of the new a")
    world.listing()

    def broken(_source, documents):
        raise ValueError(f"{documents} with a password")

    [report] = world.run_batches(enrich=broken)
    assert (report.key, report.state, report.reason) == ("a.txt", "failed", "enrichment_failed")
    assert "ValueError" in report.error
    assert "package.module:loud" in report.error
    assert "password" not in report.error
    assert world.texts() == before
    world.clock.seconds += 7 * 86_400
    world.listing()
    assert states(world, enrich=loud)["a.txt"] == ("updated", None)
    assert "SECRET TEXT OF THE NEW A" in world.texts().values()


def test_a_document_that_the_function_forgets_fails_alone(world):
    def forgetful(source, documents):
        made = loud(source, documents)
        return {**made, "b.txt": "no document"} if made.pop("a.txt") else made

    world.listing()
    assert states(world, enrich=forgetful) == {
        "a.txt": ("failed", "enrichment_failed"),
        "b.txt": ("failed", "enrichment_failed"),
        "c.txt": ("indexed", None),
    }


def test_what_was_written_without_the_function_is_outdated_with_it(world):
    assert world.source.fingerprint() != world.source.with_changes(enrich=None).fingerprint()


@pytest.mark.parametrize("name", ["no.such.module:name", "json:no_such_name", "json:__name__"])
def test_a_function_that_is_not_there_is_said_by_its_name(name):
    with pytest.raises(FixConfiguration, match=name):
        load_function(name)
    assert load_function("json:dumps") is not None


def test_a_name_that_is_none_is_refused_at_the_declaration(world):
    wrong = world.source.with_changes(enrich="os.system('x')")
    with pytest.raises(InvalidSetting, match="enrich"):
        validate_source(wrong)
