"""``s3sync import``: what other products show of a source, and what becomes of it here."""

import json
import time
from contextlib import closing

import pytest
from supermemory.types import ConnectionGetByIDResponse

from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.catalog import sources as catalog_sources
from s3sync_dagster.model.errors import Conflict
from s3sync_dagster.moving.coco import datasource_of, seconds_of
from s3sync_dagster.moving.reading import read_configuration
from s3sync_dagster.moving.wanted import Wanted
from s3sync_dagster.settings import load_settings

CHROMA = {
    "id": "0d4f3f0e-5c2b-4a57-9a31-9f0a3a1c1a11",
    "database_name": "default_database",
    "s3": {
        "bucket_name": "docs-bucket",
        "region": "eu-central-1",
        "collection_name": "docs",
        "aws_credential_id": 7,
        "path_prefix": "a/",
        "auto_sync": "direct",
    },
    "embedding": {"dense": {"model": "all-MiniLM-L6-v2"}},
    "embedding_model": {"model": "all-MiniLM-L6-v2"},
    "chunking": {"type": "lines", "max_lines": 7, "max_size_bytes": 2048},
    "created_at": "2026-08-01T00:00:00Z",
}
REPOSITORY = {
    "id": "1",
    "github": {"repository": "team/docs", "app_id": "3", "include_globs": ["*.md"]},
    "database_name": "default_database",
}
SUPERMEMORY = {
    "id": "conn_1",
    "provider": "s3",
    "createdAt": "2026-08-01T00:00:00Z",
    "containerTags": ["team one"],
    "documentLimit": 50,
    "metadata": {
        "bucket": "memories",
        "region": "auto",
        "endpoint": "http://127.0.0.1:9000",
        "accessKeyId": "theirKeyIdInTheFile",
        "secretAccessKey": "theirSecretInTheFile",
        "containerTagRegex": "users/(?<userId>[^/]+)/",
    },
}
COCO = {
    "name": "My S3 Documents",
    "type": "connector",
    "enabled": False,
    "category": "handbook",
    "connector": {
        "id": "s3",
        "config": {
            "access_key_id": "${COCO_ID}",
            "secret_access_key": "${COCO_SECRET}",
            "bucket": "coco-bucket",
            "endpoint": "s3.us-west-2.amazonaws.com",
            "use_ssl": True,
            "prefix": "in/",
            "extensions": ["PDF", ".docx"],
        },
    },
    "sync": {"enabled": True, "interval": "1h30m", "strategy": "full"},
    "enrichment_pipeline": {"name": "x"},
}
ALL = [
    CHROMA,
    REPOSITORY,
    SUPERMEMORY,
    {"hits": {"total": 1, "hits": [{"_id": "1", "_source": COCO}]}},
]


@pytest.fixture
def written(tmp_path):
    def write(content):
        path = tmp_path / "file.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    return write


def flattened(entries):
    return [
        hit["_source"] if "hits" in one else one
        for one in entries
        for hit in (one["hits"]["hits"] if "hits" in one else [None])
    ]


