"""Operations that the contract does not know: settings, work, objects, search, credentials."""

import gzip
import time
import uuid
from typing import Any

import pytest

from s3sync_dagster.catalog.tables import listings, sources
from s3sync_dagster.core.rights import EVERYTHING
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster.search import opened
from s3sync_dagster_tests.api.indexing import work

FILES = {
    "docs/tides.md": "# Tides\n\nThe moon pulls the sea, twice a day.\n",
    "docs/bread.md": "# Bread\n\nSourdough needs flour, water, salt and patience.\n",
    "docs/code.py": "def knead(dough):\n    return dough * 2\n",
    "docs/broken.pdf": b"this is no pdf",
    "docs/video.mp4": b"binary",
    "other/away.md": "outside the prefix",
}


@pytest.fixture
def source(api, http, aws_endpoint):
    """A source over a small bucket; nothing is synced yet."""
    bucket = aws_endpoint.make_bucket()
    aws_endpoint.put_all(bucket, FILES)
    body = api.s3(bucket, path_prefix="docs/", collection_name=f"c-{uuid.uuid4().hex[:8]}")
    body["embedding"] = {"dense": {"model": "s3sync-hash"}}
    answer = http.post("/api/v1/sources", json=body)
    assert answer.status_code == 201, answer.text
    return api.parts.catalog.sources.find(answer.json()["source_id"])


def base(source):
    return f"/s3sync/v1/sources/{source.id}"


def ok(answer, status=200):
    assert answer.status_code == status, answer.text
    return answer.json()


def listed(http, source):
    """Wait until the newest listing has ended; return it."""
    deadline = time.monotonic() + 20
    while True:
        listing = ok(http.get(base(source)))["listing"]
        if listing and listing["state"] != "running":
            return listing
        assert time.monotonic() < deadline
        time.sleep(0.02)


def backfill(http, source):
    before = ok(http.get(base(source)))["listing"]
    deadline = time.monotonic() + 20
    while (answer := http.post(f"{base(source)}/backfill")).status_code == 409:
        assert answer.json()["error"] == "listing_running"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert ok(answer, 202) == {"started": True}
    while (listing := listed(http, source)) == before:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return listing


