"""Named groups of a pattern on the path become metadata, in bounded time."""

import time

import pytest

from s3sync_dagster.catalog.doubted import origins
from s3sync_dagster.core.path_metadata import path_metadata, with_path_metadata
from s3sync_dagster.core.source_rules import validate_source
from s3sync_dagster.engine.rebuilding import recover_documents
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.source import Source
from s3sync_dagster.places.web import WebPlace
from s3sync_dagster_tests.sources import changed, s3_source

SOURCE = s3_source(id="i", name="n", bucket_name="bucket", collection_name="texts")
PATTERN = r"^(?P<team>[^/]+)/(?:(?P<year>\d{4})/)?"


@pytest.mark.parametrize(
    ("prefix", "key", "found"),
    [
        ("", "sales/2026/a.md", {"team": "sales", "year": "2026"}),
        ("", "sales/a.md", {"team": "sales"}),
        ("", "a.md", {}),
        ("docs", "docs/täm/2026/a.md", {"team": "täm", "year": "2026"}),
        ("docs/", "docs/sales/x/2026/a.md", {"team": "sales"}),
    ],
)
def test_groups_are_found_in_the_path_behind_the_prefix(prefix, key, found):
    source = changed(SOURCE, path_prefix=prefix, path_metadata=PATTERN)
    assert path_metadata(source, key) == found
    assert path_metadata(changed(SOURCE, path_prefix=prefix), key) == {}


@pytest.mark.parametrize(
    ("prefix", "key", "found"),
    [
        ("", "sales/a.md", {"team": "sales"}),
        ("docs/", "docs/sales/a.md", {"team": "docs"}),
        ("do", "docs/sales/a.md", {"team": "docs"}),
    ],
)
def test_groups_are_found_in_the_whole_key_where_the_source_says_so(prefix, key, found):
    source = changed(
        SOURCE, path_prefix=prefix, path_metadata=PATTERN, path_metadata_whole_key=True
    )
    assert path_metadata(source, key) == found
    relative = changed(source, path_metadata_whole_key=False)
    assert relative.fingerprint() != source.fingerprint()
    assert origins(relative.to_json()) != origins(source.to_json())
    without = {
        name: value
        for name, value in relative.to_json().items()
        if name != "path_metadata_whole_key"
    }
    assert Source.from_json(without) == relative  # as a catalog of before has it


def test_the_path_wins_over_the_source():
    source = changed(SOURCE, path_metadata=PATTERN, metadata={"team": "all", "kind": "wiki"})
    assert with_path_metadata(source, "sales/a.md") == {"team": "sales", "kind": "wiki"}
    assert with_path_metadata(source, "a.md") == {"team": "all", "kind": "wiki"}


@pytest.mark.parametrize(
    "pattern",
    ["", "(", "docs/([^/]+)/", r"(?P<a>x)\1", "(?P<a>x)(?=y)", "(?P<document_key>x)",
     "(?P<s3sync_x>x)", "(?P<a>\udcff)", f"(?P<{'n' * 37}>x)", "(?P<a>.{1001})",
     "(?P<a>x)" + "y" * 1024, "".join(f"(?P<a{n}>x)" for n in range(17)),
     "(?P<a>(?:x{1000}){1000})"],
)  # fmt: skip
def test_what_is_no_pattern_is_refused_where_it_is_declared(pattern):
    with pytest.raises(InvalidSetting, match="metadata"):
        validate_source(changed(SOURCE, path_metadata=pattern))


def test_a_pattern_of_a_site_that_no_text_can_have_is_refused_like_any_other():
    for pattern in ("(", "\udcff"):
        site = WebPlace(starting_url="https://www.example.org/", include_path_regexes=(pattern,))
        with pytest.raises(InvalidSetting, match="no pattern"):
            site.check()


def test_groups_and_metadata_together_keep_the_limit_of_keys():
    pattern = "".join(f"(?P<a{n}>x)?" for n in range(8))
    full = {f"u{n}": n for n in range(8)}
    validate_source(changed(SOURCE, path_metadata=pattern, metadata=full))
    with pytest.raises(InvalidSetting, match="17 keys"):
        validate_source(changed(SOURCE, path_metadata=pattern, metadata={**full, "one": 1}))


@pytest.mark.parametrize(
    "pattern", ["(?P<a>(x+x+)+)y", "(?P<a>(((((.*)*)*)*)*)*)z", "(?P<a>(x?){500}x{500})y"]
)
def test_no_pattern_makes_a_key_expensive(pattern):
    source = changed(SOURCE, path_metadata=pattern)
    path_metadata(source, "x")
    began = time.thread_time()
    for _ in range(3):
        assert path_metadata(source, "x" * 1024) == {}
    assert time.thread_time() - began < 15  # backtracking takes longer than the world has


def test_only_a_source_with_a_pattern_has_another_fingerprint():
    plain = SOURCE.fingerprint()
    with_pattern = changed(SOURCE, path_metadata=PATTERN).fingerprint()
    other = changed(SOURCE, path_metadata="^(?P<team>.)").fingerprint()
    assert len({plain, with_pattern, other}) == 3
    assert changed(SOURCE, path_metadata=None).fingerprint() == plain


def test_a_change_marks_documents_outdated_and_writes_metadata_alone(world):
    world.bucket.put("sales/a.md", "one\n\ntwo")
    world.bucket.put("b.md", "three")
    world.sync()
    world.configure(path_metadata=PATTERN)
    fingerprint = world.source.fingerprint()
    counts = world.catalog.views.counts(world.source.id, fingerprint=fingerprint)
    assert counts.outdated == 2
    assert world.sync() == {}  # an older fingerprint alone makes no work
    known = world.embedder.inferred
    world.configure(on_config_change="reindex")
    told = world.sync()
    assert told == {"sales/a.md": "updated", "b.md": "unchanged"}
    assert world.embedder.inferred == known
    found = {m["document_key"]: m.get("team") for m in world.metadata().values()}
    assert found == {"sales/a.md": "sales", "b.md": None}
    world.configure(path_metadata=None)
    world.sync()
    assert {m.get("team") for m in world.metadata().values()} == {None}


def test_a_request_wins_over_the_path_and_a_lost_catalog_is_told_apart(world):
    world.configure(path_metadata=PATTERN)
    world.bucket.put("sales/2026/a.md", "one")
    world.ask("sales/2026/a.md", metadata={"team": "own"})
    world.run_batches()
    (metadata,) = world.metadata().values()
    assert (metadata["team"], metadata["year"]) == ("own", "2026")
    collection = world.collections.open(
        "docs", tenant="default_tenant", database="default_database", embedder=None
    )
    recovery = recover_documents(world.source, collection, known_sources={world.source.id})
    (found,) = recovery.documents
    assert found.metadata == {"team": "own"}  # what the path says is no one's request