def test_sources_of_three_products_are_made_once(s3sync, written):
    file = written(flattened(ALL))
    dry = s3sync("import", file, "--dry-run")
    assert dry.code == 0, dry.err
    assert dry.out.count("would be made") == 4
    assert "app_id" in dry.err
    assert "aws_credential_id" in dry.err
    assert "enrichment_pipeline" in dry.err
    assert s3sync("source", "list", "--json").json == []
    assert s3sync("credential", "list", "--json").json == []

    done = s3sync("import", file)
    assert done.code == 0, done.err
    for secret in ("theirKeyIdInTheFile", "theirSecretInTheFile"):
        assert secret not in dry.out + dry.err + done.out + done.err
    before = {one["name"]: one for one in s3sync("source", "list", "--json").json}
    docs, repository = before["docs_bucket"], before["team_docs"]
    assert (docs["path_prefix"], docs["region"]) == ("a/", "eu-central-1")
    assert docs["chunking"]["max_lines"] == 7
    assert (docs["auto_sync"], docs["list_interval_seconds"]) == ("direct", 300)
    assert docs["credentials"]["credential_id"] is None
    assert (repository["auto_sync"], repository["include_globs"]) == ("none", ["*.md"])
    memories, coco = before["memories"], before["My_S3_Documents"]
    assert memories["metadata"] == {"containerTags": ["team one"]}
    assert memories["path_metadata"] == "users/(?P<userId>[^/]+)/"
    assert memories["path_metadata_whole_key"] is True
    assert memories["document_limit"] == 50
    assert memories["endpoint_url"] == "http://127.0.0.1:9000"
    assert coco["paused"] is True
    assert coco["metadata"] == {"datasource": "My S3 Documents", "category": "handbook"}
    assert coco["extensions"] == [".pdf", ".docx"]
    assert (coco["endpoint_url"], coco["region"]) == (None, "us-west-2")
    assert coco["list_interval_seconds"] == 5400
    assert coco["credentials"]["access_key_id_env"] == "COCO_ID"
    [stored] = s3sync("credential", "list", "--json").json
    assert (stored["id"], stored["sources"]) == (
        memories["credentials"]["credential_id"],
        ["memories"],
    )

    again = s3sync("import", file, "--json")
    assert again.code == 0, again.err
    assert {one["state"] for one in again.json} == {"there"}
    assert {one["name"]: one for one in s3sync("source", "list", "--json").json} == before
    assert len(s3sync("credential", "list", "--json").json) == 1


def test_an_answer_of_cocos_search_and_a_list_in_an_object_are_read(s3sync, written):
    for content in (ALL[3], {"sources": [CHROMA]}, {"found": True, "_source": COCO}):
        done = s3sync("import", written(content), "--dry-run", "--json")
        assert [one["state"] for one in done.json] == ["new"], done.err


def test_a_credential_and_a_database_of_ones_own_stand_for_those_of_the_file(
    s3sync, written, monkeypatch
):
    monkeypatch.setenv("RED_ID", "keyidfortests")
    monkeypatch.setenv("RED_SECRET", "secretfortests")
    made = s3sync(
        "credential", "create",
        "--access-key-id-env", "RED_ID", "--secret-access-key-env", "RED_SECRET",
    )  # fmt: skip
    number = made.out.strip()
    qwen = {**CHROMA, "embedding": None, "embedding_model": "Qwen/Qwen3-Embedding-0.6B"}
    refused = s3sync("import", written([qwen]))
    assert refused.code == 1
    assert "CHROMA_API_KEY" in refused.err
    more = ["--embedding", "hash", "--credential", number, "--database", "other"]
    done = s3sync("import", written([qwen]), *more)
    assert done.code == 0, done.err
    [source] = s3sync("source", "list", "--json").json
    assert source["embedding"]["kind"] == "hash"
    assert source["credentials"]["credential_id"] == int(number)
    assert source["database_name"] == "other"
    # what is there is there, whatever model this machine could not have made it with
    assert s3sync("import", written([qwen]), "--database", "other").code == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"provider": "notion"}, "notion"),
        ({"metadata": {"region": "auto"}}, "bucket"),
        ({"metadata": {**SUPERMEMORY["metadata"], "secretAccessKey": ""}}, "have to come together"),
        ({"metadata": {**SUPERMEMORY["metadata"], "accessKeyId": "${KEYID}"}}, "or neither"),
        ({"metadata": {**SUPERMEMORY["metadata"], "secretAccessKey": "${S:-x}"}}, "or neither"),
        ({"metadata": {**SUPERMEMORY["metadata"], "bucket": "b/../c"}}, "bucket_name"),
        ({"metadata": {**SUPERMEMORY["metadata"], "bucket": 7}}, "another type"),
        (
            {"metadata": {**SUPERMEMORY["metadata"], "endpoint": "https://u:hidden@s3.example"}},
            "endpoint",
        ),
    ],
)
def test_an_entry_that_cannot_be_is_refused_alone(s3sync, written, change, says):
    done = s3sync("import", written([{**SUPERMEMORY, **change}, CHROMA]))
    assert done.code == 1
    assert says in done.err
    assert "hidden" not in done.err + done.out
    assert "theirSecretInTheFile" not in done.err + done.out
    [source] = s3sync("source", "list", "--json").json
    assert source["name"] == "docs_bucket"
    assert s3sync("credential", "list", "--json").json == []


