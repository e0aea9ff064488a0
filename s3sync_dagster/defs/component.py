"""A source in YAML: ``dg scaffold defs s3sync_dagster.defs.component.S3SyncComponent NAME``."""

from typing import Any

import dagster as dg
from dagster.components import Scaffolder, ScaffoldRequest, scaffold_with

from s3sync_dagster.defs.building import build_definitions
from s3sync_dagster.defs.resources import S3Source
from s3sync_dagster.defs.source_fields import SourceFields

_TEMPLATE = """\
# To a first result:
#   1. Name a Chroma server: `chroma run`, then export S3SYNC_CHROMA_URL=http://127.0.0.1:8000
#   2. Fill in bucket_name. Credentials come from AWS's default chain.
#   3. `dg dev`: the bucket is listed within a minute, the asset s3/{name} shows each object.
#   4. `s3sync query "some words" --collection {collection}`, `s3sync failures`
# All settings: docs/settings.md of s3sync-dagster.
type: {type_name}

attributes:
  name: {name}
  bucket_name: CHANGE-ME
  path_prefix: ""
  collection_name: {collection}
  list_interval: 300  # seconds between listings
  # endpoint_url: http://127.0.0.1:9000  (MinIO and other servers)
  # extensions: [.md, .pdf]
  # queue_url: https://sqs.REGION.amazonaws.com/ACCOUNT/QUEUE
  # Secrets by the names of variables, never by value:
  # access_key_id_env: AWS_ACCESS_KEY_ID
  # secret_access_key_env: AWS_SECRET_ACCESS_KEY
"""


class S3SyncScaffolder(Scaffolder[Any]):
    """Writes a ``defs.yaml`` with the settings that everybody needs."""

    def scaffold(self, request: ScaffoldRequest[Any]) -> None:
        """Write the file into the new folder."""
        folder = request.target_path
        folder.mkdir(parents=True, exist_ok=True)
        name = "".join(c if c.isascii() and c.isalnum() else "_" for c in folder.name)
        collection = name.replace("_", "-").strip("-") + "-texts"
        text = _TEMPLATE.format(type_name=request.type_name, name=name, collection=collection)
        path = folder / "defs.yaml"
        if request.append and path.exists():
            text = f"{path.read_text('utf-8').rstrip()}\n\n---\n\n{text}"
        path.write_text(text, "utf-8")


@scaffold_with(S3SyncScaffolder)
class S3SyncComponent(dg.Component, SourceFields, dg.Model, dg.Resolvable):
    """A bucket and prefix whose objects become searchable records of a Chroma collection.

    Secrets are given by the names of environment variables, never by value: a value would stand
    in the UI. Several instances in one project share the sensors ``dispatch`` and
    ``<queue>_intake``, which the first of them (by name) brings along.
    """

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return the definitions of all sources with the first instance, none with the others."""
        everyone = sorted(
            context.component_tree.get_all_components(of_type=S3SyncComponent),
            key=lambda component: component.name,
        )
        if everyone and everyone[0] is not self:
            return dg.Definitions()
        declared = [component.as_resource() for component in everyone or [self]]
        return build_definitions(declared, origin="yaml")

    def as_resource(self) -> S3Source:
        """Return the resource with these settings."""
        return S3Source(**{name: getattr(self, name) for name in SourceFields.model_fields})
