"""The page of one object over HTTP: its chunks as bands, pages of them, and who sees which."""

import re
import uuid
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from s3sync_dagster.api.console.session import Sessions
from s3sync_dagster.api.errors import TooMany
from s3sync_dagster_tests.api.indexing import work
from s3sync_dagster_tests.api.server import running_api
from s3sync_dagster_tests.api.test_console import SCRIPT, get

LONG, HOSTILE, KEPT = "sales/long.txt", "sales/page.html.txt", "hr/vault.md"
SHARED = [
    f"Line {number} of the long text, {number * 7919} is its number.\n" for number in range(160)
]


@pytest.fixture(scope="module")
def there(tmp_path_factory, chroma_server, aws_endpoint):
    """A source whose paths tell who may read."""
    home = tmp_path_factory.mktemp("bands")
    with running_api(home, chroma=chroma_server, aws=aws_endpoint) as api:
        tokens = {"owner": api.token()}
        for who in ("sales", "hr"):
            made = api.parts.catalog.tokens.create(
                tenant="default_tenant", role="member", name=who, groups=[who]
            )
            tokens[who] = made[1]
        tokens["stranger"] = api.token(tenant="another")
        bucket = aws_endpoint.make_bucket()
        aws_endpoint.put_all(
            bucket,
            {
                LONG: "".join(SHARED),
                HOSTILE: f"\n\n{SCRIPT}</pre></article><h1>Not ours</h1> & 'quoted'\n",
                KEPT: "# Vault\n\nThe vault opens with 4711.\n",
            },
        )
        body = api.s3(bucket, path_metadata=r"(?P<team>[^/]+)/", reader_keys=["team"])
        body["embedding"] = {"dense": {"model": "s3sync-hash"}}
        body["chunking"] = {"type": "lines", "max_lines": 2}
        with api.client(tokens["owner"]) as http:
            made = http.post("/api/v1/sources", json=body)
            assert made.status_code == 201, made.text
            source = made.json()["source_id"]
            for key in (LONG, HOSTILE, KEPT):
                url = f"/api/v1/sources/{source}/invocations"
                assert http.post(url, json={"object_key": key}).status_code < 300
            work(api, source)
        yield SimpleNamespace(api=api, tokens=tokens, source=source, collection=f"c-{bucket}")


def visit(there, who, path, **params):
    with there.api.client() as http:
        sealed = Sessions(there.api.parts.settings).seal(there.tokens[who])
        http.cookies.set("s3sync_session", sealed)
        return http.get(path, params=params or None)


def shown(there, key, who="owner", **params):
    answer = visit(there, who, f"/sources/{there.source}/object", key=key, **params)
    assert answer.status_code == 200, answer.text
    return answer.text


def bands(page):
    return [
        int(one) for one in re.findall(r'<article class="band[^"]*" id="chunk-\w{8}-(\d+)"', page)
    ]


def written(there, key):
    """The collection itself, and the document that the catalog knows of a key."""
    parts = there.api.parts
    [document] = parts.catalog.documents.of_key(there.source, key)
    collection = parts.collections.open(
        there.collection,
        tenant=document.tenant,
        database=document.database_name,
        embedder=None,
    )
    return collection, document


def test_a_long_document_has_pages_of_chunks_and_no_text_twice(there):
    pages = [shown(there, LONG, chunk=number) for number in (0, 50, 10**9)]
    assert [bands(page) for page in pages] == [[*range(50)], [*range(50, 80)], [*range(50, 80)]]
    text = "".join(pages[:2])
    for line in SHARED:
        assert text.count(line.strip()) == 1, line
    assert "Chunks 0 to 49 of 80." in pages[0]
    assert "Not indexed" not in text
    after = re.search(r'href="([^"]+)">Chunks after', pages[0])[1].replace("&amp;", "&")
    assert "Chunks before" not in pages[0]
    following = visit(there, "owner", after).text
    assert bands(following) == bands(pages[1])
    assert "Chunks after" not in following
    before = re.search(r'href="([^"]+)">Chunks before', following)[1].replace("&amp;", "&")
    assert bands(visit(there, "owner", before).text) == [*range(50)]
    fragment = after.partition("#")[2]
    assert f'<h2 id="{fragment}">Chunks in {there.collection}' in following
    assert "lines 1 to 2" in pages[0]
    assert "from column" not in text


@pytest.mark.parametrize("chunk", ["-1", "x", str(10**9 + 1)])
def test_what_is_no_number_of_a_chunk_is_refused(there, chunk):
    answer = visit(there, "owner", f"/sources/{there.source}/object", key=LONG, chunk=chunk)
    assert answer.status_code == 400
    assert "chunk" in answer.text


