"""Each object is taken or left for one reason, and why says the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3sync_dagster.core.selection import (
    decide,
    explain,
    relative_path,
    require_inside_prefix,
    validate_selection,
)
from s3sync_dagster.model.errors import InvalidSetting, OutsidePrefix
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.model.place import UploadPlace
from s3sync_dagster.model.source import ExtractionConfig, Source
from s3sync_dagster_tests.sources import changed, s3_source

SOURCE = s3_source(id="1", name="s", bucket_name="b", collection_name="ccc", path_prefix="docs/")


def ref(key: str, size: int = 10, **fields: object) -> ObjectRef:
    return ObjectRef(key=key, etag="e", size=size, **fields)  # type: ignore[arg-type]


def reason(source: Source, object_ref: ObjectRef) -> str | None:
    skip = decide(source, object_ref)
    return skip.reason if skip else None


REASONS = [
    (ref("docs/a.md"), None),
    (ref("docs/deep/er/a.md"), None),
    (ref("docs/"), None),  # it has bytes: an object like any other
    (ref("docs/", 0), "folder_marker"),
    (ref("docs/sub/", 0), "folder_marker"),
    (ref("docs/sub/", -1), None),
    (ref("docs/a.md", 0), "empty_object"),
    (ref("docs/a.md", -1), None),
    (ref("other/a.md"), "outside_prefix"),
    (ref("docs"), "outside_prefix"),
    (ref("Docs/a.md"), "outside_prefix"),
    (ref("docs/a.meta.json"), "sidecar"),
    (ref("docs/.meta.json", 0), "sidecar"),
    (ref("docs/a.META.JSON"), None),
    (ref("docs/a.md", 200 * 1024 * 1024), None),
    (ref("docs/a.md", 200 * 1024 * 1024 + 1), "too_large"),
    (ref("docs/a.md", storage_class="GLACIER"), "archived"),
    (ref("docs/a.md", storage_class="DEEP_ARCHIVE"), "archived"),
    (ref("docs/a.md", storage_class="GLACIER_IR"), None),
    (ref("docs/a.md", storage_class="INTELLIGENT_TIERING"), None),
    (ref("docs/a.md", storage_class="GLACIER", restored=True), None),
    (ref("docs/a.md", storage_class="SYMLINK"), "symlink"),
    (ref("docs/a.md", storage_class="SPECIAL"), "special_file"),
    (ref("docs/a.md", storage_class="SUBMODULE"), "submodule"),
    (ref("docs/a.md", storage_class="BAD_NAME"), "bad_name"),
    (ref("docs/a.md", storage_class="PAGE_LIMIT"), "page_limit"),
    (ref("docs/a.md", storage_class="NOINDEX"), "noindex"),
    (ref("docs/a.zip"), "unsupported_type"),
    (ref("docs/a.mp4"), "unsupported_type"),
    (ref("docs/../secret"), None),  # a key is a name, not a path: dots mean nothing
]


@pytest.mark.parametrize(
    ("object_ref", "expected"), REASONS, ids=[f"{n}-{case[1]}" for n, case in enumerate(REASONS)]
)
def test_reasons(object_ref: ObjectRef, expected: str | None) -> None:
    assert reason(SOURCE, object_ref) == expected


def test_globs_see_the_path_after_the_prefix() -> None:
    source = SOURCE.with_changes(include_globs=("*.md", "sub/**"), exclude_globs=("**/draft-*",))
    assert reason(source, ref("docs/a.md")) is None
    assert reason(source, ref("docs/sub/x/y.txt")) is None
    assert reason(source, ref("docs/other/a.md")) == "not_included"
    assert reason(source, ref("docs/draft-a.md")) == "excluded"
    assert reason(source, ref("docs/sub/draft-a.md")) == "excluded"


@pytest.mark.parametrize(
    ("prefix", "key", "path"),
    [
        ("", "a/b", "a/b"),
        ("", "/a", "/a"),
        ("docs/", "docs/a", "a"),
        ("docs/", "docs//a", "/a"),
        ("docs", "docs/a", "a"),
        ("docs", "docs2/a", "2/a"),
        ("docs", "docs//a", "/a"),
        ("docs", "docs", ""),
    ],
)
def test_relative_paths(prefix: str, key: str, path: str) -> None:
    assert relative_path(changed(SOURCE, path_prefix=prefix), key) == path


def test_extensions_do_not_mind_case_and_may_have_two_dots() -> None:
    source = SOURCE.with_changes(extensions=(".md", ".tar.md5"))
    assert reason(source, ref("docs/A.MD")) is None
    assert reason(source, ref("docs/a.tar.md5")) is None
    assert reason(source, ref("docs/a.txt")) == "extension"
    assert reason(source, ref("docs/x.md/a")) == "extension"


def test_an_engine_that_a_person_chose_reads_any_suffix() -> None:
    source = SOURCE.with_changes(extraction=ExtractionConfig(engines={".bin": "text"}))
    assert reason(SOURCE, ref("docs/a.bin")) == "unsupported_type"
    assert reason(source, ref("docs/a.bin")) is None


def test_keys_outside_the_prefix_are_refused_by_name() -> None:
    require_inside_prefix(SOURCE, "docs/a")
    with pytest.raises(OutsidePrefix, match="'other'"):
        require_inside_prefix(SOURCE, "other")


def test_why_tells_the_way_to_the_decision() -> None:
    source = SOURCE.with_changes(include_globs=("**/*.md",), extensions=(".md",))
    sentences = explain(source, ref("docs/a.md"))
    assert sentences[-1] == "Selected."
    assert "Its name ends in one of .md." in sentences
    assert not any("ends in" in one for one in explain(SOURCE, ref("docs/a.md")))
    assert any("'**/*.md'" in sentence for sentence in sentences)
    assert "It has 0 bytes; the limit is 200000000." in [
        one.replace(str(source.max_size_bytes), "200000000")
        for one in explain(source, ref("docs/a.md", 0))
    ]
    assert not any("bytes" in one for one in explain(source, ref("docs/a.md", -1)))
    assert explain(source, ref("docs/a.txt"))[-1].startswith("Skipped: not_included.")
    assert explain(source, ref("x"))[-1] == "Skipped: outside_prefix."
    absent = " ".join(explain(source, ref("docs/a.md", 7), there=False))
    assert "would be selected." in absent
    assert not any(word in absent for word in ("is an object", "bytes", "storage", "Selected"))
    assert "Its storage class is STANDARD." in explain(source, ref("docs/a.md"))
    uploads = changed(SOURCE, place=UploadPlace())
    assert "storage class" not in " ".join(explain(uploads, ref("docs/a.md")))  # files have none
    refused = explain(source, ref("docs/a.txt"), there=False)[-1]
    assert refused.startswith("It would be skipped: not_included.")


@given(
    st.text(alphabet="docs/a.mdz[]* \n", max_size=20),
    st.integers(-1, 300 * 1024 * 1024),
    st.sampled_from(["STANDARD", "GLACIER", "DEEP_ARCHIVE"]),
    st.booleans(),
)
def test_why_agrees_with_the_decision(key: str, size: int, storage: str, restored: bool) -> None:
    source = changed(
        SOURCE, path_prefix="d", include_globs=("**/*.md", "*"), exclude_globs=("a*/**",)
    )
    object_ref = ref(key, size, storage_class=storage, restored=restored)
    skip = decide(source, object_ref)
    last = explain(source, object_ref)[-1]
    assert last == "Selected." if skip is None else last.startswith(f"Skipped: {skip.reason}.")


@pytest.mark.parametrize(
    "changes",
    [
        {"include_globs": ("[",)},
        {"exclude_globs": ("*.{a,b}",)},
        {"include_globs": tuple(f"{n}" for n in range(201))},
        {"include_globs": ("x" * 1024,) * 4, "exclude_globs": ("y" * 1024,) * 4 + ("z",)},
        {"extensions": ("md",)},
        {"extensions": (".MD",)},
        {"extensions": ("./md",)},
        {"max_size_bytes": 0},
        {"document_limit": 0},
    ],
)
def test_settings_that_mean_nothing_are_refused(changes: dict[str, object]) -> None:
    validate_selection(SOURCE)
    with pytest.raises(InvalidSetting):
        validate_selection(SOURCE.with_changes(**changes))


@pytest.mark.parametrize("changes", [{"max_size_bytes": 1}, {"document_limit": 1}])
def test_the_smallest_limits_mean_something(changes: dict[str, object]) -> None:
    validate_selection(SOURCE.with_changes(**changes))
