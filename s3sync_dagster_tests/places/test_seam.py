"""The seam: whoever adds a type of place writes one module, and every door takes it."""

import asyncio
import json
import re
import uuid
from concurrent.futures import Future
from pathlib import Path

import pydantic
import pytest

from s3sync_dagster.api.wire_places import place_of, place_payload, place_shown, show_variant
from s3sync_dagster.api.wire_settings import with_payload
from s3sync_dagster.core.source_rules import validate_source
from s3sync_dagster.defs.source_fields import Declared, setting_fields
from s3sync_dagster.model import place_types
from s3sync_dagster.model.errors import InvalidSetting, NotFound, Unavailable
from s3sync_dagster.model.place import parse_place
from s3sync_dagster.model.place_types import PlaceType, add_place_type, place_classes
from s3sync_dagster.model.source import Source
from s3sync_dagster.ports.foreign_store import open_foreign
from s3sync_dagster.ports.memory_s3 import MemoryObjectStore
from s3sync_dagster.ports.places import open_store
from s3sync_dagster.setting import Door
from s3sync_dagster.source_settings import settings_of
from s3sync_dagster_tests.places.file_servers import surroundings

ROOT = Path(__file__).parents[2]


@pytest.fixture
def shelf():
    """The module, loaded as another package's would be, and forgotten again."""
    from s3sync_dagster_tests.places import shelf as module

    name = module.__name__
    add_place_type("shelf", PlaceType(place=f"{name}:ShelfPlace", opener=f"{name}:open_shelf"))
    yield module
    place_types._TYPES.pop("shelf")
    place_types._classes.pop("shelf", None)
    module.SHELVES.clear()


def source_of(module, **place) -> Source:
    made = module.ShelfPlace(**{"shelf": "one", **place})
    return Source(id="i", name="books", place=made, collection_name="texts")


def test_it_is_read_back_written_and_checked(shelf):
    source = source_of(shelf, copies=3)
    assert Source.from_json(json.loads(json.dumps(source.to_json()))) == source
    assert Source.from_json(source.settings()) == source
    assert parse_place("shelf:one") == shelf.ShelfPlace(shelf="one")
    validate_source(source)
    for wrong in ({"shelf": "?"}, {"copies": 10}):
        with pytest.raises(InvalidSetting, match=next(iter(wrong))):
            validate_source(source_of(shelf, **wrong))


def test_a_tag_has_one_type(shelf):
    with pytest.raises(InvalidSetting, match="taken"):
        add_place_type("folder", PlaceType(place="x:X", opener="x:x"))
    assert list(place_classes())[-1] == "shelf"


def test_code_declares_it_by_its_settings(shelf):
    fields = setting_fields(settings_of(shelf.ShelfPlace))

    class ShelfSource(fields, Declared):
        place_class = shelf.ShelfPlace

    declared = ShelfSource(name="books", shelf="one", copies=2, collection_name="texts")
    assert declared.to_source().place == shelf.ShelfPlace(shelf="one", copies=2)
    assert fields.model_fields["copies"].description == "Of each object."
    assert "bucket_name" not in fields.model_fields
    with pytest.raises(pydantic.ValidationError, match="shelf"):
        ShelfSource(name="books", collection_name="texts")


def test_the_api_makes_and_shows_its_variant_by_its_settings(shelf):
    kind = shelf.ShelfPlace
    given = place_payload("shelf", kind).model_validate(
        {"shelf": "one", "copies": 2, "collection_name": "texts", "extensions": [".md"]}
    )
    assert place_of(kind, given) == kind(shelf="one")
    source = with_payload(source_of(shelf), given, Door.POST, settings_of(kind), whole=True)
    assert (source.place.copies, source.extensions) == (2, (".md",))
    shown = show_variant(source, place_shown("shelf", kind)).model_dump(mode="json")
    assert shown == {
        "collection_name": "texts", "auto_sync": "direct", "include_globs": None,
        "shelf": "one", "copies": 2,
    }  # fmt: skip
    for wrong in ({}, {"shelf": "one", "copies": 10}, {"shelf": "one", "bucket_name": "b"}):
        with pytest.raises(pydantic.ValidationError):
            place_payload("shelf", kind).model_validate({"collection_name": "texts", **wrong})


