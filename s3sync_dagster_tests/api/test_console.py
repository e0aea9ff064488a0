"""The console over plain HTTP: what it shows, who may see it, and which forms it takes."""

import html
import re
import time
import uuid
from html.parser import HTMLParser

import httpx
import pytest

from s3sync_dagster.api.console import pages
from s3sync_dagster.api.console.pages import safe_target
from s3sync_dagster.api.console.session import FORM_COOKIE
from s3sync_dagster.api.console.wording import ago, counted, duration, highlight, size
from s3sync_dagster.catalog.cipher import open_cipher
from s3sync_dagster.catalog.credentials import AwsKeys
from s3sync_dagster.catalog.tables import sources
from s3sync_dagster.core.page import PageCommit
from s3sync_dagster.model.errors import NotFound
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.model.place import CredentialsConfig
from s3sync_dagster.model.s3_place import S3Place
from s3sync_dagster.model.source import AutoSync, EmbeddingConfig, Source
from s3sync_dagster_tests.api.indexing import listed_and_worked, work
from s3sync_dagster_tests.sources import changed

SCRIPT = "<script>alert(1)</script>"


class Outline(HTMLParser):
    """What a page is made of, and whether its tags close."""

    VOID = frozenset({"meta", "link", "input", "br"})

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.ids, self.labels, self.inputs = [], [], [], set(), []
        self.feed(text)
        assert self.open == [], self.open

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append((tag, found))
        if "id" in found:
            self.ids.append(found["id"])
        if tag == "label" and "for" in found:
            self.labels.add(found["for"])
        if tag in ("input", "select", "textarea") and found.get("type") not in ("hidden",):
            self.inputs.append((found.get("id"), "label" in self.open))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def check(self):
        assert len(set(self.ids)) == len(self.ids)
        assert [tag for tag, _ in self.tags].count("h1") == 1
        assert ("html", {"lang": "en"}) in self.tags
        for identity, inside in self.inputs:
            assert inside or identity in self.labels
        for tag, attributes in self.tags:
            if tag == "th":
                assert attributes.get("scope") in ("row", "col")
            if tag == "form" and attributes.get("method") == "post":
                assert attributes["action"].startswith("/")
            assert not any(name.startswith("on") for name in attributes)
            assert "style" not in attributes


def get(http, path, **options):
    answer = http.get(path, **options)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/html")
    Outline(answer.text).check()
    return answer.text


class SettingsForm(HTMLParser):
    """What a browser sends of the form of settings when nobody touches it."""

    def __init__(self, text):
        super().__init__()
        self.values = {}
        self.open = self.select = self.area = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "form":
            self.open = given.get("class") == "settings"
        if not self.open:
            return
        if tag == "input":
            self.values[given["name"]] = given.get("value") or ""
        if tag == "select":
            self.select = given["name"]
        if tag == "option" and ("selected" in given or self.select not in self.values):
            self.values[self.select] = given.get("value") or ""
        if tag == "textarea":
            self.area = given["name"]
            self.values[self.area] = ""

    def handle_data(self, data):
        if self.area:
            self.values[self.area] += data

    def handle_endtag(self, tag):
        if tag == "textarea":
            self.area = None
        if tag == "form":
            self.open = False


def settings_form(text):
    return SettingsForm(text).values


def stored_source(api, **fields):
    """A source of which nothing is read."""
    name = f"s_{uuid.uuid4().hex[:8]}"
    place = fields.pop("place", S3Place(bucket_name="a-bucket", region="us-east-1"))
    fields = {"collection_name": name, "embedding": EmbeddingConfig(kind="hash"), **fields}
    source = Source(id=str(uuid.uuid4()), name=name, place=place, **fields)
    api.parts.catalog.sources.add(source)
    return source


def form_token(text):
    return re.search(r'name="form_token" value="([0-9a-f]{64})"', text).group(1)


@pytest.fixture(scope="module")
def source(api, aws_endpoint):
    """An indexed source with a failure and a name that wants to be a script."""
    bucket = aws_endpoint.make_bucket("console")
    aws_endpoint.put_all(
        bucket,
        {
            "docs/tides.md": "# Tides\n\nThe moon pulls the sea & <b>twice</b> a day.\n",
            "docs/broken.pdf": b"no pdf",
            "docs/movie.mp4": b"x",
            f"docs/{SCRIPT}.md": "# Script\n\nHarmless.\n",
        },
    )
    with api.client() as http:
        body = api.s3(bucket, path_prefix="docs/", metadata={"note": SCRIPT})
        body["embedding"] = {"dense": {"model": "s3sync-hash"}}
        source_id = http.post("/api/v1/sources", json=body).json()["source_id"]
        http.post(f"/s3sync/v1/sources/{source_id}/backfill")
        found = api.parts.catalog.sources.find(source_id)
        while not api.parts.catalog.invocations.live_count(source_id):
            pass
        while api.parts.catalog.listings.live_owner(source_id):
            pass
        work(api, source_id)
    return found


