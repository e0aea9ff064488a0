"""The database of sources, objects, documents and invocations: the state that decides."""

from s3sync_dagster.catalog.audit import Audit
from s3sync_dagster.catalog.batches import Batches
from s3sync_dagster.catalog.collections import CollectionRows
from s3sync_dagster.catalog.credentials import Credentials
from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.documents import Documents
from s3sync_dagster.catalog.history import History
from s3sync_dagster.catalog.hours import Hours
from s3sync_dagster.catalog.invocations import Invocations
from s3sync_dagster.catalog.kept_counts import KeptCounts
from s3sync_dagster.catalog.listings import Listings
from s3sync_dagster.catalog.moves import Moves
from s3sync_dagster.catalog.partitions import Partitions
from s3sync_dagster.catalog.queue_troubles import QueueTroubles
from s3sync_dagster.catalog.quotas import ObjectQuota
from s3sync_dagster.catalog.rebuilding import Rebuilding
from s3sync_dagster.catalog.reports import Reports
from s3sync_dagster.catalog.schema import prepare_schema
from s3sync_dagster.catalog.servers import Servers
from s3sync_dagster.catalog.sources import SourceRows
from s3sync_dagster.catalog.tokens import Tokens
from s3sync_dagster.catalog.uploads import Uploads
from s3sync_dagster.catalog.views import Views
from s3sync_dagster.catalog.wholes import Wholes
from s3sync_dagster.catalog.work import Work
from s3sync_dagster.core.shards import PARTITIONS_PER_ASSET
from s3sync_dagster.engine.clock import Clock


class Catalog:
    """One door a table; all of them share the database and the clock."""

    def __init__(
        self, database: Database, *, partitions_per_asset: int = PARTITIONS_PER_ASSET
    ) -> None:
        self.database = database
        self.sources = SourceRows(database)
        self.servers = Servers(database)
        self.queue_troubles = QueueTroubles(database)
        self.moves = Moves(database)
        self.listings = Listings(database)
        self.reports = Reports(database)
        self.invocations = Invocations(database)
        self.wholes = Wholes(database)
        self.batches = Batches(database)
        self.documents = Documents(database)
        self.collections = CollectionRows(database)
        self.rebuilding = Rebuilding(database)
        self.work = Work(database)
        self.partitions = Partitions(database, most=partitions_per_asset)
        self.views = Views(database)
        self.kept_counts = KeptCounts(database)
        self.history = History(database)
        self.hours = Hours(database)
        self.credentials = Credentials(database)
        self.tokens = Tokens(database)
        self.audit = Audit(database)
        self.uploads = Uploads(database)

    def close(self) -> None:
        """Close the database's connections."""
        self.database.close()


def open_catalog(
    url: str,
    *,
    clock: Clock | None = None,
    migrate: bool = True,
    quota: ObjectQuota | None = None,
    partitions_per_asset: int = PARTITIONS_PER_ASSET,
) -> Catalog:
    """Open the catalog at ``url``, with its schema as ``prepare_schema`` leaves it.

    Raises ``InvalidSetting`` for a URL that cannot be used, ``Unavailable`` for a database that
    does not answer, ``FixConfiguration`` for a schema of another version.
    """
    database = Database(url, clock=clock, quota=quota)
    if migrate:
        try:
            prepare_schema(database)
        except BaseException:
            database.close()
            raise
    return Catalog(database, partitions_per_asset=partitions_per_asset)