def test_from_a_dry_run_to_a_search(api, http, source, aws_endpoint):
    tried = ok(http.post(f"{base(source)}/dry-run"))
    assert tried == {
        "complete": True,
        "listed": 5,
        "selected": 4,
        "work": 4,
        "work_bytes": 157,
        "work_texts": 4,
        "work_text_bytes": 157 - len(b"this is no pdf") + 1,
        "work_tokens": 44,
        "work_price": None,
        "new": 4,
        "changed": 0,
        "retried": 0,
        "unchanged": 0,
        "removed": 0,
        "needs_approval": False,
        "skipped": {"unsupported_type": 1},
        "failed": {},
        "work_keys": ["docs/bread.md", "docs/broken.pdf", "docs/code.py", "docs/tides.md"],
    }
    assert ok(http.get(base(source)))["counts"]["objects"] == 0  # nothing was changed

    dispatched = len(api.dispatched)
    listing = backfill(http, source)
    assert (listing["state"], listing["listed"], listing["new"]) == ("complete", 5, 5)
    shown = ok(http.get(base(source)))
    assert shown["counts"]["pending"] == 4
    assert shown["lag_seconds"] >= 0
    deadline = time.monotonic() + 5
    while not any(source.id in sources for sources in api.dispatched[dispatched:]):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    work(api, source.id)

    shown = ok(http.get(base(source)))
    counts = shown["counts"]
    assert counts["indexed"] == 3
    assert counts["skipped"] == {"unsupported_type": 1}
    assert sum(counts["failed"].values()) == 1
    assert counts["objects"] == 5
    assert shown["lag_seconds"] is None
    assert shown["last_indexed_at"].endswith("Z")
    assert shown["settings"]["path_prefix"] == "docs/"
    assert aws_endpoint.secret_access_key not in str(shown)

    failed = ok(http.get(f"{base(source)}/objects", params={"state": "failed"}))
    [broken] = failed["objects"]
    assert broken["key"] == "docs/broken.pdf"
    assert broken["reason"] in counts["failed"]
    assert broken["error"]
    pages, after = [], None
    while True:
        page = ok(http.get(f"{base(source)}/objects", params={"limit": 2, "after": after or ""}))
        pages += [one["key"] for one in page["objects"]]
        after = page["next_after"]
        if after is None:
            break
    assert pages == sorted(key for key in FILES if key.startswith("docs/"))
    whole = ok(http.get(f"{base(source)}/objects", params={"limit": len(pages)}))
    assert (len(whole["objects"]), whole["next_after"]) == (len(pages), None)
    reason = {"state": "skipped", "reason": "unsupported_type"}
    [skipped] = ok(http.get(f"{base(source)}/objects", params=reason))["objects"]
    assert skipped["key"] == "docs/video.mp4"

    detail = ok(http.get(f"{base(source)}/object", params={"key": "docs/tides.md"}))
    assert detail["object"]["state"] == "indexed"
    [document] = detail["documents"]
    assert (document["state"], document["chunks"]) == ("clean", detail["object"]["chunks"])
    assert detail["decision"][-1] == "Selected."
    unknown = ok(http.get(f"{base(source)}/object", params={"key": "elsewhere"}))
    assert unknown["object"] is None
    assert "outside_prefix" in unknown["decision"][-1]

    question = {"query": "sourdough flour", "collection_name": source.collection_name}
    longest = question | {"query": f"sourdough {'k' * 4086}"}
    assert ok(http.post("/s3sync/v1/search", json=longest))["hits"]
    hits = ok(http.post("/s3sync/v1/search", json=question))["hits"]
    assert hits[0]["object_key"] == "docs/bread.md"
    assert "Sourdough" in hits[0]["document"]
    assert hits[0]["start_line"] >= 1
    # Hybrid unless asked otherwise: what both rankings say stands on the hit.
    assert hits[0]["dense"] > 0
    assert hits[0]["words"] > 0
    assert hits[0]["score"] != hits[0]["dense"]
    for change in ({"ranking": "dense"}, {"hybrid": False}):
        [dense] = ok(http.post("/s3sync/v1/search", json=question | change | {"limit": 1}))["hits"]
        assert dense["score"] == dense["dense"]
        assert dense["words"] is None
    by_words = ok(http.post("/s3sync/v1/search", json=question | {"ranking": "words"}))["hits"]
    assert by_words[0]["object_key"] == "docs/bread.md"
    assert (by_words[0]["dense"], by_words[0]["score"]) == (None, by_words[0]["words"])
    wide = question | {"context": 1, "group": True, "hybrid": True}
    [bread, *_] = ok(http.post("/s3sync/v1/search", json=wide))["hits"]
    assert bread["id"].startswith(bread["document_id"])
    assert bread["before"] == []
    assert bread["copies"] == []
    where = question | {"where": {"language": "python"}}
    assert {h["object_key"] for h in ok(http.post("/s3sync/v1/search", json=where))["hits"]} == {
        "docs/code.py"
    }

    history = ok(http.get(f"{base(source)}/history"))
    [run] = history["runs"]
    assert run["status"] == "done"
    assert run["triggers"] == {"listing": 4}
    assert (run["items"], run["items_processed"], run["items_failed"]) == (4, 4, 1)
    [failure] = run["failures"]
    assert failure["object_key"] == "docs/broken.pdf"
    assert history["listings"][0]["listed"] == 5


def test_retry_asks_for_what_failed_just_as_it_was_asked_for(api, http, source):
    backfill(http, source)
    ask = {"object_key": "docs/broken.pdf", "custom_id": "mine", "metadata": {"a": 1}}
    http.post(f"/api/v1/sources/{source.id}/invocations", json=ask)
    work(api, source.id)
    assert ok(http.post(f"{base(source)}/retry", json={"keys": ["docs/tides.md"]})) == {
        "retried": 0
    }
    assert ok(http.post(f"{base(source)}/retry")) == {"retried": 1}
    [job] = http.get(
        "/api/v1/invocations", params={"source_id": source.id, "status": "pending"}
    ).json()
    assert job["metadata"]["s3"]["custom_id"] == "mine"
    assert job["metadata"]["s3"]["additional_metadata"] == {"a": 1}
    assert ok(http.get(base(source)))["counts"]["failed"] == {}