def test_from_the_overview_to_the_reason_and_the_retry(api, http, source):
    overview = get(http, "/")
    assert source.name in overview
    link = re.search(rf'href="(/sources/{source.id}/objects\?state=failed)">1 failed<', overview)
    failed = get(http, link.group(1))
    assert "docs/broken.pdf" in failed
    [row] = api.parts.catalog.views.object_rows(source.id, state="failed")
    assert row.reason.replace("_", " ") in failed
    key = re.search(rf'href="(/sources/{source.id}/object\?key=docs%2Fbroken.pdf)"', failed)
    detail = get(http, key.group(1))
    assert "Retry" in detail
    back = re.search(r'name="back" value="([^"]+)"', detail).group(1).replace("&amp;", "&")
    form = {"form_token": form_token(detail), "key": "docs/broken.pdf", "back": back}
    answer = http.post(f"/sources/{source.id}/retry", data=form, follow_redirects=True)
    assert answer.status_code == 200
    assert "Tried again: 1 object." in answer.text
    assert "pending" in answer.text
    assert "by ui." in answer.text
    work(api, source.id)
    assert "failed" in get(http, key.group(1))


def test_what_was_never_read_is_said_in_texts_and_tokens(api, http):
    source = stored_source(api)
    page = f"/sources/{source.id}"
    assert "To embed" not in get(http, page)
    catalog = api.parts.catalog
    listing = catalog.listings.begin(source.id, owner="me")
    keys = [f"{n}.md" for n in range(10)]
    listed = PageCommit(
        asked=listing.number, cursor=keys[-1], listed=10, new=10, invoke=keys,
        upserts=[(ObjectRef(key=key, etag="e", size=4000), None) for key in keys],
    )  # fmt: skip
    assert catalog.listings.commit_page(listing, listed, owner="me")
    assert "To embed of what was never read: about 70 texts, 40,000 bytes" in get(http, page)
    catalog.sources.mark_deleting(source.id, keep_records=True)


def test_every_page_escapes_what_it_shows(http, source):
    pages = [
        "/",
        f"/sources/{source.id}",
        f"/sources/{source.id}/objects",
        f"/sources/{source.id}/objects?state=indexed&after=docs/",
        f"/sources/{source.id}/objects?reason={SCRIPT}",
        f"/sources/{source.id}/object?key=docs/{SCRIPT}.md",
        f"/sources/{source.id}/object?key=never%2F{SCRIPT}",
        f"/search?q={SCRIPT}&where=default_database/{source.collection_name}",
        f"/search?q=x&where={SCRIPT}/{SCRIPT}",
        f"/search?q=x&source={source.id}&limit=20",
        f"/sources/{source.id}/objects?prefix={SCRIPT}&word={SCRIPT}",
        f"/sources/{source.id}/removals",
        f"/sources/{source.id}/history?days=30",
        f"/sources/{source.id}/move",
        f"/sources/{source.id}/edit",
        f"/sources/{source.id}/delete",
        "/new-source?type=s3",
        "/new-source?type=web_scrape",
        f"/access?note={SCRIPT}",
        "/reasons",
        "/docs",
        f"/login?next={SCRIPT}",
    ]
    for path in pages:
        answer = http.get(path, follow_redirects=True)
        assert answer.status_code == 200, (path, answer.text)
        assert SCRIPT not in answer.text, path
        Outline(answer.text).check()
    for path in (f"/sources/{uuid.uuid4()}", "/sources/x", f"/nowhere{SCRIPT}"):
        answer = http.get(path, headers={"accept": "text/html"})
        assert answer.status_code == 404
        assert SCRIPT not in answer.text
        Outline(answer.text).check()
    assert http.get("/nowhere").json()["error"] == "not_found", "programs get data"


def test_a_search_shows_the_chunk_and_its_place(http, source):
    place = f"default_database/{source.collection_name}"
    text = get(http, "/search", params={"q": "moon twice", "where": place})
    assert "The <mark>moon</mark> pulls the sea &amp; &lt;b&gt;<mark>twice</mark>" in text
    assert "lines 1 to 3" in text
    assert f"/sources/{source.id}/object?key=docs%2Ftides.md" in text
    assert re.search(r"score \d\.\d{3} \(meaning -?\d\.\d{3}, words (&lt;0\.1|\d+\.\d)\)", text)
    assert '<option value="hybrid" selected>' in text
    words = get(
        http, "/search", params={"q": "moon", "where": place, "ranking": "words", "around": "1"}
    )
    assert "<mark>moon</mark>" in words
    assert '<option value="words" selected>' in words
    assert "checked" in words
    assert re.search(r"score \d+\.\d{3} \(words (&lt;0\.1|\d+\.\d)\)", words)
    assert "Search" in get(http, "/search")
    assert "Nothing" in get(
        http, "/search", params={"q": f"zzzz{'k' * 600}", "where": place, "ranking": "words"}
    )
    refused = get(http, "/search", params={"q": "x", "where": f"default_database/{'x' * 600}"})
    assert "collection_name: String should have at most 512 characters" in refused
    wrong = get(http, "/search", params={"q": "x", "where": "default_database/nobody-has-it"})
    assert "there is no collection" in wrong


