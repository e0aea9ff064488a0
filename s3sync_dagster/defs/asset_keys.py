"""Which assets a source has, for those that come after it."""

import dagster as dg

from s3sync_dagster.core.naming import asset_path
from s3sync_dagster.core.shards import FIRST_SHARD
from s3sync_dagster.defs.catalog_reading import read_shards
from s3sync_dagster.defs.resources import AnySource
from s3sync_dagster.settings import load_settings


def asset_keys(source: AnySource) -> list[dg.AssetKey]:
    """Return the keys of all assets of a source as the catalog has them by now.

    For ``deps`` of an asset that comes after a source with very many keys: one that names the
    first asset alone hears nothing of keys that the others show. Asked for while definitions
    load; where the catalog does not answer, and before anything was run, it is the first asset.
    """
    one = source.to_source()
    shards = read_shards(load_settings(), problems=[]).get(one.name, FIRST_SHARD)
    return [dg.AssetKey(asset_path(one, shard)) for shard in range(FIRST_SHARD, shards + 1)]
