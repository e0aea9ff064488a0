"""Every door offers every setting of a source, from one table; what differs is named there."""

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import click
import pytest

import s3sync_dagster
from s3sync_dagster.api.manage_wire import SourceChange
from s3sync_dagster.api.wire_settings import settings_payload, with_chunking, with_payload
from s3sync_dagster.api.wire_source import VARIANTS, Chunking, CreateSource, S3Fields
from s3sync_dagster.cli.settings_reference import settings_markdown
from s3sync_dagster.cli.source_options import at, setting_options, with_settings
from s3sync_dagster.cli.sources import create, edit
from s3sync_dagster.defs.component import (
    FilesSyncComponent,
    FolderSyncComponent,
    GitSyncComponent,
    S3SyncComponent,
    WebSyncComponent,
)
from s3sync_dagster.defs.resources import (
    FilesSource,
    FolderSource,
    GitSource,
    S3Source,
    WebSource,
)
from s3sync_dagster.defs.source_fields import setting_fields
from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.model.embedding_kinds import EMBEDDING_KINDS
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.place import UploadPlace
from s3sync_dagster.model.place_types import place_classes
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster.places.files import FilesPlace
from s3sync_dagster.places.folder import FolderPlace
from s3sync_dagster.places.git import GitPlace
from s3sync_dagster.places.web import WebPlace
from s3sync_dagster.setting import Door, Setting
from s3sync_dagster.source_settings import SETTINGS
from s3sync_dagster_tests.sources import s3_source

ROOT = Path(s3sync_dagster.__file__).parents[1]
SOURCE = s3_source(id="i", name="docs", bucket_name="bucket", collection_name="texts")
BY_PATH = {setting.path: setting for setting in SETTINGS}
NO_SETTINGS = {"id", "place.type", "place.within"}
"""Of the value, and nobody's to choose."""
FOLDER = replace(SOURCE, place=FolderPlace(folder="/srv/docs"))
REPOSITORY = replace(SOURCE, place=GitPlace(repository="team/docs"))
SITE = replace(SOURCE, place=WebPlace(starting_url="https://docs.example.org/"))
STORE = replace(SOURCE, place=FilesPlace(store_url="gs://bucket/docs"))
OF_CODE = {
    "s3": (S3Source, S3SyncComponent, {"bucket_name": "bucket"}),
    "folder": (FolderSource, FolderSyncComponent, {"folder": "/srv/docs"}),
    "github": (GitSource, GitSyncComponent, {"repository": "team/docs"}),
    "web_scrape": (WebSource, WebSyncComponent, {"starting_url": "https://docs.example.org/"}),
    "files": (FilesSource, FilesSyncComponent, {"store_url": "gs://bucket/docs"}),
}
"""For each type that code declares: its resource, its component, and what it has to be given."""


def leaves(value: Any, prefix: str = "") -> Iterator[str]:
    """Yield the path of each thing that a value holds, also of those inside its parts."""
    for one in fields(value):
        inner = getattr(value, one.name)
        if is_dataclass(inner):
            yield from leaves(inner, f"{prefix}{one.name}.")
        else:
            yield f"{prefix}{one.name}"


def home_of(setting: Setting) -> str:
    """Return the first type of place that has the setting."""
    return next(tag for tag, kind in place_classes().items() if setting.belongs_to(kind))


def source_of(setting: Setting) -> Any:
    """Return a source that has the setting."""
    sources = {"s3": SOURCE, "folder": FOLDER, "github": REPOSITORY, "web_scrape": SITE}
    sources["files"] = STORE
    return sources[home_of(setting)]


def another(setting: Setting) -> Any:
    """Return a value that the setting does not have by itself, as a program would write it."""
    match setting.kind:
        case "choice":
            easy = (one for one in setting.choices if one != setting.default and one != "onnx")
            return next(easy)  # `onnx` needs a folder beside it
        case "whole":
            return setting.least + 7
        case "flag":
            return not setting.default
        case "texts" if setting.path == "place.other_hosts":
            return ["other.example.org"]
        case "texts":
            return [".md"]
        case _ if setting.path == "place.inventory":
            return "s3://reports/there/"
        case _ if setting.path == "place.folder":
            return "/other"
        case _ if setting.path == "enrich":
            return "my_project.enrichment:redact"
        case _ if setting.path == "path_metadata":
            return "^(?P<team>x)"
        case _ if setting.path == "place.repository":
            return "team/other"
        case _ if setting.path == "place.store_url":
            return "gs://there/x"
        case "mapping":
            return {".pdf": "pypdfium2"}
        case _:
            return "http://there/x" if setting.path.endswith("url") else "word"