def test_a_reason_leads_to_its_meaning_and_is_retried_alone(api, http, source):
    [row] = api.parts.catalog.views.object_rows(source.id, state="failed")
    page = get(http, f"/sources/{source.id}")
    assert f'href="/reasons#{row.reason}"' in page
    listed = get(http, f"/sources/{source.id}/objects?state=failed&reason={row.reason}")
    assert "What to do: " in listed
    assert "1 of 1 object in the order of the keys" in listed
    assert f'id="{row.reason}"' in get(http, "/reasons")
    form = {"form_token": form_token(page)}
    url = f"/sources/{source.id}/retry"
    other = http.post(url, data={**form, "reason": "damaged_otherwise"}, follow_redirects=True)
    assert "Tried again: 0 objects." in other.text
    same = http.post(url, data={**form, "reason": row.reason}, follow_redirects=True)
    assert "Tried again: 1 object." in same.text
    work(api, source.id)


def test_objects_are_found_by_prefix_and_by_a_word_of_their_keys(http, source):
    def found(query):
        page = get(http, f"/sources/{source.id}/objects?{query}")
        return re.findall(r'scope="row" data-label="Key"><a href="[^"]+">([^<]+)</a>', page)

    assert found("prefix=docs/t") == ["docs/tides.md"]
    assert found("word=TIDE") == ["docs/tides.md"]
    assert found("prefix=docs/&word=pdf") == ["docs/broken.pdf"]
    assert found("prefix=docs%2Ft%25") == []
    assert found("prefix=tides") == []


def test_an_object_shows_its_chunks(http, source):
    page = get(http, f"/sources/{source.id}/object?key=docs%2Ftides.md")
    assert f"Chunks in {source.collection_name}" in page
    assert "The moon pulls the sea &amp; &lt;b&gt;twice&lt;/b&gt; a day." in page
    assert re.search(r"lines \d+ to \d+", page)


def test_a_search_of_one_source_has_more_hits(http, source):
    place = {"q": "moon script", "where": f"default_database/{source.collection_name}"}
    one = get(http, "/search", params={**place, "source": str(source.id), "limit": "1"})
    assert one.count("<article>") == 1
    more = re.search(r'href="(/search\?[^"]+limit=2)">More hits', one)
    assert get(http, more.group(1).replace("&amp;", "&")).count("<article>") == 2
    other = get(http, "/search", params={**place, "source": str(uuid.uuid4())})
    assert "Nothing was found." in other


def test_a_new_bucket_needs_no_region_and_what_is_wrong_has_the_name_of_its_input(
    api, http, aws_endpoint
):
    bucket = aws_endpoint.make_bucket()
    aws_endpoint.put_all(bucket, {"a/1.md": "one"})
    shown = get(http, "/new-source")
    inputs = settings_form(shown)
    assert inputs["place.region"] == ""
    assert shown.index('name="place.region"') < shown.index("<details")
    form = {**inputs, "form_token": form_token(shown), "type": "s3"}
    form |= {"place.bucket_name": bucket, "place.endpoint_url": aws_endpoint.url}
    form |= {"place.addressing_style": "path"}
    keys = {"key_id": aws_endpoint.access_key_id, "secret": aws_endpoint.secret_access_key}
    token = {"form_token": form_token(get(http, "/access"))}
    stored = http.post("/access/credentials", data={**token, **keys}, follow_redirects=True)
    form["credential"] = re.search(r"Stored as credential (\d+)", stored.text).group(1)
    wrong = http.post("/new-source", data={**form, "look": "1"})
    assert wrong.status_code == 400
    assert "Collection name: Field required." in wrong.text
    form["collection_name"] = f"c-{bucket}"
    looked = http.post("/new-source", data={**form, "look": "1"})
    assert re.findall(r'name="choose" value="([^"]+)"', looked.text) == ["a/"], looked.text
    made = http.post("/new-source", data=form)
    assert made.status_code == 303, made.text
    name = made.headers["location"].partition("?")[0].rpartition("/")[2]
    assert api.parts.catalog.sources.find(name).place.region is None
    assert http.get(f"/api/v1/sources/{name}").json()["s3"]["region"] == ""


def test_a_queue_that_cannot_be_read_is_said_where_one_looks_first(api, http, source):
    queued = changed(source, queue_url="https://sqs.eu-west-1.amazonaws.com/123456789012/away")
    api.parts.catalog.sources.update(queued)
    troubles = api.parts.catalog.queue_troubles
    troubles.note(
        [queued], NotFound("receiving from queue 'away' failed", reason="queue_not_found")
    )
    for path in ("/", f"/sources/{source.id}"):
        page = get(http, path)
        assert "queue cannot be read" in page
        assert "receiving from queue" in page
    told = http.get(f"/s3sync/v1/sources/{source.id}").json()["queue_trouble"]
    assert (told["reason"], told["error"]) == (
        "queue_not_found", "receiving from queue 'away' failed",
    )  # fmt: skip
    troubles.note([queued], None)
    assert http.get(f"/s3sync/v1/sources/{source.id}").json()["queue_trouble"] is None
    assert "cannot be read" not in get(http, "/") + get(http, f"/sources/{source.id}")


