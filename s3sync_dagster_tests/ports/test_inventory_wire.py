"""Inventory reports in a real S3 over HTTP: what is read of them, and what goes over the wire."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from s3sync_dagster.core.state import ListingState
from s3sync_dagster.engine.listing import continue_listing
from s3sync_dagster.engine.pages import look
from s3sync_dagster.engine.reports import nothing_new
from s3sync_dagster.model.errors import AccessDenied
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.ports.places import Surroundings, open_store
from s3sync_dagster_tests.columnar_reports import FORMATS, as_format, file_of
from s3sync_dagster_tests.conftest_aws import AwsEndpoint
from s3sync_dagster_tests.conftest_catalog import HandClock
from s3sync_dagster_tests.fresh_catalogs import close_database, fresh_catalog
from s3sync_dagster_tests.inventory_reports import VERSIONED, delivered, row_of
from s3sync_dagster_tests.wire_proxy import Fault, WireProxy, wire_proxy

NOW = datetime(2026, 11, 23, 1, tzinfo=UTC)
KEYS = ["docs/a b+c.md", "docs/100%.md", "docs/ü.md", "docs/plain.md"]


class Delivering:
    """A source's bucket, and the one to which reports of it are delivered."""

    def __init__(self, endpoint: AwsEndpoint, proxy: WireProxy, home: Path) -> None:
        self._endpoint, self.proxy, self._home = endpoint, proxy, home
        self.bucket = endpoint.make_bucket("listed", versioned=True)
        self.reports = endpoint.make_bucket("reports")
        self.prefix = f"made/{self.bucket}/all/"
        self.clock = HandClock()
        self.catalog = fresh_catalog("sqlite://", clock=self.clock)
        self.source = endpoint.source(
            self.bucket,
            endpoint_url=proxy.url,
            path_prefix="docs/",
            inventory=f"s3://{self.reports}/{self.prefix}",
        )
        self.catalog.sources.add(self.source)
        self.store = open_store(self.source, self._surroundings())
        self._days = 0

    def _surroundings(self) -> Surroundings:
        def none(*_: Any) -> Any:
            raise AssertionError("not asked for")

        return Surroundings(
            home=self._home,
            resolve_env=self._endpoint.resolve_env,
            resolve_credential=none,
            uploads=none,
            guard_for=lambda *_: None,
        )

    def deliver(self, kind: str = "CSV") -> None:
        """Deliver what the bucket holds now, with all versions, as AWS lays it out."""
        found = self._endpoint.s3.list_object_versions(Bucket=self.bucket)
        rows = [
            row_of(
                ObjectRef(
                    key=one["Key"],
                    etag=one.get("ETag", "").strip('"'),
                    size=one.get("Size", 0),
                    last_modified=one["LastModified"],
                ),
                bucket=self.bucket,
                VersionId=one["VersionId"],
                IsLatest=str(one["IsLatest"]).lower(),
                IsDeleteMarker=str("Size" not in one).lower(),
            )
            for one in [*found.get("Versions", ()), *found.get("DeleteMarkers", ())]
        ]
        self._days += 1
        created = NOW + timedelta(days=self._days)
        told = delivered(
            created.strftime("%Y-%m-%dT%H-%MZ"),
            [file_of(kind, rows[part::2], VERSIONED) for part in range(2)],
            created=created,
            prefix=self.prefix,
            manifest={"sourceBucket": self.bucket, **as_format(kind, VERSIONED)},
        )
        self._endpoint.put_all(self.reports, told)

    def listing(self) -> Any:
        """List from the newest report; returns the listing."""
        progress = continue_listing(
            self.source,
            catalog=self.catalog,
            store=self.store,
            clock=self.clock,
            owner="test",
            snapshots=self._home / "listings",
        )
        assert progress is not None
        return progress.listing

    def wire(self) -> dict[str, int]:
        """Return what went over the wire since the last call."""
        counts = self.proxy.counts()
        self.proxy.reset()
        return counts

    def close(self) -> None:
        """Close connections."""
        self.store.close()
        close_database(self.catalog.database)


@pytest.fixture
def delivering(aws_endpoint: AwsEndpoint, tmp_path: Path) -> Iterator[Delivering]:
    with wire_proxy(aws_endpoint.url) as proxy:
        made = Delivering(aws_endpoint, proxy, tmp_path)
        yield made
        made.close()


@pytest.mark.parametrize("kind", FORMATS)
def test_reports_are_listed_and_what_they_cost_on_the_wire_is_counted(
    delivering: Delivering, aws_endpoint: AwsEndpoint, kind: str
) -> None:
    bucket, source = delivering.bucket, delivering.source
    for key in [*KEYS, "docs/twice.md", "docs/gone.md", "logs/other.md"]:
        aws_endpoint.put(bucket, key, f"text of {key}")
    etag = aws_endpoint.put(bucket, "docs/twice.md", "its second version")
    aws_endpoint.delete(bucket, "docs/gone.md")
    delivering.deliver(kind)
    first = delivering.listing()
    assert (first.listed, first.new) == (5, 5)
    assert delivering.wire() == {"LIST": 1, "GET": 4}  # the manifest, its checksum, two files
    known = {key: delivering.catalog.work.object(source.id, key) for key in KEYS}
    assert all(known.values())
    twice = delivering.catalog.work.object(source.id, "docs/twice.md")
    assert twice is not None
    assert twice.etag == etag

    parts = {"store": delivering.store, "catalog": delivering.catalog}
    assert nothing_new(source, **parts) == "no inventory report after that of 2026-11-24T01-00Z"
    assert delivering.wire() == {"LIST": 1}

    aws_endpoint.put(bucket, KEYS[0], "changed")
    aws_endpoint.delete(bucket, KEYS[1])
    aws_endpoint.put(bucket, "docs/new.md", "new")
    delivering.deliver(kind)
    delivering.wire()
    assert nothing_new(source, **parts) is None
    assert delivering.wire() == {"LIST": 1, "GET": 2}
    second = delivering.listing()
    assert (second.listed, second.new, second.changed) == (5, 1, 1)
    assert second.state is ListingState.COMPLETE
    deleted = delivering.catalog.work.object(source.id, KEYS[1])
    assert deleted is not None
    assert deleted.gone
    assert delivering.wire() == {"LIST": 1, "GET": 4, "HEAD": 2}
    assert dict(delivering.store.requests()) == {"LIST": 4, "GET": 10, "HEAD": 2}


def test_who_may_not_see_the_reports_is_told_so_by_the_first_look(
    delivering: Delivering,
) -> None:
    denied = Fault(status=403, code="AccessDenied")
    delivering.proxy.plan = lambda request: (
        denied if f"/{delivering.reports}" in request.target else None
    )
    with pytest.raises(AccessDenied, match=delivering.reports):
        look(delivering.store, "docs/")
    delivering.proxy.plan = None
    delivering.wire()
    look(delivering.store, "docs/")
    assert delivering.wire() == {"LIST": 2}
