"""Folders and repositories declared in Python and YAML: what Dagster gets of them."""

import dagster as dg
import pytest
import yaml
from dagster.components import ScaffoldRequest

import s3sync_dagster
from s3sync_dagster.defs import component
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.place import Place
from s3sync_dagster.places.folder import FolderPlace
from s3sync_dagster.places.git import GitPlace
from s3sync_dagster.places.web import WebPlace


def test_sources_of_several_types_are_built_side_by_side(monkeypatch):
    monkeypatch.setenv("S3SYNC_CHROMA_URL", "http://127.0.0.1:1")
    defs = s3sync_dagster.build_definitions(
        [
            s3sync_dagster.FolderSource(
                name="handbook", folder="/srv/handbook", marker=".mounted", collection_name="hand"
            ),
            s3sync_dagster.GitSource(
                name="code",
                repository="team/code",
                ref="main",
                token_env="T",
                collection_name="code",
            ),
            s3sync_dagster.WebSource(
                name="guide", starting_url="https://docs.example.org/", collection_name="guide"
            ),
            s3sync_dagster.FolderSource(name="wrong", folder="relative", collection_name="wrong"),
        ]
    )
    graph = defs.resolve_asset_graph()
    assert {key.to_user_string() for key in graph.get_all_asset_keys()} == {
        "s3/handbook", "s3/code", "s3/guide",
    }  # fmt: skip
    assert {sensor.name for sensor in defs.sensors or []} >= {
        "handbook_auto_sync", "code_auto_sync", "guide_auto_sync", "dispatch",
    }  # fmt: skip
    metadata = {spec.key.path[-1]: spec.metadata for spec in defs.resolve_all_asset_specs()}
    assert metadata["handbook"]["bucket"] == "/srv/handbook/"
    assert metadata["code"]["bucket"] == "github.com/team/code@main"
    assert metadata["guide"]["bucket"] == "https://docs.example.org/"
    (problem,) = (defs.metadata or {})["s3sync/left_out"].value
    assert "'wrong' is left out" in problem
    assert "folder" in problem


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        (s3sync_dagster.FolderSyncComponent, FolderPlace(folder="/srv/docs")),
        (s3sync_dagster.GitSyncComponent, GitPlace(repository="o/r")),
        (s3sync_dagster.WebSyncComponent, WebPlace(starting_url="https://docs.example.org/")),
    ],
)
def test_what_is_scaffolded_in_yaml_is_a_source_of_the_place(kind, place: Place, tmp_path):
    scaffolder = {
        s3sync_dagster.FolderSyncComponent: component.FolderSyncScaffolder,
        s3sync_dagster.GitSyncComponent: component.GitSyncScaffolder,
        s3sync_dagster.WebSyncComponent: component.WebSyncScaffolder,
    }[kind]()
    scaffolder.scaffold(
        ScaffoldRequest(
            type_name=f"s3sync_dagster.defs.component.{kind.__name__}",
            target_path=tmp_path / "wiki-pages",
            scaffold_format="yaml",
            project_root=None,
            params=None,
        )
    )
    written = yaml.safe_load((tmp_path / "wiki-pages" / "defs.yaml").read_text())
    loaded = kind(**written["attributes"])
    with pytest.raises(
        InvalidSetting, match=r"(folder|repository|starting_url) is still '.*CHANGE-ME"
    ):
        loaded.as_resource().to_source()
    own = {
        name: getattr(place, name)
        for name in ("folder", "repository", "starting_url")
        if hasattr(place, name)
    }
    loaded = kind(**written["attributes"] | own)
    source = loaded.as_resource().to_source()
    assert source.place == place
    assert (source.name, source.collection_name) == ("wiki_pages", "wiki-pages-texts")
    assert isinstance(loaded, dg.Component)
