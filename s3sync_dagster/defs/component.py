"""A source in YAML: ``dg scaffold defs s3sync_dagster.defs.component.S3SyncComponent NAME``."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import dagster as dg
from dagster.components import Scaffolder, ScaffoldRequest, scaffold_with
from dagster.components.resolved.core_models import ResolvedAssetAttributes
from pydantic import Field, PrivateAttr

from s3sync_dagster.core.naming import source_name_of
from s3sync_dagster.defs.building import build_definitions
from s3sync_dagster.defs.resources import (
    DeclaredSource,
    FilesSource,
    FolderSource,
    GitSource,
    S3Source,
    WebSource,
)
from s3sync_dagster.defs.source_fields import (
    FilesFields,
    FolderFields,
    GitFields,
    SourceFields,
    WebFields,
)

_HEAD = """\
# To a first result:
#   1. Name a Chroma server: `chroma run`, then export S3SYNC_CHROMA_URL=http://127.0.0.1:8000
#   2. Say where the objects are (CHANGE-ME: `dg check defs` asks for it); AWS's default chain has
#      the credentials.
#   3. `dg dev`: the place is listed within a minute, the asset s3/{name} shows each object.
#   4. `s3sync query "some words" --collection {collection}`, `s3sync failures`
# All settings: docs/settings.md of s3sync-dagster.
type: {type_name}

attributes:
  name: {name}
  collection_name: {collection}
  list_interval: 300  # seconds between listings
  # extensions: [.md, .pdf]
  # asset_attributes:
  #   freshness_policy: "{{{{ fresh_within(hours=6) }}}}"
  #   tags: {{tier: "1"}}
"""
_BUCKET = """\
  bucket_name: CHANGE-ME
  path_prefix: ""
  # endpoint_url: http://127.0.0.1:9000  (MinIO and other servers)
  # queue_url: https://sqs.REGION.amazonaws.com/ACCOUNT/QUEUE
  # Secrets by the names of variables, never by value:
  # access_key_id_env: AWS_ACCESS_KEY_ID
  # secret_access_key_env: AWS_SECRET_ACCESS_KEY
"""
_FOLDER = """\
  folder: /CHANGE-ME
  # A file that is there as long as the folder is mounted:
  # marker: .mounted
"""
_REPOSITORY = """\
  repository: CHANGE-ME/CHANGE-ME  # owner and name at GitHub, or a URL
  # ref: main
  # The name of a variable with a token, for a private one:
  # token_env: GITHUB_TOKEN
"""
_SITE = """\
  starting_url: https://CHANGE-ME/
  # page_limit: 1000
  # include_path_regexes: ["^/guide/"]
"""
_STORE = """\
  store_url: gs://CHANGE-ME/docs  # or abfs://, sftp://, davs://, index+https://
  # The name of a variable with the password, key or token:
  # token_env: STORE_SECRET