@pytest.mark.parametrize(
    "entry",
    [
        {"github": {"repository": "https://hidden@github.com/team/docs"}},
        {"github": {"repository": "https://user:hidden@git.example.org/team/docs.git"}},
        {"github": {"repository": "https:/user:hidden@git.example.org/team/docs.git"}},
        {"github": {"repository": "ssh://git:hidden@git.example.org/team/docs.git"}},
        {"github": {"repository": "user:hidden@git.example.org:team/docs.git"}},
        {"web_scrape": {"starting_url": "https://bob:hidden@example.org/docs/"}},
        {"web_scrape": {"starting_url": "https://bob:hid/den@example.org/docs/"}},
        {"s3": {**CHROMA["s3"], "bucket_name": "https://k:hidden@s3.example.org/docs"}},
        {"s3": {**CHROMA["s3"], "queue_url": "https://u:hidden@sqs.example.org/q"}},
        {"s3": {**CHROMA["s3"], "queue_url": "https://sqs.example.org/q?key=hidden"}},
        {"s3": {**CHROMA["s3"], "endpoint_url": "https://u:hidden@s3.example.org"}},
        {"metadata": {**SUPERMEMORY["metadata"], "bucket": "https://k:hidden@s3.example.org/b"}},
        {"metadata": {**SUPERMEMORY["metadata"], "endpoint": "https://s3.example?key=hidden"}},
        {
            "name": "Docs",
            "connector": {"id": "s3", "config": {"bucket": "https://k:hidden@s3.example.org/b"}},
        },
        {
            "name": "Docs",
            "connector": {"id": "s3", "config": {"bucket": "docs", "endpoint": "h:9?key=hidden"}},
        },
    ],
)
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_an_address_with_a_secret_is_refused_and_not_shown(s3sync, written, entry, form):
    done = s3sync("import", written([entry]), *form)
    assert done.code == 1
    assert "hidden" not in done.out + done.err
    assert "hid/den" not in done.out + done.err
    assert s3sync("source", "list", "--json").json == []


def test_a_file_tells_to_which_server_keys_go_and_gets_none_of_ours(s3sync, written):
    told = s3sync("import", written([SUPERMEMORY, CHROMA]), "--dry-run").out.splitlines()
    assert "s3://memories/ at http://127.0.0.1:9000" in told[1]
    assert "s3://docs-bucket/a/  " in told[2]
    stolen = {"accessKeyId": "${S3SYNC_ENCRYPTION_KEY}", "secretAccessKey": "${ANY}"}
    entry = {**SUPERMEMORY, "metadata": {**SUPERMEMORY["metadata"], **stolen}}
    refused = s3sync("import", written([entry]))
    assert refused.code == 1
    assert "${S3SYNC_ENCRYPTION_KEY} is a setting of s3sync" in refused.err


@pytest.mark.parametrize(
    ("key_id", "secret"),
    [
        ("CHROMA_API_KEY", "ANY"),
        ("AWS_SECRET_ACCESS_KEY", "ANY"),
        ("AWS_SESSION_TOKEN", "ANY"),
        ("GITHUB_TOKEN", "ANY"),
        ("PGPASSWORD", "ANY"),
        ("ANY", "ANY"),
        ("VISION", "ANY"),
        ("GITHUB_PAT", "ANY"),
        ("DATABASE_URL", "ANY"),
        ("STRIPE_SK", "ANY"),
        ("USER_DSN", "ANY"),
        ("ANTHROPIC_KEY", "ANY"),
        ("AZURE_STORAGE_ACCESS_KEY", "ANY"),
        ("SERVICEBUS_SHARED_ACCESS_KEY", "ANY"),
        ("BUNNY_ACCESS_KEY", "ANY"),
        ("MASTER_ACCESS_KEY", "ANY"),
        ("SIGNING_ACCESS_KEY", "ANY"),
        ("SESSION_ID", "ANY"),
        ("STORAGE_SAS_ID", "ANY"),
    ],
)
def test_no_secret_is_taken_for_the_id_of_a_key(s3sync, written, key_id, secret):
    own = {
        "accessKeyId": "${OWN_ID}",
        "secretAccessKey": "${VISION}",
        "region": "auto",
        "bucket": "there",
    }
    made = s3sync("import", written([{**SUPERMEMORY, "metadata": own}]))
    assert made.code == 0, made.err
    keys = {"accessKeyId": f"${{{key_id}}}", "secretAccessKey": f"${{{secret}}}"}
    entry = {**SUPERMEMORY, "metadata": {**SUPERMEMORY["metadata"], **keys}}
    refused = s3sync("import", written([entry]))
    assert refused.code == 1
    assert f"${{{key_id}}} is a secret's" in refused.err
    keys = {"accessKeyId": "${AWS_ACCESS_KEY_ID}", "secretAccessKey": "${AWS_SECRET_ACCESS_KEY}"}
    entry = {**SUPERMEMORY, "metadata": {**SUPERMEMORY["metadata"], **keys}}
    assert s3sync("import", written([entry])).code == 0