@pytest.mark.parametrize("names", ["S3SYNC_TEST_NO_SUCH_KEY", "a bucket"])
def test_a_listing_that_fails_is_said_where_one_looks_first(api, http, aws_endpoint, names):
    if names == "a bucket":
        bucket = names = aws_endpoint.make_bucket("lost")
        source_id = http.post("/api/v1/sources", json=api.s3(bucket)).json()["source_id"]
        aws_endpoint.client("s3").delete_bucket(Bucket=bucket)
    else:  # it cannot be opened: the bucket is never asked
        keys = CredentialsConfig(access_key_id_env=names, secret_access_key_env=names)
        place = S3Place(bucket_name="a-bucket", region="us-east-1", credentials=keys)
        source_id = stored_source(api, place=place, auto_sync=AutoSync.NONE).id
        assert "nobody lists it by itself" in get(http, f"/sources/{source_id}")
        assert "not listed yet" in get(http, "/")
    assert http.post(f"/s3sync/v1/sources/{source_id}/backfill").status_code == 202
    listings = api.parts.catalog.listings
    while (one := listings.latest(source_id)) is None or one.finished_at is None:
        time.sleep(0.05)
    assert names in one.error

    def said():
        for path in ("/", f"/sources/{source_id}"):
            page = get(http, path)
            assert "listing failed" in page
            assert one.error.partition("'")[0] in page

    said()
    listings.begin(source_id, owner="another try, which takes as long as its time-out")
    said()
    api.parts.catalog.sources.mark_deleting(source_id, keep_records=True)


def test_the_last_days_are_charts_with_their_figures_as_a_table(api, http, source):
    catalog = api.parts.catalog
    address = f"/sources/{source.id}/history"
    assert f'href="{address}"' in get(http, f"/sources/{source.id}")
    catalog.hours.note(source.id, catalog.views.counts(source.id))
    catalog.hours.embedded(source.id, 1234)
    for days, bars in ((1, 24), (7, 28), (30, 30)):
        page = get(http, f"{address}?days={days}")
        assert f'href="{address}?days={days}" aria-current="page"' in page
        states, ended, lag, failed, texts = page.split("<figure")[1:]
        assert states.count("<g>") == bars
        [row] = re.findall(r"<tr>(<th scope=\"row\".*)</tr>", states)
        assert re.findall(r'data-label="(\w+)">([\d,]+)<', row) == [
            ("Indexed", "2"), ("Skipped", "1"), ("Processing", "0"), ("Pending", "0"),
            ("Failed", "1"),
        ]  # fmt: skip
        assert re.search(r'data-label="Complete">[1-9]', ended)
        [row] = catalog.views.object_rows(source.id, state="failed")
        assert f"{row.reason.replace('_', ' ')} 1</title>" in failed
        assert "texts 1,234</title>" in texts
        assert "None." in lag, "nothing waits"
    unseen = stored_source(api)
    assert "Nothing was noted since" in get(http, f"/sources/{unseen.id}/history")
    api.parts.catalog.sources.mark_deleting(unseen.id, keep_records=True)


def test_a_move_and_what_is_left_of_it_are_shown(api, http, aws_endpoint):
    bucket = aws_endpoint.make_bucket("moving")
    aws_endpoint.put_all(bucket, {f"{n}.md": f"Text {n}" for n in range(3)})
    body = {**api.s3(bucket), "embedding": {"dense": {"model": "s3sync-hash"}}}
    source_id = http.post("/api/v1/sources", json=body).json()["source_id"]
    listed_and_worked(api, http, source_id)
    catalog = api.parts.catalog
    before = catalog.sources.find(source_id)
    with catalog.database.write() as tx:
        tx.execute(sources.update().where(sources.c.id == before.id).values(origin="python"))
    catalog.sources.register(before.with_changes(collection_name=f"new-{bucket}"))
    assert f"source move {before.name}" in get(http, f"/sources/{before.id}")
    new = catalog.moves.begin(before.name)
    assert f'href="/sources/{new.id}/move">being moved' in get(http, "/")
    address = f"{before.place.address()} → {before.collection_name}"
    assert address in get(http, f"/sources/{new.id}")
    page = get(http, f"/sources/{new.id}/move")
    assert "3 documents of before (3 records) stay: 3 until the first listing" in page
    assert address in page
    assert "<dt>still there</dt><dd>3</dd>" in page
    listed_and_worked(api, http, new.id)
    page = get(http, f"/sources/{new.id}/move")
    assert "3 documents of before (3 records) go now (where their collection refuses" in page
    assert "<dt>followed by their own</dt><dd>3</dd>" in page
    catalog.sources.mark_deleting(new.id, keep_records=True)


