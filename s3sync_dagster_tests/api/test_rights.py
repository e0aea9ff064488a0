"""Sources that say who may read: no door shows a member what is of another group."""

import re
import time
import uuid
from types import SimpleNamespace

import pytest
from starlette.routing import Route

from s3sync_dagster.api.app import create_app
from s3sync_dagster.api.coco import document_id
from s3sync_dagster.api.console.session import Sessions
from s3sync_dagster.api.cursors import Cursors
from s3sync_dagster.api.options import read_options
from s3sync_dagster.catalog.tables import objects
from s3sync_dagster.model.errors import Conflict
from s3sync_dagster.settings import load_settings
from s3sync_dagster_tests.api.indexing import work
from s3sync_dagster_tests.api.server import running_api
from s3sync_dagster_tests.api.test_add_file import send, upload
from s3sync_dagster_tests.api.test_agents import converse

DOORS = {
    f"S3SYNC_API_{name}": "on" for name in ("AGENTS", "SUPERMEMORY", "COCO")
}  # all that there are
SECRET = "hr/vault.md"
TEXT = "The vault opens with 4711."


@pytest.fixture(scope="module")
def there(tmp_path_factory, chroma_server, aws_endpoint):
    """One collection of two sources: of the first the path tells whose a document is."""
    home = tmp_path_factory.mktemp("rights")
    with running_api(home, chroma=chroma_server, aws=aws_endpoint, environ=DOORS) as api:
        create = api.parts.catalog.tokens.create
        tokens = {"owner": api.token()}
        for who, groups in (("sales", ["sales"]), ("hr", ["hr", "ops"]), ("nobody", [])):
            made = create(tenant="default_tenant", role="member", name=who, groups=groups)
            tokens[who] = made[1]
        bucket, plain = aws_endpoint.make_bucket(), aws_endpoint.make_bucket()
        aws_endpoint.put_all(
            bucket,
            {"sales/plan.md": b"# Plan\n\nSell more.\n", SECRET: f"# Vault\n\n{TEXT}\n".encode()},
        )
        aws_endpoint.put(plain, "open.md", "# Open\n\nFor everybody.\n")
        collection = f"c-{uuid.uuid4().hex[:12]}"
        ids = []
        with api.client(tokens["owner"]) as http:
            for name, fields, keys in (
                (bucket, {"path_metadata": r"(?P<team>[^/]+)/", "reader_keys": ["team"]},
                 ["sales/plan.md", SECRET]),
                (plain, {}, ["open.md"]),
            ):  # fmt: skip
                body = api.s3(name, collection_name=collection, **fields)
                body["embedding"] = {"dense": {"model": "s3sync-hash"}}
                made = http.post("/api/v1/sources", json=body)
                assert made.status_code == 201, made.text
                ids.append(made.json()["source_id"])
                url = f"/api/v1/sources/{ids[-1]}/invocations"
                asked = [http.post(url, json={"object_key": key}).json() for key in keys]
                work(api, ids[-1])
                if fields:
                    invocation = asked[1]["invocation_id"]
        yield SimpleNamespace(
            api=api,
            tokens=tokens,
            source=ids[0],
            open_source=ids[1],
            collection=collection,
            invocation=invocation,
        )


def found(there, who, **more):
    return {hit["object_key"] for hit in hits_of(there, who, **more)}


def hits_of(there, who, **more):
    asked = {
        "query": "vault plan everybody 4711",
        "collection_name": there.collection,
        "database_name": "default_database",
        "limit": 20,
        **more,
    }
    with there.api.client(there.tokens[who]) as http:
        answer = http.post("/s3sync/v1/search", json=asked)
        assert answer.status_code == 200, answer.text
        return answer.json()["hits"]


@pytest.mark.parametrize("ranking", ["hybrid", "dense", "words"])
def test_a_search_finds_what_the_groups_of_its_token_may_read(there, ranking):
    assert found(there, "owner", ranking=ranking) == {"open.md", "sales/plan.md", SECRET}
    assert found(there, "sales", ranking=ranking) == {"open.md", "sales/plan.md"}
    assert found(there, "hr", ranking=ranking) == {"open.md", SECRET}
    assert found(there, "nobody", ranking=ranking) == {"open.md"}
    for where in ({"team": "hr"}, {"$or": [{"team": "hr"}, {"team": {"$ne": "x"}}]}):
        assert SECRET not in found(there, "sales", ranking=ranking, where=where, context=2)