def test_removals_that_the_guard_stopped(api, http, source, aws_endpoint):
    backfill(http, source)
    work(api, source.id)
    for key in FILES:
        if key.startswith("docs/"):
            aws_endpoint.delete(source.place.bucket_name, key)
    blocked = backfill(http, source)
    assert blocked["state"] == "blocked"
    assert blocked["gone"] == 3
    url = f"{base(source)}/approve-deletes"
    listings = api.parts.catalog.listings
    failed = listings.begin(source.id, owner="me", fresh=True)
    listings.fail(failed, owner="me", error="no answer")
    stale = http.post(url, json={"listing_id": failed.id})
    assert (stale.status_code, stale.json()["error"]) == (409, "nothing_blocked")
    assert f"those of listing {blocked['id']} wait, which would remove 3" in stale.json()["message"]
    shown = ok(http.get(base(source)))
    assert (shown["listing"]["id"], shown["blocked_listing"]) == (failed.id, blocked)
    approved = ok(http.post(url, json={"listing_id": blocked["id"]}))
    assert approved["state"] == "approved"
    work(api, source.id)
    assert ok(http.get(base(source)))["counts"]["documents"] == 0
    assert http.post(url, json={"listing_id": blocked["id"]}).status_code == 409
    assert ok(http.get(base(source)))["blocked_listing"] is None


def test_a_listing_that_another_process_works_on(api, http, source):
    with api.parts.catalog.database.write() as tx:
        tx.execute(
            listings.insert().values(
                source_id=source.id,
                state="running",
                owner="another-home:process",
                lease_until=time.time() + 60,
                started_at=time.time(),
            )
        )
    answer = http.post(f"{base(source)}/backfill")
    assert (answer.status_code, answer.json()["error"]) == (409, "listing_running")


def test_settings_change_and_the_rest_stays(api, http, source):
    change = {
        "auto_sync": "direct",
        "list_interval_seconds": 120,
        "include_globs": ["*.md"],
        "document_limit": 5,
        "metadata": {"team": "sea"},
        "chunking": {"type": "lines", "max_lines": 3},
    }
    changed = ok(http.patch(base(source), json=change))["settings"]
    assert changed["auto_sync"] == "direct"
    assert changed["include_globs"] == ["*.md"]
    assert changed["metadata"] == {"team": "sea"}
    assert changed["chunking"]["max_lines"] == 3
    assert changed["path_prefix"] == "docs/"
    again = ok(http.patch(base(source), json={"document_limit": None, "mode": None}))["settings"]
    assert again["document_limit"] is None
    assert again["mode"] == "mirror"
    assert again["list_interval_seconds"] == 120
    for wrong in (
        {"bucket_name": "other"},
        {"include_globs": ["[x"]},
        {"metadata": {"s3sync_x": 1}},
        {"aws_access_key_id": "x"},
        {"aws_credential_id": 1, "aws_access_key_id": "x", "aws_secret_access_key": "y"},
        {"queue_url": "no url"},
    ):
        assert http.patch(base(source), json=wrong).status_code == 400, wrong
    assert http.patch(base(source), json={"aws_credential_id": 98765}).status_code == 404


def test_new_keys_for_a_source(api, http, source, aws_endpoint):
    before = source.place.credentials.credential_id
    keys = {"aws_access_key_id": "AKIANEWNEWNEWNEWNEW1", "aws_secret_access_key": "new secret"}
    changed = ok(http.patch(base(source), json=keys))
    after = changed["settings"]["credentials"]["credential_id"]
    assert after != before
    assert "new secret" not in str(changed)


def test_a_source_that_code_declares_is_changed_there(api, http, aws_endpoint):
    declared = aws_endpoint.source(aws_endpoint.make_bucket())
    api.parts.catalog.sources.register(declared)
    answer = http.patch(base(declared), json={"document_limit": 1})
    assert (answer.status_code, answer.json()["error"]) == (400, "source_is_declared")


def test_pause_and_resume(api, http, source):
    assert ok(http.post(f"{base(source)}/pause"))["paused"] is True
    assert api.parts.catalog.sources.paused(source.id)
    assert ok(http.post(f"{base(source)}/resume"))["paused"] is False
    assert source.id in [one["id"] for one in ok(http.get("/s3sync/v1/sources"))]