def test_a_hit_leads_to_its_band(there):
    place = f"default_database/{there.collection}"
    found = visit(there, "owner", "/search", q=SHARED[133], where=place, ranking="words").text
    link = re.search(r'<h2><a href="([^"]+)"', found)[1].replace("&amp;", "&")
    assert re.search(r"&chunk=66&q=Line%20133[^#&]*#chunk-\w{8}-66$", link)
    page = visit(there, "owner", link.partition("#")[0]).text
    band = page.partition(f'id="{link.partition("#")[2]}"')[2].partition("</article>")[0]
    words = re.sub("</?mark>", "", band)
    assert SHARED[133].strip() in words
    assert "<mark>1053227</mark>" in band
    assert re.search(r"characters · (meaning -?\d\.\d{3}, )?words \d+\.\d<", band)


def test_a_question_is_asked_of_one_text(there):
    page = shown(there, LONG, q="1053227")
    best = re.search(r'<li><a href="([^"]+)">Chunk 66</a> \(([^)]+)\)', page)
    assert "words" in best[2]
    address = best[1].replace("&amp;", "&")
    assert "chunk=66&q=1053227#chunk-" in address
    assert "<mark>1053227</mark>" in visit(there, "owner", address).text
    after = re.search(r'href="([^"]+)">Chunks after', page)[1]
    assert "&amp;q=1053227#" in after
    assert "Chunk 0</a> (" not in shown(there, KEPT, q="   "), "a blank is no question"
    assert "4711" not in shown(there, KEPT, who="sales", q="vault")
    others = shown(there, LONG, q="The vault opens with 4711")
    assert len(re.findall(r">Chunk \d+</a> \(", others)) == 10, "what fits better elsewhere is none"
    wrong = shown(there, LONG, q="\ud800".encode("utf-8", "surrogatepass"))
    assert bands(wrong) == [*range(50)]


def test_a_question_that_cannot_be_asked_leaves_the_text(there):
    slots = there.api.context.searches
    with ExitStack() as stack:
        for _ in range(1000):
            try:
                stack.enter_context(slots.taken("default_tenant"))
            except TooMany:
                break
        page = shown(there, LONG, q="line")
    assert bands(page) == [*range(50)]
    assert 'class="warning" role="status"' in page


def test_nothing_of_a_text_is_markup_and_its_blank_lines_stay(there, http_of):
    page = get(http_of("owner"), f"/sources/{there.source}/object", params={"key": HOSTILE})
    assert SCRIPT not in page
    assert "&lt;/pre&gt;&lt;/article&gt;&lt;h1&gt;Not ours" in page
    assert page.count("<pre ") == len(bands(page)) == page.count("</article>")
    assert re.search(r'<pre dir="auto">\n\n', page), "a parser drops the first newline of a pre"


@pytest.fixture
def http_of(there):
    clients = []

    def client(who):
        clients.append(there.api.client())
        sealed = Sessions(there.api.parts.settings).seal(there.tokens[who])
        clients[-1].cookies.set("s3sync_session", sealed)
        return clients[-1]

    yield client
    for one in clients:
        one.close()


def test_who_may_not_read_an_object_sees_no_band_of_it(there):
    assert "4711" in shown(there, KEPT)
    assert "4711" in shown(there, KEPT, who="hr")
    kept, unknown = shown(there, KEPT, who="sales"), shown(there, "hr/never.md", who="sales")
    for page in (kept, unknown):
        assert bands(page) == []
        assert "Chunks in" not in page
        assert "4711" not in page
    assert kept.replace(KEPT, "hr/never.md").count("<p") == unknown.count("<p"), "alike"
    for who in ("sales", "owner"):
        assert len(bands(shown(there, LONG, who=who))) == 50
    assert bands(shown(there, LONG, who="hr")) == []


def test_a_record_that_says_others_may_read_is_no_band(there):
    """The catalog lets sales see the document; one of its records says that it is hr's by now."""
    collection, document = written(there, LONG)
    name = f"{document.document_id}-3"
    metadata = dict(collection.get([name])[name].metadata)
    collection.update_metadata([name], [{**metadata, "team": "hr"}])
    try:
        page = shown(there, LONG, who="sales")
        assert bands(page) == [*range(50)]
        assert "Chunk 3</a> (" not in shown(there, LONG, who="sales", q=SHARED[6])
        assert SHARED[6].strip() not in page
        assert "not yours to read" in page
        assert "Chunk 3</a> (" in shown(there, LONG, q=SHARED[6])
    finally:
        collection.update_metadata([name], [metadata])


def test_another_tenant_and_an_unknown_object_meet_nothing(there):
    stranger = visit(there, "stranger", f"/sources/{there.source}/object", key=LONG)
    assert stranger.status_code == 404
    assert SHARED[0].strip() not in stranger.text
    nowhere = visit(there, "owner", f"/sources/{uuid.uuid4()}/object", key=LONG)
    assert nowhere.status_code == 404
    assert bands(shown(there, "sales/never.md", chunk=7)) == []


def test_a_record_that_is_gone_is_told(there):
    collection, document = written(there, HOSTILE)
    collection.delete([f"{document.document_id}-0"])
    page = shown(there, HOSTILE)
    assert "No record of it can be shown" in page
    assert bands(page)[0] == 0