def test_how_rare_a_word_is_is_counted_over_what_may_be_read(there):
    """Of three documents one has the word, which tells them apart; of the two of sales' one too."""
    scores = [
        [hit["words"] for hit in hits_of(there, who, ranking="words", query="plan")]
        for who in ("owner", "sales")
    ]
    assert scores[0][0] > 0.1
    assert 0 < scores[1][0] < 0.001


@pytest.mark.parametrize("more", [{}, {"prefix": "hr/"}, {"word": "vau"}, {"state": "indexed"}])
def test_no_cursor_of_a_listing_names_a_key_that_is_kept(there, more):
    url = f"/s3sync/v1/sources/{there.source}/objects"
    with there.api.client(there.tokens["sales"]) as http:
        page = http.get(url, params={"limit": 1, **more}).json()
        assert page["next_after"] is None
        assert [one["key"] for one in page["objects"]] == (
            ["sales/plan.md"] if "prefix" not in more and "word" not in more else []
        )
        assert "hr/" not in http.get(f"/sources/{there.source}/removals").text
    with there.api.client(there.tokens["owner"]) as http:
        first = http.get(url, params={"limit": 1}).json()
        assert (first["objects"][0]["key"], first["next_after"]) == (SECRET, SECRET)
        assert http.get(url, params={"limit": 1, "prefix": SECRET}).json()["next_after"] is None


BODIES = {
    "/s3sync/v1/search": lambda there: {
        "query": "vault 4711",
        "collection_name": there.collection,
        "database_name": "default_database",
    },
    "/api/v1/sources/{source_id}/invocations": lambda _: {
        "object_key": SECRET,
        "metadata": {"team": "sales"},
    },
    "/api/v1/sources/{source_id}/invocations/latest-by-keys": lambda _: {"object_keys": [SECRET]},
    "/s3sync/v1/sources/{source_id}/retry": lambda _: {"keys": [SECRET]},
}
OTHERS = "hr/other.md"
"""Never was there."""


def routes(there):
    app = create_app(there.api.parts, read_options(there.api.parts.settings))
    waiting = list(app.routes)
    while waiting:
        route = waiting.pop(0)
        if isinstance(route, Route):
            yield from ((method, route.path) for method in sorted(route.methods & {"GET", "POST"}))
        else:
            waiting += route.original_router.routes


def ask(there, who, method, path, *, key=SECRET):
    values = {
        "source_id": there.source,
        "connection_id": there.source,
        "datasource_id": there.source,
        "connector_id": "s3",
        "invocation_id": there.invocation,
        "document_id": document_id(there.source, key),
        "hint": "name",
        "name": "console.css",
        "token_id": "999",
        "credential_id": "999",
    }
    url = re.sub(r"\{(\w+)\}", lambda found: values[found[1]], path)
    params = {"key": key, "datasource": there.source, "q": "vault 4711"}
    if path.endswith("/_search"):  # refuses what it does not know
        params = {"datasource": there.source} if path.startswith("/document") else {}
    body = BODIES.get(path, lambda _: {})(there)
    with there.api.client(there.tokens[who]) as http:
        http.cookies.set("s3sync_form", "the-same-in-both-answers")
        http.cookies.set("s3sync_session", sessions(there).seal(there.tokens[who]))
        return http.request(method, url, params=params, json=body if method == "POST" else None)


def sessions(there):
    return Sessions(there.api.parts.settings)


def told(answer):
    """What an answer says of the secret: its text, its number; its key, unless it was asked by."""
    return [one for one in (TEXT, "4711.", "vault.md") if one in answer.text]


CHANGES = {
    *("/api/v1/sources/{source_id}/invocations", "/s3sync/v1/sources/{source_id}/retry"),
    *("/s3sync/v1/sources/{source_id}/backfill", "/v3/connections/s3/import"),
    *("/sources/{source_id}/retry", "/sources/{source_id}/backfill", "/login", "/logout", "/mcp"),
}