def test_the_command_line_syncs_it_into_chroma(shelf, s3sync, chroma_server):
    shelf.SHELVES["one"] = shelf.MemoryBucket()
    shelf.SHELVES["one"].put("a.md", "# Title")
    collection = f"c-{uuid.uuid4().hex[:12]}"
    made = s3sync("source", "create", "books", "--place", "shelf:one", "-c", collection,
                  "--embedding", "hash")  # fmt: skip
    assert made.code == 0, made.err
    assert "shelf:one/" in s3sync("source", "list").out
    assert "copies: 1" in s3sync("source", "show", "books").out
    synced = s3sync("sync", "shelf:one", "-c", collection, "--json")
    assert (synced.code, synced.json["indexed"]) == (0, 1), synced.err
    shelf.SHELVES["one"].delete("a.md")
    gone = s3sync("sync", "shelf:one", "-c", collection, "--json", "--approve-deletes")
    assert (gone.code, gone.json["removed"]) == (0, 1), gone.err


@pytest.mark.parametrize(
    "method",
    [
        "read",
        *(pytest.param(one, marks=pytest.mark.long) for one in ("open_shelf", "list_page", "none")),
    ],
)
def test_what_its_code_raises_names_place_and_key(
    shelf, s3sync, chroma_server, monkeypatch, method
):
    shelf.SHELVES["one"] = bucket = shelf.MemoryBucket()
    bucket.put("a.md", "# Title")
    sync = ("sync", "shelf:one", "-c", f"c-{uuid.uuid4().hex[:12]}", "--json")
    assert s3sync(*sync, "--embedding", "hash").json["indexed"] == 1
    bucket.put("a.md", "# Other")

    def broken(*_, **__):
        raise KeyError("hidden")

    with monkeypatch.context() as patched:
        if method == "open_shelf":
            patched.setattr(shelf, method, broken)
        elif method == "none":
            patched.setattr(MemoryObjectStore, "read", lambda *_, **__: None)
        else:
            patched.setattr(MemoryObjectStore, method, broken)
        failed = s3sync(*sync)
    told = " ".join(failed.err.split())
    assert failed.code != 0
    assert "shelf:one/" in told
    assert f"raised a {'TypeError' if method == 'none' else 'KeyError'}" in told
    assert ("hidden" in told, "Traceback" in told) == (False, False)
    if method in ("read", "none"):
        assert "'a.md' in 'shelf:one/'" in told
    assert s3sync(*sync).json["updated"] == 1


def test_a_store_of_another_package_has_what_it_has_and_gives_what_it_promises(shelf):
    store = open_store(source_of(shelf), surroundings({}))
    shelf.SHELVES["one"].put("a.md", "# Title")
    assert (store.ordered, hasattr(store, "look"), hasattr(store, "pin")) == (True, False, False)
    with pytest.raises(NotFound):
        store.head("b.md")
    held = store.list_page

    class Ahead:
        ordered = True

        def list_ahead(self, prefix, *, start_after, limit=1000):
            told = Future()
            if prefix:
                told.set_exception(asyncio.CancelledError())
            else:
                told.set_result(held(prefix, start_after=start_after, limit=limit))
            return told

        @property
        def pin(self):
            raise OSError

    ahead = open_foreign(source_of(shelf), Ahead)
    assert ahead.list_ahead("", start_after=None).result().last
    for call in (lambda: ahead.list_ahead("x", start_after=None).result(), lambda: ahead.pin):
        with pytest.raises(Unavailable, match="shelf:one/") as met:
            call()
        assert met.value.reason == "place_failed"


def test_a_type_of_this_package_touches_the_files_that_the_page_names():
    page = (ROOT / "docs" / "places.md").read_text("utf-8").rpartition("| file | what |")[2]
    named = set(re.findall(r"`((?:model|defs|docs)/\S+|__init__\.py|CHANGELOG\.md)`", page))
    by_hand = named - {"docs/settings.md", "docs/commands.md", "model/extras.py"}
    assert len(by_hand) <= 8  # and two for an extra of its own
    package = ROOT / "s3sync_dagster"
    for tag, kind in place_classes().items():
        if tag in ("s3", "file_upload"):
            continue
        stem = kind.__name__.removesuffix("Place")
        words = re.compile(rf"\b{stem}(?:Place|Source|Fields|SyncComponent)\b")
        found = {
            str(path.relative_to(package))
            for path in package.rglob("*.py")
            if "places" not in path.parts and words.search(path.read_text("utf-8"))
        }
        assert found <= by_hand, tag


def test_the_page_shows_the_module_as_it_is():
    page = (ROOT / "docs" / "places.md").read_text("utf-8")
    (shown,) = re.findall(r"```python\n(\"\"\"A type of place of another.*?)```", page, re.DOTALL)
    module = Path(__file__).with_name("shelf.py").read_text("utf-8")
    assert shown == module