@pytest.mark.parametrize("key_id", ["S3_KEY", "AWS_KEY", "SPACES_KEY", "WASABI_KEY", "R2_KEY_ID"])
def test_names_of_ids_in_the_examples_of_providers_are_taken(s3sync, written, key_id):
    keys = {"accessKeyId": f"${{{key_id}}}", "secretAccessKey": "${S3_SECRET}"}
    entry = {**SUPERMEMORY, "metadata": {**SUPERMEMORY["metadata"], **keys}}
    assert s3sync("import", written([entry])).code == 0


def test_half_a_character_in_a_file_is_told_in_a_sentence(s3sync, written):
    entry = {**SUPERMEMORY, "metadata": {**SUPERMEMORY["metadata"], "bucket": "\ud800bb"}}
    refused = s3sync("import", written([entry]))
    assert refused.code == 1
    assert "bucket has half a character in it" in refused.err


@pytest.mark.parametrize("collection", ["each-{}", pytest.param("all", marks=pytest.mark.long)])
def test_a_file_of_many_entries_is_read_in_time(s3sync, written, collection):
    entries = [
        {
            **CHROMA,
            "s3": {
                "bucket_name": "docs-bucket",
                "region": "eu-central-1",
                "path_prefix": f"{number}/",
                "collection_name": collection.format(number),
            },
        }
        for number in range(1500)
    ]
    began = time.thread_time()
    told = s3sync("import", written(entries), "--dry-run", "--json").json
    assert {one["state"] for one in told} == {"new"}
    assert len({one["source"]["name"] for one in told}) == len(entries)
    assert time.thread_time() - began < 20  # beside each other all of them took minutes


def test_what_an_entry_is_called_has_no_query(s3sync, written):
    site = {"web_scrape": {"starting_url": "https://example.org/docs/?key=hidden"}}
    [made] = s3sync("import", written([site]), "--json").json
    assert made["state"] == "new", made
    assert made["from"] == "Chroma Sync web_scrape source of 'https://example.org/docs/'"
    assert made["source"]["name"] == "https_example_org_docs"
    ssh = {"github": {"repository": "ssh://git@git.example.org/team/docs.git"}}
    [made] = s3sync("import", written([ssh]), "--json").json
    assert made["state"] == "new", made
    assert made["from"] == "Chroma Sync github source of 'ssh://git.example.org/team/docs.git'"


def test_a_refusal_of_the_catalog_leaves_no_keys_of_the_entry(s3sync, written, monkeypatch):
    def refused(*_, **_named):
        raise Conflict("taken meanwhile", reason="source_exists")

    monkeypatch.setattr(catalog_sources, "require_possible", refused)
    done = s3sync("import", written([SUPERMEMORY]), "--json")
    assert [one["state"] for one in done.json] == ["refused"]
    assert s3sync("credential", "list", "--json").json == []