def test_no_route_tells_a_member_what_is_kept_from_the_group(there):
    told_owners = set()
    for method, path in routes(there):
        if path in CHANGES:
            continue
        if told(ask(there, "owner", method, path)):
            told_owners.add(path)
        secret, other = (ask(there, "sales", method, path, key=key) for key in (SECRET, OTHERS))
        assert secret.status_code == other.status_code, path
        same = secret.text.replace("vault", "other") == other.text.replace("vault", "other")
        assert not told(secret) or (same and "4711." not in secret.text), path
    assert told_owners >= {
        *("/s3sync/v1/search", "/search", "/api/v1/invocations"),
        *("/s3sync/v1/sources/{source_id}/object", "/s3sync/v1/sources/{source_id}/objects"),
        *("/s3sync/v1/sources/{source_id}/content", "/sources/{source_id}/content"),
        *("/sources/{source_id}/object", "/sources/{source_id}/objects"),
        *("/api/v1/invocations/{invocation_id}", "/v3/connections/s3/documents"),
        *("/document/_search", "/document/{document_id}/raw_content"),
        "/api/v1/sources/{source_id}/invocations/latest-by-keys",
    }, "the walk does not reach what it is there for"


@pytest.mark.parametrize("who", ["nobody", "elsewhere"])
def test_a_source_is_shown_by_its_id_where_the_list_shows_it_and_nowhere_else(there, who):
    elsewhere = there.api.token(tenant="elsewhere") if who == "elsewhere" else None
    with there.api.client(elsewhere or there.tokens[who]) as http:
        listed = {one["id"] for one in http.post("/v3/connections/list", json={}).json()}
        hits = http.get("/datasource/_search", params={"size": 1000}).json()["hits"]["hits"]
        assert {hit["_id"] for hit in hits} == listed
        shown = {there.source, there.open_source} & listed
        assert shown == ({there.source, there.open_source} if who == "nobody" else set())
        for one in (there.source, there.open_source):
            for path in (f"/v3/connections/{one}", f"/v3/connections/{one}/sync-runs",
                         f"/datasource/{one}"):  # fmt: skip
                unknown = http.get(path.replace(one, str(uuid.uuid4()))).status_code
                assert (http.get(path).status_code, unknown) == (200 if one in shown else 404, 404)
            for path in (f"/v3/connections/{one}", f"/datasource/{one}"):
                refused = http.delete(path)
                assert refused.status_code == (403 if who == "nobody" else 404), refused.text


def test_a_member_of_the_group_reads_it_everywhere(there):
    for path in ("/s3sync/v1/sources/{source_id}/content", "/document/{document_id}/raw_content"):
        assert TEXT in ask(there, "hr", "GET", path).text
    listed = ask(there, "hr", "GET", "/s3sync/v1/sources/{source_id}/objects").json()["objects"]
    assert [one["key"] for one in listed] == [SECRET]


def test_nobody_becomes_a_reader_by_saying_so(there):
    for path in ("/api/v1/sources/{source_id}/invocations", "/s3sync/v1/sources/{source_id}/retry"):
        for who in ("sales", "hr"):
            assert ask(there, who, "POST", path).status_code == 403, path
    with there.api.client(there.tokens["sales"]) as http:
        change = {"reader_keys": []}
        assert http.patch(f"/s3sync/v1/sources/{there.source}", json=change).status_code == 403
        cancelled = http.put(f"/api/v1/invocations/{there.invocation}")
        assert cancelled.status_code == 404
        open_one = f"/api/v1/sources/{there.open_source}/invocations"
        assert http.post(open_one, json={"object_key": "open.md"}).status_code == 201
    work(there.api, there.open_source)