"""


class S3SyncScaffolder(Scaffolder[Any]):
    """Writes a ``defs.yaml`` with the settings that everybody needs."""

    place: ClassVar[str] = _BUCKET
    """What the file says of the place."""

    def scaffold(self, request: ScaffoldRequest[Any]) -> None:
        """Write the file into the new folder."""
        folder = request.target_path
        folder.mkdir(parents=True, exist_ok=True)
        name = "".join(c if c.isascii() and c.isalnum() else "_" for c in folder.name)
        collection = name.replace("_", "-").strip("-") + "-texts"
        text = _HEAD.format(type_name=request.type_name, name=name, collection=collection)
        text += self.place
        path = folder / "defs.yaml"
        if request.append and path.exists():
            text = f"{path.read_text('utf-8').rstrip()}\n\n---\n\n{text}"
        path.write_text(text, "utf-8")


class FolderSyncScaffolder(S3SyncScaffolder):
    """Writes a ``defs.yaml`` of a folder."""

    place: ClassVar[str] = _FOLDER


class GitSyncScaffolder(S3SyncScaffolder):
    """Writes a ``defs.yaml`` of a repository."""

    place: ClassVar[str] = _REPOSITORY


class WebSyncScaffolder(S3SyncScaffolder):
    """Writes a ``defs.yaml`` of a web site."""

    place: ClassVar[str] = _SITE


class FilesSyncScaffolder(S3SyncScaffolder):
    """Writes a ``defs.yaml`` of a file store."""

    place: ClassVar[str] = _STORE


def fresh_within(*, hours: float, warn_hours: float | None = None) -> dg.FreshnessPolicy:
    """Return a policy that fails where nothing was materialised for so long.

    Args:
        hours: from the newest materialisation until the asset counts as stale.
        warn_hours: until it is warned of; None: never before.
    """
    warn = None if warn_hours is None else timedelta(hours=warn_hours)
    return dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=hours), warn_window=warn)


class SourceComponent(dg.Model):
    """What the components of all types of places do alike.

    Several instances in one project share the sensors ``dispatch`` and ``<queue>_intake``, which
    the first of them (by name) brings along.
    """

    resource_class: ClassVar[type[Any]]
    _stands_at: str = PrivateAttr("")
    """File and line that declare it, for messages; empty where it is of no file."""
    asset_attributes: ResolvedAssetAttributes | None = Field(
        default=None,
        description="What a project wants the asset to have besides: a freshness policy, an "
        "automation condition, tags, kinds, metadata, another description.",
    )

    @classmethod
    def get_additional_scope(cls) -> Mapping[str, Any]:
        """Return what templates of ``asset_attributes`` may call besides Dagster's own."""
        return {"fresh_within": fresh_within}

    @classmethod
    def load(cls, attributes: Any, context: dg.ComponentLoadContext) -> Any:
        """Return the component, which remembers where it stands."""
        component: Any = super().load(attributes, context)  # type: ignore[misc]
        tree = context.resolution_context.source_position_tree
        if tree is not None:
            path = Path(tree.position.filename)
            if path.is_relative_to(context.project_root):
                path = path.relative_to(context.project_root)
            component._stands_at = f"{path}:{tree.position.start.line}"
        return component

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return the definitions of all sources with the first instance, none with the others."""
        found: list[Any] = context.component_tree.get_all_components(of_type=SourceComponent)  # type: ignore[type-var]
        everyone = sorted(found, key=lambda component: component.name)
        if everyone and everyone[0] is not self:
            return dg.Definitions()
        those = everyone or [self]
        wanted = {one.name: one.asset_attributes for one in those if one.asset_attributes}

        def attributes(spec: dg.AssetSpec) -> dg.AssetSpec:
            given = dict(wanted.get(source_name_of(spec.key.path), {}))
            added = {name: given.pop(name) for name in ("metadata", "tags") if name in given}
            return spec.replace_attributes(**given).merge_attributes(**added)

        declared = [component.as_resource() for component in those]
        at = [component._stands_at for component in those]
        return build_definitions(declared, origin="yaml", attributes=attributes, stand_at=at)

    def as_resource(self) -> DeclaredSource:
        """Return the resource with these settings."""
        kind = self.resource_class
        return kind(**{name: getattr(self, name) for name in kind.model_fields})


@scaffold_with(S3SyncScaffolder)
class S3SyncComponent(SourceComponent, dg.Component, SourceFields, dg.Model, dg.Resolvable):
    """A bucket and prefix whose objects become searchable records of a Chroma collection.

    Secrets are given by the names of environment variables, never by value: a value would stand
    in the UI.
    """

    resource_class: ClassVar[type[Any]] = S3Source


@scaffold_with(FolderSyncScaffolder)
class FolderSyncComponent(SourceComponent, dg.Component, FolderFields, dg.Model, dg.Resolvable):
    """A folder whose files become searchable records of a Chroma collection."""

    resource_class: ClassVar[type[Any]] = FolderSource


@scaffold_with(GitSyncScaffolder)
class GitSyncComponent(SourceComponent, dg.Component, GitFields, dg.Model, dg.Resolvable):
    """A repository whose files become searchable records of a Chroma collection."""

    resource_class: ClassVar[type[Any]] = GitSource


@scaffold_with(WebSyncScaffolder)
class WebSyncComponent(SourceComponent, dg.Component, WebFields, dg.Model, dg.Resolvable):
    """A web site whose pages become searchable records of a Chroma collection."""

    resource_class: ClassVar[type[Any]] = WebSource


@scaffold_with(FilesSyncScaffolder)
class FilesSyncComponent(SourceComponent, dg.Component, FilesFields, dg.Model, dg.Resolvable):
    """A file store whose files become searchable records of a Chroma collection."""

    resource_class: ClassVar[type[Any]] = FilesSource