def test_what_is_not_enabled_is_paused_from_its_first_moment_on(s3sync, written, monkeypatch):
    def killed(*_, **__):
        raise AssertionError("between the making and the pause")

    monkeypatch.setattr(catalog_sources.SourceRows, "set_paused", killed)
    assert s3sync("import", written([COCO])).code == 0
    [source] = s3sync("source", "list", "--json").json
    assert source["paused"] is True


def test_two_entries_that_overlap_are_seen_before_anything_is_made(s3sync, written):
    inner = {**CHROMA, "s3": {**CHROMA["s3"], "path_prefix": "a/b/"}}
    elsewhere = {**CHROMA, "s3": {**CHROMA["s3"], "collection_name": "others"}}
    dry = s3sync("import", written([CHROMA, CHROMA, inner, elsewhere]), "--dry-run", "--json")
    assert [one["state"] for one in dry.json] == ["new", "there", "refused", "new"]
    names = [one["source"]["name"] for one in dry.json if one["state"] == "new"]
    done = s3sync("import", written([CHROMA, CHROMA, inner, elsewhere]), "--json")
    assert [one["source"]["name"] for one in done.json if one["state"] == "new"] == names
    assert len(set(names)) == 2
    assert [one["state"] for one in done.json] == [one["state"] for one in dry.json]


@pytest.mark.parametrize(
    ("name", "more", "prefix"),
    [
        ("s3://docs-bucket/a/b", None, "a/b"),
        ("arn:aws:s3:::docs-bucket/a/", None, "a/"),
        ("s3://docs-bucket/a/", "a/", "a/"),
        ("s3://docs-bucket/", "in/", "in/"),
        ("docs-bucket", None, ""),
    ],
)
def test_a_bucket_that_is_named_with_a_prefix_is_not_listed_beyond_it(
    s3sync, written, name, more, prefix
):
    entry = {"s3": {**CHROMA["s3"], "bucket_name": name, "path_prefix": more}}
    [made] = s3sync("import", written([entry]), "--json").json
    assert made["state"] == "new", made
    assert (made["source"]["bucket_name"], made["source"]["path_prefix"]) == ("docs-bucket", prefix)


def test_two_prefixes_of_one_bucket_are_not_guessed_between(s3sync, written):
    entry = {"s3": {**CHROMA["s3"], "bucket_name": "s3://docs-bucket/a/", "path_prefix": "b/"}}
    [made] = s3sync("import", written([entry]), "--dry-run", "--json").json
    assert (made["state"], "path_prefix" in made["notes"][0]) == ("refused", True)


@pytest.mark.parametrize(
    "interval", ["0s", "400ms", "0.5s", "745h", "9" * 310 + "s", "9" * 310 + "h1s"]
)
def test_an_interval_that_no_source_may_have_is_refused_alone(s3sync, written, interval):
    coco = {**COCO, "sync": {"enabled": True, "interval": interval}}
    done = s3sync("import", written([coco, CHROMA]), "--json")
    assert [one["state"] for one in done.json] == ["refused", "new"], done.err
    assert done.json[0]["from"] == "entry 1"
    assert "sync.interval" in done.json[0]["notes"][0]
    assert len(done.json[0]["notes"][0]) < 200


@pytest.mark.parametrize(
    ("interval", "seconds"), [("1s", 1), ("1500ms", 2), ("744h", 31 * 86_400), ("1h30m", 5400)]
)
def test_an_interval_is_taken_in_seconds(interval, seconds):
    assert seconds_of(interval) == seconds