def test_a_group_that_was_taken_away_finds_nothing_after_the_next_listing(there):
    bucket = there.api.aws.make_bucket()
    there.api.aws.put_all(bucket, {"a.md": b"# Tariff\n\nzebra 0815"})
    body = there.api.s3(bucket, metadata={"team": "sales"}, reader_keys=["team"])
    body["embedding"] = {"dense": {"model": "s3sync-hash"}}
    with there.api.client(there.tokens["owner"]) as http:
        made = http.post("/api/v1/sources", json=body)
        assert made.status_code == 201, made.text
        number = made.json()["source_id"]
        listed(there, http, number)
        sources = there.api.parts.catalog.sources
        asked = {"query": "zebra 0815", "collection_name": sources.find(number).collection_name}
        assert found(there, "sales", **asked) == {"a.md"}
        change = {"metadata": {"team": "hr"}}
        assert http.patch(f"/s3sync/v1/sources/{number}", json=change).status_code == 200
        assert sources.find(number).on_config_change == "keep"
        listed(there, http, number)
        assert found(there, "sales", **asked) == set()
        assert found(there, "hr", **asked) == {"a.md"}


@pytest.mark.parametrize("when", ["before", "pending"])
def test_what_a_member_said_of_an_object_names_no_reader_of_it(there, when):
    """While the source is open anybody may say so; the owner's word alone counts when it is not.

    Nor does it open what an owner may have closed: nobody with groups reads it until an owner asks.
    """
    bucket = there.api.aws.make_bucket()
    theirs, given = "hr/theirs.md", "hr/given.md"
    there.api.aws.put_all(
        bucket, {key: f"# {key}\n\nzebra 0815".encode() for key in (theirs, given)}
    )
    body = there.api.s3(bucket, path_metadata=r"(?P<team>[^/]+)/")
    body["embedding"] = {"dense": {"model": "s3sync-hash"}}
    with (
        there.api.client(there.tokens["owner"]) as http,
        there.api.client(there.tokens["sales"]) as member,
    ):
        number = http.post("/api/v1/sources", json=body).json()["source_id"]
        url = f"/api/v1/sources/{number}/invocations"
        for who, key in ((member, theirs), (http, given)):
            ask = {"object_key": key, "metadata": {"team": "sales", "lang": "de"}}
            assert who.post(url, json=ask).status_code == 201
        if when == "before":
            work(there.api, number)
        collection = there.api.parts.catalog.sources.find(number).collection_name

        def seen(who):
            asked = {"query": "zebra 0815", "collection_name": collection}
            rankings = ("dense", "words", "hybrid")
            found_by = [found(there, who, ranking=one, **asked) for one in rankings]
            assert found_by[0] == found_by[1] == found_by[2]
            with there.api.client(there.tokens[who]) as http:
                listed = http.get(f"/s3sync/v1/sources/{number}/objects").json()["objects"]
                content = f"/s3sync/v1/sources/{number}/content"
                sent = {
                    key
                    for key in (theirs, given)
                    if http.get(content, params={"key": key}).is_success
                }
            assert sent == {one["key"] for one in listed}
            return found_by[0], sent

        if when == "before":
            assert seen("sales")[0] == seen("hr")[0] == {theirs, given}
        change = {"reader_keys": ["team"]}
        assert http.patch(f"/s3sync/v1/sources/{number}", json=change).status_code == 200
        if when == "before":  # nothing is written anew yet
            assert seen("sales") == ({given}, {given})
            listed(there, http, number)
        else:
            work(there.api, number)
        for _ in range(2):
            assert seen("sales") == ({given}, {given})
            assert seen("hr") == (set(), set())
            there.api.aws.put(bucket, theirs, "# Anew\n\nzebra 0815 and more")
            listed(there, http, number)
        why = http.get(f"/s3sync/v1/sources/{number}/object", params={"key": theirs}).json()
        assert "metadata that no owner is known to have given" in " ".join(why["decision"])
        assert http.post(url, json={"object_key": theirs, "metadata": {"team": "sales"}}).is_success
        work(there.api, number)
        assert seen("sales") == ({theirs, given}, {theirs, given})


@pytest.fixture(scope="module")
def uploads(there):
    """Uploads that say who may read, beside others of the same database that do not."""
    with there.api.client(there.tokens["owner"]) as http:
        made = {}
        for name, keys in (("kept", ["team"]), ("open", [])):
            collection = f"{name}-{uuid.uuid4().hex[:8]}"
            asked = upload(http, "pay.md", b"# Pay\n\nAnn has 4711.\n", collection=collection)
            source = there.api.parts.catalog.invocations.find(asked, tenant="default_tenant")
            made[name] = SimpleNamespace(collection=collection, source=source.source_id)
            if keys:
                change = {"reader_keys": keys}
                url = f"/s3sync/v1/sources/{made[name].source}"
                assert http.patch(url, json=change).status_code == 200
    return made