def test_raw_content(http, source, aws_endpoint):
    answer = http.get(f"{base(source)}/content", params={"key": "docs/tides.md"})
    assert answer.status_code == 200
    assert answer.text == FILES["docs/tides.md"]
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''tides.md"
    assert "sandbox" in answer.headers["content-security-policy"]
    large = b"0123456789" * 2_000_000
    aws_endpoint.put(source.place.bucket_name, "docs/large ü\n.bin", large)
    answer = http.get(f"{base(source)}/content", params={"key": "docs/large ü\n.bin"})
    assert answer.content == large
    assert int(answer.headers["content-length"]) == len(large)
    plain = b"text that is packed well " * 100
    for content in (gzip.compress(plain), plain):  # labels are often wrong
        aws_endpoint.put(source.place.bucket_name, "docs/z.md", content, ContentEncoding="gzip")
        answer = http.get(f"{base(source)}/content", params={"key": "docs/z.md"})
        assert answer.content == plain
    outside = http.get(f"{base(source)}/content", params={"key": "other/away.md"})
    assert (outside.status_code, outside.json()["error"]) == (400, "outside_prefix")
    gone = http.get(f"{base(source)}/content", params={"key": "docs/gone"})
    assert (gone.status_code, gone.json()["error"]) == (404, "object_gone")
    assert http.get(f"{base(source)}/content").status_code == 400


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"collection_name": "nobody-has-it"}, 404, "not_found"),
        ({"database_name": "nowhere"}, 404, "database_not_found"),
        ({"query": ""}, 400, "invalid_request"),
        ({"query": " \n"}, 400, "invalid_request"),
        ({"limit": 0}, 400, "invalid_request"),
        ({"limit": 101}, 400, "invalid_request"),
        ({"where": {"$nope": 1}}, 400, "invalid_filter"),
        ({"where": {"$and": [5]}, "ranking": "words"}, 400, "invalid_filter"),
        ({"where": {"$or": [{"a": 1}] * 10_000}}, 400, "invalid_filter"),
        ({"where": {"a": {"$in": ["x"] * 20_000}}, "hybrid": True}, 400, "invalid_filter"),
        ({"hybrid": "yes"}, 400, "invalid_request"),
        ({"ranking": "best"}, 400, "invalid_request"),
        ({"context": 21}, 400, "invalid_request"),
    ],
)
def test_searches_that_cannot_be(api, http, source, change, status, error):
    api.parts.collections.open(
        source.collection_name,
        tenant="default_tenant",
        database="default_database",
        embedder=api.parts.embedder_for(source.embedding),
    )
    question = {"query": "x", "collection_name": source.collection_name} | change
    answer = http.post("/s3sync/v1/search", json=question)
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text
    assert ("; there are 'c-" in answer.json()["message"]) == (error == "not_found"), answer.text


def test_the_largest_filters_are_answered(api, http, source):
    api.parts.collections.open(
        source.collection_name,
        tenant="default_tenant",
        database="default_database",
        embedder=api.parts.embedder_for(source.embedding),
    )
    deep: dict[str, Any] = {"a": 1}
    for _ in range(7):
        deep = {"$or": [deep, {"b": 2}]}
    for where in ({"$or": [{"a": 1}] * 166}, {"a": {"$in": [*range(490)]}}, deep):
        question = {"query": "x", "collection_name": source.collection_name, "where": where}
        assert ok(http.post("/s3sync/v1/search", json=question)) == {"hits": [], "lacks": []}


def test_credentials_come_in_and_never_out(api, http):
    pair = {"aws_access_key_id": "AKIACREDENTIALTEST01", "aws_secret_access_key": "very secret"}
    made = ok(http.post("/s3sync/v1/credentials", json=pair), 201)
    assert made["hint"] == "AKIA...ST01"
    assert ok(http.post("/s3sync/v1/credentials", json=pair), 201)["id"] == made["id"]
    answer = http.get("/s3sync/v1/credentials")
    assert made in answer.json()
    assert "very secret" not in answer.text
    url = f"/s3sync/v1/credentials/{made['id']}"
    assert http.delete(url).status_code == 204
    assert http.delete(url).status_code == 404
    for wrong in ("0", "-1", "x", str(2**40)):
        assert http.delete(f"/s3sync/v1/credentials/{wrong}").status_code == 400