@pytest.mark.parametrize(
    ("endpoint", "region"),
    [
        ("s3.eu-west-1.amazonaws.com", "eu-west-1"),
        ("https://s3.eu-west-1.amazonaws.com", "eu-west-1"),
        ("S3.EU-West-1.amazonaws.com:443", "eu-west-1"),
        ("https://s3-us-west-2.amazonaws.com:443/", "us-west-2"),
        ("s3.dualstack.ap-southeast-1.amazonaws.com", "ap-southeast-1"),
        ("s3.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("s3.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("s3-accelerate.amazonaws.com", "us-east-1"),
        ("s3-external-1.amazonaws.com", "us-east-1"),
        ("s3.amazonaws.com", "us-east-1"),
    ],
)
def test_an_endpoint_of_aws_is_its_region_however_it_is_written(endpoint, region):
    config = {**COCO["connector"]["config"], "endpoint": endpoint}
    found = datasource_of({**COCO, "connector": {"id": "s3", "config": config}}).fields
    assert (found["region"], found["endpoint_url"]) == (region, None)


@pytest.mark.parametrize("endpoint", ["s3.example.org", "s3.amazonaws.com.evil.org", "h:9000"])
def test_another_endpoint_is_taken_as_it_is(endpoint):
    config = {**COCO["connector"]["config"], "endpoint": endpoint}
    found = datasource_of({**COCO, "connector": {"id": "s3", "config": config}}).fields
    assert found["endpoint_url"] == f"https://{endpoint}"


def test_a_file_that_cannot_be_read_is_told_with_the_cause(s3sync, tmp_path):
    for name, why in (
        ("none.json", "No such file or directory"),
        ("n" * 300, "File name too long"),
    ):
        done = s3sync("import", str(tmp_path / name))
        told = f"The file {str(tmp_path / name)!r} cannot be read ({why})."
        assert (done.code, done.err) == (2, f"Error: {told}\n")


@pytest.mark.parametrize("content", ["", "[]", "{}", "7", "[" * 100_000, "\ud800{}"])
def test_what_is_no_configuration_is_a_mistake_in_the_command(s3sync, tmp_path, content):
    path = tmp_path / "file.json"
    path.write_bytes(content.encode(errors="surrogatepass"))
    done = s3sync("import", str(path))
    assert done.code == 2
    assert "file" in done.err.lower()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"documentLimit": 0}, "documentLimit has to be 1 or more"),
        (
            {"metadata": {**SUPERMEMORY["metadata"], "secretAccessKey": "abcd****"}},
            "neither of them masked",
        ),
    ],
)
def test_what_says_nothing_that_could_be_meant_is_refused(s3sync, written, change, says):
    done = s3sync("import", written([{**SUPERMEMORY, **change}]))
    assert done.code != 0
    assert says in done.out + done.err
    assert s3sync("source", "list", "--json").json == []


@pytest.mark.parametrize("mask", ["****", "AKIA****WXYZ", "AK••••", "*"])
def test_keys_that_are_masked_are_none_and_what_is_shown_here_is_read_again(s3sync, written, mask):
    shown = {**SUPERMEMORY["metadata"], "accessKeyId": mask, "secretAccessKey": mask}
    shown["containerTagRegex"] = "users/(?P<userId>[^/]+)/"
    shown["bucket"] = "catalog"
    done = s3sync("import", written([{**SUPERMEMORY, "metadata": shown}]))
    assert done.code == 0, done.err
    assert s3sync("credential", "list", "--json").json == []
    [made] = s3sync("source", "list", "--json").json
    assert made["name"].startswith("catalog_")  # the name alone is the project's own
    again = s3sync("import", written([{**SUPERMEMORY, "metadata": shown}]))
    assert again.code == 0, again.err
    assert [made] == s3sync("source", "list", "--json").json


@pytest.mark.parametrize("product", ["supermemory", "coco"])
def test_two_buckets_of_one_name_there_keep_both_what_they_have(
    s3sync, written, aws_endpoint, product
):
    buckets = [aws_endpoint.make_bucket() for _ in range(2)]
    for bucket in buckets:
        aws_endpoint.put_all(bucket, {"README.md": f"words of {bucket}"})
    keys = (aws_endpoint.access_key_id, aws_endpoint.secret_access_key)
    name = f"both-{buckets[0]}"
    if product == "coco":
        known = {"endpoint": aws_endpoint.url, "access_key_id": keys[0]}
        common = {**known, "secret_access_key": keys[1]}
        entries = [
            {"name": name, "connector": {"id": "s3", "config": {**common, "bucket": bucket}}}
            for bucket in buckets
        ]
    else:
        known = {"endpoint": aws_endpoint.url, "region": "us-east-1", "accessKeyId": keys[0]}
        common = {**known, "secretAccessKey": keys[1]}
        entries = [
            {"containerTags": [name], "provider": "s3", "metadata": {**common, "bucket": bucket}}
            for bucket in buckets
        ]
    file, options = written(entries), ("--embedding", "hash", "--json")
    assert [one["state"] for one in s3sync("import", file, *options).json] == ["new", "new"]
    assert [one["state"] for one in s3sync("import", file, *options).json] == ["there", "there"]
    for bucket in buckets:
        done = s3sync(
            "sync", f"s3://{bucket}/", "--collection", f"{product}-{name}", "--endpoint-url",
            aws_endpoint.url,
        )  # fmt: skip
        assert done.code == 0, done.err