@pytest.mark.parametrize("through", ["open", "kept"])
@pytest.mark.parametrize("key", ["pay.md", "never.md"])
def test_no_name_of_a_collection_opens_uploads_that_are_kept(there, uploads, through, key):
    body = {
        "object_key": key,
        "target_collection_name": uploads["kept"].collection,
        "metadata": {"team": "*"},
    }
    url = f"/api/v1/sources/{uploads[through].source}/invocations"
    with there.api.client(there.tokens["sales"]) as http:
        answer = http.post(url, json=body)
        assert (answer.status_code, answer.json()["error"]) == (403, "forbidden")


def test_uploads_that_are_open_can_still_be_asked_for(there, uploads):
    url = f"/api/v1/sources/{uploads['kept'].source}/invocations"
    body = {"object_key": "pay.md", "target_collection_name": uploads["open"].collection}
    with there.api.client(there.tokens["owner"]) as http:
        assert http.post(url, json=body).status_code == 201
    url = f"/api/v1/sources/{uploads['open'].source}/invocations"
    with there.api.client(there.tokens["sales"]) as http:
        assert http.post(url, json=body).status_code == 201


@pytest.mark.parametrize("kept", ["filled", "asked for"])
def test_members_choose_no_ids_where_a_source_writes_that_says_who_may_read(there, kept):
    collection = there.collection
    invocations = f"/api/v1/sources/{there.open_source}/invocations"
    if kept == "asked for":  # by the owner, and not yet written
        collection = f"c-{uuid.uuid4().hex[:8]}"
        body = {"object_key": SECRET, "target_collection_name": collection}
        with there.api.client(there.tokens["owner"]) as http:
            asked = http.post(f"/api/v1/sources/{there.source}/invocations", json=body)
            assert asked.status_code == 201
    form = [("database_name", "default_database"), ("collection_name", collection)]
    with there.api.client(there.tokens["sales"]) as http:
        http.post(invocations, json={"object_key": "open.md"})  # the source is known from now on
        answers = [send(http, *form, ("file", b"x", key)) for key in (SECRET, "hr/never.md")]
        ask = {"object_key": "open.md", "target_collection_name": collection}
        answers.append(http.post(invocations, json=ask))
        if kept == "filled":
            ask = {"object_key": "open.md", "custom_id": SECRET}
            answers.append(http.post(invocations, json=ask))
    assert [(one.status_code, one.json()["error"]) for one in answers] == [
        (403, "forbidden") for _ in answers
    ]
    if kept == "asked for":
        with there.api.client(there.tokens["owner"]) as http:
            http.put(f"/api/v1/invocations/{asked.json()['invocation_id']}")


def listed(there, http, source_id):
    before = there.api.parts.catalog.history.listings(source_id, limit=10)
    http.post(f"/s3sync/v1/sources/{source_id}/backfill")
    deadline = time.monotonic() + 30
    while len(now := there.api.parts.catalog.history.listings(source_id, limit=10)) == len(
        before
    ) or (now[0].finished_at is None):
        assert time.monotonic() < deadline, now
        time.sleep(0.05)
    work(there.api, source_id)


def test_agents_read_by_the_same_rights(there):
    async def story(_client, ask_tool):
        for tool, arguments in (
            ("search", {"query": "vault 4711", "collection": there.collection}),
            ("read_document", {"key": SECRET}),
            ("why", {"key": SECRET}),
        ):
            said[tool] = (await ask_tool(tool, **arguments))[1]

    for who, sees in (("hr", True), ("sales", False)):
        said: dict[str, str] = {}
        converse(there, who, story)
        assert (TEXT in said["search"]) == sees
        assert (TEXT in said["read_document"]) == sees
        assert ("indexed" in said["why"]) == sees, said["why"]