def test_a_source_is_made_looked_into_changed_and_deleted_by_forms(api, http, aws_endpoint):
    bucket = aws_endpoint.make_bucket("forms")
    aws_endpoint.put_all(bucket, {f"{n}/x/{m}.md": "text" for n in "ab" for m in range(3)})
    keys = aws_endpoint.access_key_id, aws_endpoint.secret_access_key
    access = get(http, "/access")
    token = {"form_token": form_token(access)}
    stored = http.post(
        "/access/credentials", data={**token, "key_id": keys[0], "secret": keys[1]},
        follow_redirects=True,
    )  # fmt: skip
    assert keys[1] not in stored.text
    number = re.search(r"Stored as credential (\d+)", stored.text).group(1)
    page = get(http, "/new-source")
    shown = {html.unescape(one) for one in re.findall('placeholder="([^"]*)"', page)}
    assert {"one a line", '{"name": "value"}'} <= shown
    assert f'<option value="{number}"' in page
    form = {
        **token, "type": "s3", "credential": number, "place.bucket_name": bucket,
        "collection_name": f"c-{bucket}", "place.region": "us-east-1",
        "place.endpoint_url": aws_endpoint.url, "place.addressing_style": "path",
        "extensions": ".md\n.txt", "embedding.kind": "s3sync-hash", "chunking.max_lines": "",
        "auto_sync": "none", "metadata": '{"team": "sea"}',
    }  # fmt: skip
    assert re.search(r'name="list_interval_seconds" value="300"', page), "as the CLI: it is listed"
    form["list_interval_seconds"] = "300"  # beside auto_sync none, which counts
    before = len(api.parts.catalog.sources.all())
    looked = http.post("/new-source", data={**form, "look": "1"})
    assert re.findall(r'name="choose" value="([^"]+)"', looked.text) == ["a/", "b/"]
    chosen = http.post("/new-source", data={**form, "choose": "a/"})
    assert 'name="place.path_prefix" value="a/"' in chosen.text
    assert 'name="choose" value="a/x/"' in chosen.text
    wrong = http.post("/new-source", data={**form, "max_size_bytes": "many"})
    assert (wrong.status_code, "max_size_bytes has to be a whole number" in wrong.text) == (
        400,
        True,
    )
    assert len(api.parts.catalog.sources.all()) == before
    made = http.post("/new-source", data={**form, "place.path_prefix": "a/"})
    assert made.status_code == 303, made.text
    place = made.headers["location"].partition("?")[0]
    source = api.parts.catalog.sources.find(place.rpartition("/")[2])
    assert (source.extensions, dict(source.metadata)) == ((".md", ".txt"), {"team": "sea"})
    assert (source.place.path_prefix, source.embedding.kind) == ("a/", "hash")
    assert (source.auto_sync, source.list_interval_seconds) == ("none", 0)
    dry = http.post(f"{place}/dry-run", data=token)
    assert "3 objects of 3 listed would be read: 12 bytes with 3 requests" in dry.text
    assert "To embed: about 3 texts, 12 bytes, 4 tokens, by names and sizes." in dry.text
    assert api.parts.catalog.views.counts(source.id).objects == 0
    inputs = settings_form(get(http, f"{place}/edit"))
    changed = http.post(f"{place}/edit", data={**token, **inputs, "extensions": ".md"})
    assert changed.status_code == 303, changed.text
    now = api.parts.catalog.sources.find(source.id)
    assert now == source.with_changes(extensions=(".md",)), "and nothing else"
    kept = http.post(f"{place}/delete", data={**token, "name": "another"})
    assert kept.status_code == 400
    told = f"Nothing was deleted: the name of this source is '{source.name}'."
    assert told in html.unescape(kept.text)
    assert f'action="{place}/delete"' in kept.text, "the form comes back"
    assert "checked" not in kept.text
    kept = http.post(f"{place}/delete", data={**token, "name": "b", "delete_records": "1"})
    assert 'value="1" checked>' in kept.text
    assert form_token(kept.text) == token["form_token"]
    assert http.post(f"{place}/delete", data={**token, "name": source.name}).status_code == 303
    assert api.parts.catalog.sources.row(source.id).deleting == "keep"


def test_an_edit_page_left_open_takes_back_nothing_that_was_said_since(api, http):
    source = stored_source(api)
    place = f"/sources/{source.id}/edit"
    form = settings_form(get(http, place))
    said = {"reader_keys": ["team"], "exclude_globs": ["secret/**"]}
    assert http.patch(f"/s3sync/v1/sources/{source.id}", json=said).status_code == 200
    now = api.parts.catalog.sources.find(source.id)
    for stale in (form, {**form, "shown": ""}):
        answer = http.post(place, data={**stale, "list_interval_seconds": "600"})
        assert (answer.status_code, "Nothing was changed" in answer.text) == (409, True)
        assert api.parts.catalog.sources.find(source.id) == now
    shown = settings_form(answer.text)
    assert shown["exclude_globs"] == "secret/**", "what there is now, to be changed from there"
    assert http.post(place, data={**shown, "list_interval_seconds": "600"}).status_code == 303
    changed = api.parts.catalog.sources.find(source.id)
    assert changed == now.with_changes(list_interval_seconds=600)


