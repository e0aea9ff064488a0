"""A source, objects, listings and documents in a few words."""

from s3sync_dagster.catalog import Catalog
from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.core.intent import Claim, DocumentCommit, Intent
from s3sync_dagster.core.keys import document_id
from s3sync_dagster.core.outcome import KeyOutcome
from s3sync_dagster.core.page import PageCommit
from s3sync_dagster.core.state import Target
from s3sync_dagster.engine.listing import finish_listing
from s3sync_dagster.model.invocation import Result
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.model.source import Source
from s3sync_dagster_tests.sources import s3_source


def source(name="docs", **changes):
    values = {"id": f"id-{name}", "bucket_name": "bucket", "collection_name": "ccc", **changes}
    return s3_source(name=name, **values)


def ref(key, etag="e1", size=10):
    return ObjectRef(key=key, etag=etag, size=size)


def list_all(catalog, src, refs, *, owner="me", removes=True, approved=False):
    catalog.database.clock.seconds += 1
    listing = catalog.listings.begin(src.id, owner=owner)
    window = catalog.listings.window(src.id, after=None, until=None, limit=10_000)
    keys = {r.key for r in refs}
    changed = [
        r for r in refs if r.key not in window.objects or window.objects[r.key].etag != r.etag
    ]
    assert catalog.listings.commit_page(
        listing,
        PageCommit(
            asked=listing.number,
            cursor=max(keys) if keys else None,
            listed=len(refs),
            new=len(keys - set(window.objects)),
            missing=sorted(set(window.objects) - keys),
            upserts=[(r, None) for r in changed],
            invoke=[r.key for r in changed],
        ),
        owner=owner,
    )
    return finish_listing(
        listing, listings=catalog.listings, owner=owner, removes=removes, approved=approved
    )


def index(catalog: Catalog, src: Source, token: str, key: str, count=2, custom_id=None):
    did = document_id(key, custom_id=custom_id, id_prefix=src.id_prefix)
    [claim] = catalog.documents.claim(
        token,
        src,
        [
            Intent(
                key=key,
                target=Target(collection_name=src.collection_name, custom_id=custom_id),
                document_id=did,
                count=count,
                metadata_keys=("a",),
            )
        ],
    )
    assert isinstance(claim, Claim)
    return claim, DocumentCommit(
        id=claim.before.id,
        etag="e1",
        fingerprint="f",
        count=count,
        digests=b"x" * 16 * count,
        metadata_keys=("a",),
        text_bytes=5,
        pages=0,
    )


def done(key, **changes):
    values = {
        "result": Result.INDEXED,
        "outcome": "indexed",
        "etag": "e1",
        "fingerprint": "f",
    }
    return KeyOutcome(key=key, **{**values, **changes})


def index_all(catalog: Catalog, src: Source, keys):
    """List these keys and index them in one batch."""
    list_all(catalog, src, [ref(key) for key in keys])
    batch = catalog.batches.reserve(src.id, take=Take(), owner="me", run_id="r")
    commits = [index(catalog, src, batch.token, key)[1] for key in keys]
    catalog.documents.commit(
        batch.token, src, written=commits, outcomes=[done(key) for key in keys]
    )
    catalog.batches.finish(batch.token)