def test_records_do_not_outlive_who_says_whose_they_are(there):
    with there.api.client(there.tokens["owner"]) as http:
        kept = http.delete(f"/api/v1/sources/{there.source}")
        assert (kept.status_code, kept.json()["error"]) == (409, "readers_would_be_lost")
    with pytest.raises(Conflict):
        there.api.parts.catalog.sources.mark_deleting(there.source, keep_records=True)
    assert SECRET not in found(there, "sales")


def test_what_was_asked_of_a_source_that_is_deleted_stays_with_owners(there):
    """Nobody knows any more who may read what it had."""
    bucket = there.api.aws.make_bucket()
    body = there.api.s3(bucket, path_metadata=r"(?P<team>[^/]+)/", reader_keys=["team"])
    with there.api.client(there.tokens["owner"]) as http:
        number = http.post("/api/v1/sources", json=body).json()["source_id"]
        asked = http.post(f"/api/v1/sources/{number}/invocations", json={"object_key": SECRET})
        one = f"/api/v1/invocations/{asked.json()['invocation_id']}"
        http.delete(f"/api/v1/sources/{number}", params={"delete_records": True})
        there.api.parts.catalog.documents.drop_source(number)
        assert http.get(one).status_code == 200
    with there.api.client(there.tokens["sales"]) as http:
        assert http.get(one).status_code == 404
        assert SECRET not in http.get("/api/v1/invocations", params={"limit": 1000}).text


def test_why_a_listing_failed_is_told_to_who_sees_all_of_the_source(there):
    listings = there.api.parts.catalog.listings
    listing = listings.begin(there.source, owner="me")
    listings.fail(listing, owner="me", error=f"asking for object {SECRET!r} failed")
    paths = (
        f"/s3sync/v1/sources/{there.source}",
        f"/s3sync/v1/sources/{there.source}/history",
        "/v3/connections/list",
        f"/v3/connections/{there.source}/sync-runs",
        f"/sources/{there.source}",
    )
    for who, sees in (("owner", True), ("sales", False), ("hr", False)):
        with there.api.client(there.tokens[who]) as http:
            http.cookies.set("s3sync_session", sessions(there).seal(there.tokens[who]))
            for path in paths:
                method = "POST" if path.endswith("/list") else "GET"
                answer = http.request(method, path, json={} if method == "POST" else None)
                assert answer.status_code == 200, (path, answer.text)
                assert ("asking for object" in answer.text) == sees, (who, path)
            assert ("/dry-run" in answer.text) == sees