def add_credential(api, *, tenant="default_tenant"):
    keys = AwsKeys(access_key_id=f"AKIA{uuid.uuid4().hex}", secret_access_key="x" * 40)
    cipher = open_cipher(api.parts.settings)
    return str(api.parts.catalog.credentials.add(keys, tenant=tenant, cipher=cipher).id)


def test_a_form_that_nobody_touched_changes_no_credential(fresh_api):
    api = fresh_api
    add_credential(api, tenant="stranger")
    variables = CredentialsConfig(access_key_id_env="A_KEY", secret_access_key_env="B_KEY")
    token = api.token(tenant="stranger")
    with api.client() as http:
        login = {"form_token": form_token(get(http, "/login")), "token": token}
        assert http.post("/login", data=login).status_code == 303
        for credentials in (CredentialsConfig(), variables):
            place = S3Place(bucket_name="a-bucket", region="us-east-1", credentials=credentials)
            source = stored_source(api, tenant="stranger", place=place)
            form = settings_form(get(http, f"/sources/{source.id}/edit"))
            form["list_interval_seconds"] = "600"
            answer = http.post(f"/sources/{source.id}/edit", data=form)
            assert answer.status_code == 303, answer.text
            # How many of its texts had a vector already would tell what others' documents say.
            api.parts.catalog.hours.embedded(source.id, 5)
            charts = get(http, f"/sources/{source.id}/history")
            assert "<figure" in charts
            assert "texts that the model read" not in charts
            changed = api.parts.catalog.sources.find(source.id)
            assert changed == source.with_changes(list_interval_seconds=600)


def test_what_a_form_cannot_change_or_read_is_said_in_a_sentence(api, http):
    number = add_credential(api)
    credentials = CredentialsConfig(credential_id=int(number))
    place = S3Place(bucket_name="a-bucket", region="us-east-1", credentials=credentials)
    source = stored_source(api, place=place)
    form = settings_form(get(http, f"/sources/{source.id}/edit"))
    assert form["credential"] == number
    for name, value, sentence in (
        ("credential", "", "never taken away"),
        ("credential", "9" * 5000, "never taken away"),
        ("place.region", "", "never taken away"),
        ("list_interval_seconds", "--5", "has to be a whole number"),
        ("list_interval_seconds", "9" * 5000, "has to be a whole number"),
        ("metadata", "[" * 15_000, "is no JSON object"),
        ("metadata", '{"a": NaN}', "is no JSON object"),
    ):
        answer = http.post(f"/sources/{source.id}/edit", data={**form, name: value})
        assert (answer.status_code, sentence in answer.text) == (400, True), (name, value[:9])
        assert api.parts.catalog.sources.find(source.id) == source
    other = add_credential(api)
    written = {
        "credential": other, "exclude_globs": "**/*.tmp", "metadata": '{"team": "<x>"}',
        "mode": "append", "list_interval_seconds": "soon",
    }  # fmt: skip
    answer = http.post(f"/sources/{source.id}/edit", data={**form, **written})
    assert answer.status_code == 400
    shown = settings_form(answer.text)
    assert {name: shown[name] for name in written} == written
    mended = {**shown, "credential": number, "list_interval_seconds": "600"}
    http.post(f"/sources/{source.id}/edit", data=mended)
    changed = api.parts.catalog.sources.find(source.id)
    assert (changed.list_interval_seconds, changed.metadata) == (600, {"team": "<x>"})
    make = {"form_token": form["form_token"], "type": "s3", "place.bucket_name": "a-bucket"}
    answer = http.post("/new-source", data={**make, "credential": "9" * 5000})
    assert answer.status_code == 400


def test_a_link_puts_no_sentence_of_its_own_on_the_page_of_access(http):
    assert "Token 7 is revoked." in get(http, "/access", params={"note": "revoked", "n": "7"})
    for strange in ({"note": "Send it to evil"}, {"note": "revoked", "n": "evil"}):
        assert "evil" not in get(http, "/access", params={"n": "7", **strange})