def ids(settings: list[Setting]) -> Any:
    return pytest.mark.parametrize("setting", settings, ids=lambda one: one.path)


def read(source: Any, setting: Setting) -> Any:
    value = setting.read(source)
    return list(value) if isinstance(value, tuple) else value


def test_every_value_of_a_source_is_a_row_and_every_row_a_value():
    uploads = replace(SOURCE, place=UploadPlace())
    kinds = (SOURCE, FOLDER, REPOSITORY, SITE, STORE, uploads)
    every = {path for one in kinds for path in leaves(one)}
    assert sorted(BY_PATH) == sorted(every - NO_SETTINGS)
    assert len(BY_PATH) == len(SETTINGS)


def test_no_two_settings_have_one_name_at_a_door():
    for names in (
        [one.flag for one in SETTINGS],
        [one.code_path for one in SETTINGS],
        [one.wire_name for one in SETTINGS if one.group is None],
    ):
        assert len(set(names)) == len(names)


def test_exceptions_have_a_reason():
    for setting in SETTINGS:
        assert Door.CODE not in setting.missing
        assert Door.CREATE not in setting.missing
        assert all(len(why) > 10 for why in setting.missing.values())


PAIR = {"access_key_id_env": "A", "secret_access_key_env": "B"}
COMPANIONS = {name: PAIR for name in (*PAIR, "session_token_env")} | {
    "external_id": {"role_arn": "arn:aws:iam::1:role/x"}
}
"""What has to stand beside a setting."""


@ids([one for one in SETTINGS if one.path != "name"])
def test_python_and_yaml_set_it(setting):
    value = another(setting)
    resource, component, place = OF_CODE[home_of(setting)]
    given = {"name": "docs", "collection_name": "texts", **place}
    given |= {setting.group: {setting.word: value}} if setting.group else {setting.code_name: value}
    assert (setting.group or setting.code_name) in component.model_fields
    assert read(resource(**COMPANIONS.get(setting.word, {}) | given).to_source(), setting) == value


@ids(at(Door.CREATE))
def test_source_create_and_edit_set_it(setting):
    edits = {one.path for one in at(Door.EDIT)}
    assert (setting.path in edits) == (Door.EDIT not in setting.missing)
    for command, offered in ((create, True), (edit, setting.path in edits)):
        names = {name for param in command.params for name in param.opts}
        assert (setting.flag in names) is offered
    value = another(setting)
    given = '{".pdf": "pypdfium2"}' if setting.kind == "mapping" else value
    assert read(with_settings(source_of(setting), {setting.parameter: given}), setting) == value


@ids(list(SETTINGS))
def test_the_api_sets_it(setting):
    for door, model in ((Door.POST, VARIANTS[home_of(setting)]), (Door.PATCH, SourceChange)):
        if not setting.offered(door):
            held = setting.wire_name in model.model_fields and setting.group is None
            assert not held
        elif setting.contract and door is Door.POST:
            assert _in_schema(setting.contract), setting.contract
        else:
            _sets(setting, door, model)


def _sets(setting: Setting, door: Door, model: Any) -> None:
    value = another(setting)
    source = source_of(setting)
    if setting.group == "chunking":
        chunking = {"type": "lines", setting.word: value}
        changed = with_chunking(SOURCE, Chunking.model_validate(chunking))
    else:
        inner = {setting.wire_name: value}
        given = {setting.group: inner} if setting.group else inner
        _, _, place = OF_CODE[home_of(setting)]
        required = {**place, "collection_name": "texts"}
        required |= {"region": "us-east-1"} if model is S3Fields else {}
        if door is Door.POST:
            given = required | given
        changed = with_payload(source, model.model_validate(given), door)
    assert read(changed, setting) == value


def _in_schema(path: str) -> bool:
    schema = CreateSource.model_json_schema()
    at_hand: list[Any] = [schema]
    for word in path.split("."):
        at_hand = [found for one in at_hand for found in _properties(one, word, schema)]
    return bool(at_hand)


