"""What ``why`` says at every door of an object that is not there, or not found."""

import pytest

from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.catalog.sidecar_rows import store_changes
from s3sync_dagster.catalog.tables import documents, objects
from s3sync_dagster.core.facts import SidecarChange, SidecarState
from s3sync_dagster.core.rights import WHOLE, Reader, Rights
from s3sync_dagster.explaining import explain_key
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster_tests.sources import s3_source

KEY = "a.md"
PLACE = {"tenant": "t", "database_name": "d", "collection_name": "docs"}
DOCUMENT = {
    **PLACE, "object_key": KEY, "document_id": "a", "metadata": {}, "owner": "source",
    "etag": "e", "fingerprint": "f", "chunks": 1, "high_water": 1, "digests": b"",
    "metadata_keys": [],
}  # fmt: skip
KEPT = "Its records stay: the source's delete mode is keep_deleted."
GONE = "The object is gone: it was seen last at 20"


def test_what_waits_for_a_paused_source_says_so(tmp_path):
    catalog = open_catalog(f"sqlite:///{tmp_path / 'catalog.db'}")
    source = catalog.sources.add(
        s3_source(id="one", name="docs", collection_name="docs", bucket_name="mine")
    )
    ref = ObjectRef(key=KEY, etag="e", size=1, storage_class="STANDARD")
    catalog.work.record_objects(source.id, [(ref, None)], known={})
    told = "It waits: the source is paused, until `s3sync source resume docs`."
    assert told not in explain_key(catalog, source, KEY, rights=WHOLE).decision
    catalog.sources.set_paused(source.id, paused=True)
    waiting = explain_key(catalog, source, KEY, rights=WHOLE)
    assert (waiting.state, told in waiting.decision) == ("pending", True)
    assert told not in explain_key(catalog, source, "b.md", rights=WHOLE).decision
    catalog.close()


def test_it_names_the_sidecar_that_speaks_of_an_object_or_says_that_none_does(tmp_path):
    catalog = open_catalog(f"sqlite:///{tmp_path / 'catalog.db'}")
    source = catalog.sources.add(
        s3_source(
            id="one", name="docs", collection_name="docs", bucket_name="mine",
            auto_sync=AutoSync.METADATA,
        )
    )  # fmt: skip
    ref = ObjectRef(key=KEY, etag="e", size=1, storage_class="STANDARD")
    catalog.work.record_objects(source.id, [(ref, None)], known={})
    none = explain_key(catalog, source, KEY, rights=WHOLE).decision
    assert any(one.startswith("No sidecar names it that") for one in none)
    says = {"path": KEY, "target_collection_name": None, "metadata": {"team": "hr"}, "etag": "e"}
    now = [
        SidecarState(sidecar_key=key, custom_id=name, **says)
        for key, name in (("a.meta.json", "one"), ("b.meta.json", "two"))
    ]
    changes = [SidecarChange(sidecar_key=one.sidecar_key, now=one, before=None) for one in now]
    with catalog.database.write() as tx:
        store_changes(tx, source.id, changes)
    told = explain_key(catalog, source, KEY, rights=WHOLE).decision
    first, second = told[-2:]
    assert first.startswith("The sidecar 'a.meta.json' names it, for the collection 'docs': custom")
    assert first.endswith('custom id one, metadata {"team": "hr"}.')
    assert second == "Not followed, as those come first: 'b.meta.json'."
    member = Rights(
        reader=Reader(frozenset({"hr"})), restricted={}, open_sources=frozenset({"one"})
    )
    assert "meta.json' names" not in str(explain_key(catalog, source, KEY, rights=member).decision)
    catalog.close()


@pytest.mark.parametrize(
    ("mode", "row", "phase", "begins"),
    [
        (DeleteMode.MIRROR, {"gone": True}, None, [GONE, "No record of it is left."]),
        (DeleteMode.MIRROR, {"gone": True}, "clean", [GONE, "Its records are removed by the next"]),
        (DeleteMode.APPEND, {"gone": True}, "removing", [GONE, "Its records are removed by the"]),
        (DeleteMode.KEEP_DELETED, {"gone": True}, "clean", [GONE, KEPT]),
        (DeleteMode.MIRROR, {"missed_listing_id": 1}, "clean", ["The listing at work has not "]),
        (DeleteMode.MIRROR, {}, "clean", ["The key lies in s3://mine/ and is an object of its "]),
    ],
)  # fmt: skip
def test_it_says_what_became_of_the_object_and_its_records(tmp_path, mode, row, phase, begins):
    catalog = open_catalog(f"sqlite:///{tmp_path / 'catalog.db'}")
    source = catalog.sources.add(
        s3_source(id="one", name="docs", collection_name="docs", bucket_name="mine", mode=mode)
    )
    ref = ObjectRef(key=KEY, etag="e", size=1, storage_class="STANDARD")
    catalog.work.record_objects(source.id, [(ref, None)], known={})
    catalog.listings.begin(source.id, owner="me")
    with catalog.database.write() as tx:
        if row:
            tx.execute(objects.update().values(**row))
        if phase:
            tx.execute(documents.insert().values(**DOCUMENT, source_id=source.id, phase=phase))
    found = explain_key(catalog, source, KEY, rights=WHOLE)
    for sentence, begin in zip(found.decision, begins, strict=False):
        assert sentence.startswith(begin)
    assert (found.state == "gone") == bool(row.get("gone"))
    assert ("Selected." in found.decision) == (not row.get("gone"))
    catalog.close()