def test_removals_that_wait_for_an_approval_are_listed(api, http, aws_endpoint, monkeypatch):
    bucket = aws_endpoint.make_bucket("guard")
    aws_endpoint.put_all(bucket, {f"{n}.md": f"Text {n}" for n in range(3)})
    body = api.s3(bucket)
    body["embedding"] = {"dense": {"model": "s3sync-hash"}}
    source_id = http.post("/api/v1/sources", json=body).json()["source_id"]

    listed_and_worked(api, http, source_id)
    for number in range(3):
        aws_endpoint.delete(bucket, f"{number}.md")
    listed_and_worked(api, http, source_id, state="blocked")
    assert f'href="/sources/{source_id}/removals"' in get(http, f"/sources/{source_id}")
    listings = api.parts.catalog.listings
    blocked = listings.blocked(source_id)
    listings.fail(listings.begin(source_id, owner="me", fresh=True), owner="me", error="no answer")
    assert "Approve 3 removals" in get(http, f"/sources/{source_id}")
    assert "3 removals to approve" in get(http, "/")
    page = get(http, f"/sources/{source_id}/removals")
    assert re.findall(r">(\d\.md)</a>", page) == ["0.md", "1.md", "2.md"]
    assert "Approve 3 removals" in page
    assert f'name="listing_id" value="{blocked.id}"' in page
    assert "0.md" not in get(http, f"/sources/{source_id}/removals?kind=3")  # of the last kind
    for most in (2, 3):  # no page follows one that is just full
        monkeypatch.setattr(pages, "OBJECTS_A_PAGE", most)
        assert ("Next keys" in get(http, f"/sources/{source_id}/removals")) is (most < 3)
        assert ("Next objects" in get(http, f"/sources/{source_id}/objects")) is (most < 3)
    held = get(http, f"/sources/{source_id}/object", params={"key": "0.md"})
    assert "Its records stay until a person approves their removal" in held
    never = get(http, f"/sources/{source_id}/object", params={"key": "never.md"})
    assert never.count("No listing has seen this key.") == 1
    assert "Selected." not in never


def test_owners_make_and_revoke_tokens_of_their_own_tenant_alone(fresh_api):
    api = fresh_api
    with api.client() as open_http:
        form = {"form_token": form_token(get(open_http, "/access")), "role": "owner"}
        assert open_http.post("/access/tokens", data=form).status_code == 400
    owner, member = api.token(), api.token(role="member")
    api.token(tenant="stranger")
    strangers = api.parts.catalog.tokens.rows()[-1].id

    def signed_in(http, token):
        login = {"form_token": form_token(get(http, "/login")), "token": token}
        assert http.post("/login", data=login).status_code == 303
        return {"form_token": form_token(get(http, "/"))}

    with api.client() as http:
        form = signed_in(http, member)
        assert http.get("/access").status_code == 403
        for path, more in (("tokens", {"role": "owner"}), (f"tokens/{strangers}/revoke", {})):
            assert http.post(f"/access/{path}", data={**form, **more}).status_code == 403
    with api.client() as http:
        form = signed_in(http, owner)
        page = http.post("/access/tokens", data={**form, "role": "member", "name": "ci"})
        token = re.search(r"(s3s_[\w-]{20,})", page.text).group(1)
        assert page.headers["cache-control"] == "no-store"
        assert token not in get(http, "/access")
        made = api.parts.catalog.tokens.find(token)
        assert (made.tenant, made.role, made.name) == ("default_tenant", "member", "ci")
        assert http.post(f"/access/tokens/{strangers}/revoke", data=form).status_code == 404
        assert http.post(f"/access/tokens/{made.id}/revoke", data=form).status_code == 303
        assert api.parts.catalog.tokens.find(token) is None
        assert http.post(f"/access/tokens/{made.id}/revoke").status_code == 403  # no form of ours


def test_buttons_of_a_source(api, http, source):
    page = get(http, f"/sources/{source.id}")
    form = {"form_token": form_token(page)}
    for verb, note in (
        ("pause", "Automatic work is paused."),
        ("resume", "Automatic work goes on."),
        ("backfill", "The prefix is being listed"),
        ("retry", "Tried again: 1 object."),
    ):
        answer = http.post(f"/sources/{source.id}/{verb}", data=form, follow_redirects=True)
        assert answer.status_code == 200, answer.text
        assert note in answer.text
    stale = http.post(
        f"/sources/{source.id}/approve-deletes", data={**form, "listing_id": "1000000"}
    )
    assert stale.status_code == 409
    assert "Nothing blocked" in stale.text
    Outline(stale.text).check()
    while api.parts.catalog.listings.live_owner(source.id):
        pass
    work(api, source.id)


@pytest.mark.parametrize(
    ("button", "field"),
    [
        ("retry", {"key": "a\0b"}),
        ("retry", {"reason": "a\0b"}),
        ("approve-deletes", {"listing_id": str(10**22)}),
    ],
)
def test_what_no_database_keeps_is_no_fault_of_the_server(http, source, button, field):
    form = {"form_token": form_token(get(http, f"/sources/{source.id}"))} | field
    assert http.post(f"/sources/{source.id}/{button}", data=form).status_code == 400


def test_a_form_of_another_site_is_refused(api, http, source):
    page = get(http, f"/sources/{source.id}")
    token = form_token(page)
    url = f"/sources/{source.id}/pause"
    assert http.post(url).status_code == 403
    assert http.post(url, data={"form_token": "0" * 64}).status_code == 403
    here = api.url.removeprefix("http://")
    for headers in (
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": f"ftp://{here}"},
        [("origin", api.url), ("origin", "http://evil.example")],
    ):
        assert http.post(url, data={"form_token": token}, headers=headers).status_code == 403
    with httpx.Client(base_url=api.url) as stranger:  # the right token without the cookie
        assert stranger.post(url, data={"form_token": token}).status_code == 403
    assert not api.parts.catalog.sources.paused(source.id)
    for cookie in http.cookies.jar:
        assert cookie.has_nonstandard_attr("HttpOnly")
        assert cookie.get_nonstandard_attr("SameSite").lower() == "strict"