def _properties(node: Any, word: str, schema: Any) -> list[Any]:
    """Return all that a property of that name may be, whatever unions are around it."""
    if isinstance(node, list):
        return [found for one in node for found in _properties(one, word, schema)]
    if not isinstance(node, dict):
        return []
    if "$ref" in node:
        return _properties(schema["$defs"][node["$ref"].rpartition("/")[2]], word, schema)
    here = [node["properties"][word]] if word in node.get("properties", {}) else []
    for union in ("anyOf", "oneOf", "allOf"):
        here += _properties(node.get(union, []), word, schema)
    return here


def test_null_takes_away_what_may_be_empty_and_says_nothing_elsewhere():
    set_up = BY_PATH["place.queue_url"].put(SOURCE, "http://there/x")
    change = SourceChange.model_validate({"queue_url": None, "mode": None, "region": None})
    assert with_payload(set_up, change, Door.PATCH) == SOURCE


def test_a_setting_of_buckets_is_refused_for_uploads():
    uploads = replace(SOURCE, place=UploadPlace())
    change = SourceChange.model_validate({"requester_pays": True})
    with pytest.raises(InvalidSetting, match="requester_pays is no setting of file_upload sources"):
        with_payload(uploads, change, Door.PATCH)
    kept = SourceChange.model_validate({"list_interval_seconds": 5})
    assert with_payload(uploads, kept, Door.PATCH).list_interval_seconds == 5


def test_a_new_row_is_all_that_the_doors_need():
    """The seam: whoever adds a setting adds its field to the value and one row here."""
    row = replace(BY_PATH["extraction.ocr_languages"], option="tongues", path="id_prefix")
    row = replace(row, code="tongues", contract=None, help="Words of a new row.", missing={})
    table = [row]
    assert setting_fields(table).model_fields["tongues"].description == row.help
    for door in (Door.POST, Door.PATCH):
        payload = settings_payload(door, table).model_validate({"id_prefix": "x-"})
        assert with_payload(SOURCE, payload, door, table).id_prefix == "x-"

    @click.command()
    @setting_options(at(Door.EDIT, table))
    def command(**options: Any) -> None:
        del options

    assert [param.opts for param in command.params] == [["--tongues"]]
    assert with_settings(SOURCE, {"tongues": "x-"}, table).id_prefix == "x-"
    assert row.help in settings_markdown(table)


def test_the_page_of_settings_is_what_the_table_says():
    assert (ROOT / "docs" / "settings.md").read_text("utf-8") == settings_markdown()


MEETS_A_NEW_PLACE = {
    "model/place_types.py": "its row",
    "defs/source_fields.py": "its settings as fields",
    "defs/resources.py": "its resource",
    "defs/component.py": "its component",
    "__init__.py": "their names",
}
"""Of the package; ``docs/places.md`` shows each. The type itself is a module of its own."""


def test_a_new_place_meets_at_most_eight_files():
    """Whoever names a repository knows its type; the others ask the place and stay as they are."""
    package = ROOT / "s3sync_dagster"
    named = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(r"\bGit(Place|Fields|Source|Sync)|places\.git\b", path.read_text("utf-8"))
    }
    own = {name for name in named if name.startswith("places/")}
    assert named - own == set(MEETS_A_NEW_PLACE)
    assert len(MEETS_A_NEW_PLACE) <= 8


def test_the_kinds_of_embedding_are_listed_once():
    """A new kind is a row and the module it names: nobody else spells one out."""
    found = {
        path.name
        for path in (ROOT / "s3sync_dagster").rglob("*.py")
        if '"chroma-cloud"' in path.read_text("utf-8")
    }
    assert found == {"embedding_kinds.py", "models.py"}  # the latter: the default with a key


@pytest.mark.parametrize("kind", sorted(set(EMBEDDING_KINDS) - {"onnx"}))  # as its folder says
def test_the_size_of_chunks_is_that_of_the_model(kind, tmp_path):
    config = EmbeddingConfig(kind=kind, endpoint_url="http://there/v1", model=None)
    if EMBEDDING_KINDS[kind].needs:
        config = replace(config, model="m")
    embedder = open_embedder(config, api_key=lambda _: "key")
    assert embedder.limits.default_size_bytes == EMBEDDING_KINDS[kind].chunk_bytes


def test_a_kind_that_there_is_none_of_is_refused_at_opening_too():
    with pytest.raises(InvalidSetting, match=r"embedding\.kind is 'mini-lm'"):
        open_embedder(EmbeddingConfig(kind="mini-lm"))