def test_a_source_of_before_that_has_no_prefix_of_ids_is_there(s3sync, written):
    """Imports of earlier versions made none."""
    [made] = s3sync("import", written([SUPERMEMORY]), "--dry-run", "--json").json
    assert made["source"]["id_prefix"]
    there = s3sync(
        "source", "create", "theirs", "--bucket", "memories", "--endpoint-url",
        "http://127.0.0.1:9000", "--region", "auto", "--no-check", "--collection",
        made["source"]["collection_name"],
    )  # fmt: skip
    assert there.code == 0, there.err
    [again] = s3sync("import", written([SUPERMEMORY]), "--json").json
    assert (again["state"], again["source"]["name"]) == ("there", "theirs")


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
@pytest.mark.parametrize(
    ("before", "now"),
    [
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000/"),
        ("https://s3.example.org", "https://S3.Example.org"),
        ("https://S3.Example.org", "https://s3.example.org:443/"),
        ("http://minio", "HTTP://MINIO:80"),
    ],
)
def test_a_source_is_there_however_its_endpoint_is_spelt(s3sync, written, before, now, more):
    first = {**SUPERMEMORY, "metadata": {**SUPERMEMORY["metadata"], "endpoint": before}}
    assert s3sync("import", written([first])).code == 0
    place = {**SUPERMEMORY["metadata"], "endpoint": now}
    [again] = s3sync("import", written([{**SUPERMEMORY, "metadata": place}]), *more, "--json").json
    assert (again["state"], again["notes"]) == ("there", [])
    part = written([{**SUPERMEMORY, "metadata": {**place, "prefix": "part/"}}])
    [nested] = s3sync("import", part, *more, "--json").json
    assert (nested["state"], "overlaps" in nested["notes"][0]) == ("refused", True)


def test_a_source_that_is_being_deleted_is_not_there(s3sync, written):
    file = written([SUPERMEMORY])
    assert s3sync("import", file).code == 0
    with closing(open_catalog(load_settings().database_url)) as catalog:
        [there] = catalog.sources.all()
        catalog.sources.mark_deleting(there.id, keep_records=True)
    again = s3sync("import", file, "--json")
    assert (again.code, again.json[0]["state"]) == (1, "refused")
    assert "still being deleted" in again.json[0]["notes"][0]


def test_a_setting_is_that_of_the_source_and_of_no_group_with_such_a_name(s3sync, written):
    own = {"endpoint_url": "http://127.0.0.1:9000", "max_size_bytes": 70_000}
    entry = {**CHROMA, "s3": {**CHROMA["s3"], **own}}
    assert s3sync("import", written([entry])).code == 0
    [made] = s3sync("source", "list", "--json").json
    assert {name: made[name] for name in own} == own
    assert made["chunking"]["max_size_bytes"] == CHROMA["chunking"]["max_size_bytes"]
    assert made["embedding"]["endpoint_url"] is None


def test_what_supermemorys_client_writes_of_a_connection_is_read():
    """Its numbers are floats: 5000 of the answer is 5000.0 in what it writes."""
    answer = {
        "id": "x",
        "createdAt": "2026-01-01",
        "provider": "s3",
        "documentLimit": 5000,
        "metadata": {"bucket": "b", "region": "us-east-1"},
    }
    shown = ConnectionGetByIDResponse.model_validate(answer).model_dump_json(by_alias=True)
    assert json.loads(shown)["documentLimit"] == 5000
    (read,) = read_configuration(f"[{shown}]".encode())
    assert isinstance(read, Wanted), read
    assert read.fields["document_limit"] == 5000