def test_a_link_from_dagster_may_be_followed_on_an_open_server(http):
    linked = {
        "sec-fetch-site": "same-site",
        "sec-fetch-mode": "navigate",
        "sec-fetch-dest": "document",
    }
    assert http.get("/", headers=linked).status_code == 200
    for change in (
        {"sec-fetch-mode": "cors"},
        {"sec-fetch-mode": "no-cors"},
        {"sec-fetch-dest": "iframe"},
        {"sec-fetch-dest": "image"},
    ):
        assert http.get("/", headers=linked | change).status_code == 403


def test_signing_in_and_out(fresh_api, aws_endpoint):
    api = fresh_api
    mine = api.parts.catalog.sources.add(aws_endpoint.source("some-bucket"))
    owner = api.token()
    [row] = api.parts.catalog.tokens.rows()
    member = api.token(role="member")
    stranger = api.token(tenant="stranger")
    with api.client() as http:
        answer = http.get(f"/sources/{mine.id}?n=1")
        assert answer.status_code == 303
        assert answer.headers["location"] == f"/login?next=%2Fsources%2F{mine.id}%3Fn%3D1"
        login = get(http, answer.headers["location"])
        form = {"form_token": form_token(login), "target": f"/sources/{mine.id}"}
        wrong = http.post("/login", data={**form, "token": "s3s_wrong"})
        assert wrong.status_code == 401
        assert "not known" in wrong.text
        Outline(wrong.text).check()
        assert http.post("/login", data={"token": owner}).status_code == 403  # no signature
        answer = http.post("/login", data={**form, "token": f" {owner} "})
        assert (answer.status_code, answer.headers["location"]) == (303, f"/sources/{mine.id}")
        cookie = answer.headers["set-cookie"]
        assert owner not in cookie
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        page = get(http, f"/sources/{mine.id}")
        assert "Pause" in page
        seed, owners_form = http.cookies[FORM_COOKIE], {"form_token": form_token(page)}
        assert http.post(f"/sources/{mine.id}/retry", data=form).status_code == 403  # of nobody yet
        assert http.get(f"/sources/{mine.id}/content?key=x").status_code == 400  # no keys here
        # The cookie opens the pages alone: the API wants the token.
        assert http.get("/api/v1/sources").status_code == 401
        api.parts.catalog.tokens.revoke(row.id)
        assert http.get("/").status_code == 303
    for token, sees in ((member, True), (stranger, False)):
        with api.client() as http:
            form = {"form_token": form_token(get(http, "/login")), "target": "//evil.example"}
            answer = http.post("/login", data={**form, "token": token})
            assert answer.headers["location"] == "/"
            assert (mine.name in get(http, "/")) is sees
            shown = http.get(f"/sources/{mine.id}")
            assert shown.status_code == (200 if sees else 404)
            # A neighbouring name may set a cookie, with a form token that its owner was shown.
            http.cookies.set(FORM_COOKIE, seed, domain=http.base_url.host, path="/")
            planted = http.post(f"/sources/{mine.id}/retry", data=owners_form)
            assert planted.status_code == 403
            signed = {"form_token": form_token(get(http, "/"))}
            refused = http.post(f"/sources/{mine.id}/pause", data=signed)
            assert refused.status_code == (403 if sees else 404)
            retried = http.post(f"/sources/{mine.id}/retry", data=signed)
            assert retried.status_code == (303 if sees else 404)
            if sees:
                assert "Pause" not in shown.text
            http.post("/logout", data=signed)
            assert http.get("/").status_code == 303


def test_static_files(http):
    for name, kind in (("console.css", "text/css"), ("console.js", "text/javascript")):
        answer = http.get(f"/static/{name}")
        assert answer.headers["content-type"].startswith(kind)
        assert "max-age" in answer.headers["cache-control"]
    for name in ("../pages.py", "..%2Fpages.py", "console.html"):
        assert http.get(f"/static/{name}").status_code == 404


def test_words_for_people():
    assert duration(0) == "a moment"
    assert counted(1, "object") == "1 object"
    assert counted(1200, "object") == "1,200 objects"
    assert duration(61) == "1 minute 1 second"
    assert duration(90_000) == "1 day 1 hour"
    assert size(-1) == "unknown"
    assert size(999) == "999 bytes"
    assert size(1500) == "1.5 kB"
    assert size(200 * 1024 * 1024) == "209.7 MB"
    assert ago(None) == "never"
    assert "1970-01-01 00:00:00 UTC" in ago(0.0)
    assert highlight("a <b> Moon", "moon") == "a &lt;b&gt; <mark>Moon</mark>"
    assert highlight("a.b", ".") == "a.b"
    assert highlight("x" * 10, "(((") == "x" * 10
    assert safe_target("/a?b=1") == "/a?b=1"
    for target in ("", "//evil", "/\\evil", "http://evil", "javascript:x", "/a\nb"):
        assert safe_target(target) == "/"