def test_a_credential_in_use_stays(http, source):
    answer = http.delete(f"/s3sync/v1/credentials/{source.place.credentials.credential_id}")
    assert (answer.status_code, answer.json()["error"]) == (409, "credential_in_use")


def test_another_tenant_finds_nothing(fresh_api, aws_endpoint):
    api = fresh_api
    bucket = aws_endpoint.make_bucket()
    mine = api.parts.catalog.sources.add(aws_endpoint.source(bucket))
    url = base(mine)
    operations = [
        ("GET", url, None),
        ("PATCH", url, {"document_limit": 1}),
        ("POST", f"{url}/pause", None),
        ("POST", f"{url}/resume", None),
        ("POST", f"{url}/backfill", None),
        ("POST", f"{url}/dry-run", None),
        ("POST", f"{url}/retry", None),
        ("POST", f"{url}/approve-deletes", {"listing_id": 1}),
        ("GET", f"{url}/history", None),
        ("GET", f"{url}/objects", None),
        ("GET", f"{url}/object?key=a", None),
        ("GET", f"{url}/content?key=a", None),
    ]
    with api.client(api.token(tenant="stranger")) as http:
        for method, path, body in operations:
            answer = http.request(method, path, json=body)
            assert answer.status_code == 404, (method, path, answer.text)
            assert answer.json()["error"] == "source_not_found"
            assert mine.name not in answer.text
        assert http.get("/s3sync/v1/sources").json() == []
        assert http.get("/s3sync/v1/credentials").json() == []
        question = {"query": "x", "collection_name": mine.collection_name}
        answer = http.post("/s3sync/v1/search", json=question)
        assert (answer.status_code, answer.json()["error"]) == (404, "database_not_found")
    with api.client(api.token(role="member")) as http:
        for method, path, body in operations:
            if method == "PATCH" or path.endswith(("/pause", "/resume", "/approve-deletes")):
                assert http.request(method, path, json=body).status_code == 403
        assert http.get("/s3sync/v1/credentials").status_code == 403
    with api.client() as http:
        for method, path, body in operations:
            assert http.request(method, path, json=body).status_code == 401


def moved(api, source, **changes):
    """Move a source as if code declared it; returns what stands in its place."""
    catalog = api.parts.catalog
    with catalog.database.write() as tx:
        tx.execute(sources.update().where(sources.c.id == source.id).values(origin="python"))
    catalog.sources.register(source.with_changes(**changes))
    return catalog.moves.begin(source.name)


def test_what_a_source_left_in_another_collection_is_searched_until_it_goes(api, http, source):
    backfill(http, source)
    work(api, source.id)
    moved(api, source, collection_name=f"{source.collection_name}-2", embedding=EmbeddingConfig())
    question = {"query": "sourdough", "collection_name": source.collection_name}
    assert ok(http.post("/s3sync/v1/search", json=question))["hits"]
    assert f'/{source.collection_name}"' in http.get("/search").text
    with opened(api.parts, source.collection_name, reader=EVERYTHING, ranking="dense") as searcher:
        assert searcher.search("sourdough", ranking="dense", limit=1)


def test_a_moved_source_is_not_there_under_its_id_of_before(api, http, source):
    backfill(http, source)
    work(api, source.id)
    new = moved(api, source, collection_name=f"{source.collection_name}-2")
    ask = {"object_key": "docs/tides.md"}
    for method, path, body in (
        ("POST", f"/api/v1/sources/{source.id}/invocations", ask),
        ("POST", f"{base(source)}/backfill", None),
        ("POST", f"{base(source)}/resume", None),
        ("DELETE", f"/api/v1/sources/{source.id}", None),
        ("GET", f"/api/v1/sources/{source.id}", None),
    ):
        answer = http.request(method, path, json=body)
        assert (answer.status_code, answer.json()["error"]) == (404, "source_not_found"), path
    assert [one.id for one in api.parts.catalog.moves.left_by(new.id)] == [source.id]
    assert api.parts.catalog.sources.there(source.id)