def test_what_is_kept_back_costs_whoever_lists_it_no_more_than_a_page(there):
    """Ten thousand objects of another group, and behind them one that may be seen."""
    bucket = there.api.aws.make_bucket()
    there.api.aws.put(bucket, "sales/last.md", "# Last\n")
    body = there.api.s3(bucket, path_metadata=r"(?P<team>[^/]+)/", reader_keys=["team"])
    body["embedding"] = {"dense": {"model": "s3sync-hash"}}
    with there.api.client(there.tokens["owner"]) as http:
        number = http.post("/api/v1/sources", json=body).json()["source_id"]
        ask = {"object_key": "sales/last.md"}
        assert http.post(f"/api/v1/sources/{number}/invocations", json=ask).status_code == 201
        work(there.api, number)
    database = there.api.parts.catalog.database
    with database.write() as tx:
        one = tx.execute(objects.select().where(objects.c.source_id == number)).one()
        keys = [f"hr/{n:05d}.md" for n in range(10_100)]
        hidden = [dict(one._mapping) | {"object_key": key, "partition_key": key} for key in keys]
        tx.execute(objects.insert(), hidden)
    url = f"/s3sync/v1/sources/{number}/objects"
    with there.api.client(there.tokens["sales"]) as http:

        def page(**params):
            answer = http.get(url, params=params)
            assert "hr/" not in answer.text
            return answer.json()

        first = page(limit=1)["next_after"]
        last = page(limit=1, after=first)
        assert [row["key"] for row in last["objects"]] == ["sales/last.md"]
        assert last["next_after"] is None
        assert page(after="sales/last.md") == {"objects": [], "next_after": None}
        # What is asked for shifts no page: no prefix, word or state tells what hidden keys have.
        filters = ({"prefix": "hr/00"}, {"prefix": "sales/"}, {"word": "99"}, {"state": "failed"})
        for more in ({}, *filters):
            shown = page(limit=1000, **more)
            assert (shown["objects"], len(shown["next_after"])) == ([], len(first)), more
        # Nor is there another place to begin at than what was seen.
        refused = [page(after=one, limit=1) for one in (keys[50], "hr/00050.mc", "a", first[:-9])]
        assert {one["error"] for one in refused} == {"invalid_setting"}
        assert len({one["message"] for one in refused}) == 1
        with there.api.client(there.tokens["nobody"]) as other:
            assert other.get(url, params={"after": first}).status_code == 400
        http.cookies.set("s3sync_session", sessions(there).seal(there.tokens["sales"]))
        shown = http.get(f"/sources/{number}/objects").text
        assert "there are more" in shown
        assert "after=s3sync%3A" in shown
        other = http.get(f"/s3sync/v1/sources/{there.source}/objects", params={"after": first})
        assert (other.status_code, other.json()["error"]) == (400, "invalid_setting")
        found = http.get("/document/_search", params={"datasource": number}).json()["hits"]
        assert found == {"total": {"value": 0, "relation": "gte"}, "hits": []}
        listed = http.post("/v3/connections/s3/documents", json={})
        assert (listed.status_code, listed.json()["error"]) == (400, "not_possible")
    with there.api.client(there.tokens["owner"]) as http:
        assert http.get(url, params={"limit": 1}).json()["next_after"] == keys[0]
        http.delete(f"/api/v1/sources/{number}", params={"delete_records": True})


def test_cursors_are_all_of_one_length_and_of_one_listing_and_reader(tmp_path):
    cursors = Cursors(load_settings({"S3SYNC_HOME": str(tmp_path)}))
    keys = (
        "\N{CYRILLIC SMALL LETTER ZHE}" * 512,
        "\N{GRINNING FACE}" * 256,
        "s3sync:key",
        "",
        "\0",
    )
    told = [cursors.seal(("source", "sales"), key) for key in keys]
    assert [len(one) for one in told] == [len(told[0])] * len(keys)
    assert len(told[0]) <= 4096
    for one, key in zip(told, keys, strict=True):
        assert cursors.open(("source", "sales"), one) == key
        for others in (("source",), ("source", "hr"), ("other", "sales")):
            assert cursors.open(others, one) is None
    assert cursors.open(("source", "sales"), "s3sync:key") is None


@pytest.mark.parametrize("door", ["own", "coco"])
def test_bytes_that_came_since_are_not_sent_by_the_rights_of_those_before(there, door):
    """Another object in its place has tags of its own, at which nobody has looked yet."""
    bucket = there.api.aws.make_bucket()
    there.api.aws.put(bucket, "a.md", "# Tariff", Tagging="team=sales")
    looks = {"metadata_interval_seconds": 3600, "list_interval_seconds": 3600}
    body = there.api.s3(bucket, object_tags=["team"], reader_keys=["team"], **looks)
    body["embedding"] = {"dense": {"model": "s3sync-hash"}}
    with (
        there.api.client(there.tokens["owner"]) as http,
        there.api.client(there.tokens["sales"]) as member,
    ):
        made = http.post("/api/v1/sources", json=body)
        assert made.status_code == 201, made.text
        number = made.json()["source_id"]
        listed(there, http, number)

        def content(client, who):
            if door == "own":
                return client.get(f"/s3sync/v1/sources/{number}/content", params={"key": "a.md"})
            client.headers["X-API-TOKEN"] = there.tokens[who]
            return client.get(f"/document/{document_id(number, 'a.md')}/raw_content")

        assert content(member, "sales").content == b"# Tariff"
        there.api.aws.put(bucket, "a.md", "Only for hr.", Tagging="team=hr")
        kept = content(member, "sales")
        assert (kept.status_code, "Only" in kept.text) == (503, False)
        assert kept.json().get("reason", "object_changed") == "object_changed"
        assert content(http, "owner").content == b"Only for hr."
