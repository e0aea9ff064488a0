"""Web sites by the API: the contract's ``web_scrape``."""

import json

from s3sync_dagster_tests.api.server import running_api
from s3sync_dagster_tests.places.web_server import web_site

SOURCES = "/api/v1/sources"


def payload(url, **fields):
    return {
        "web_scrape": {"starting_url": url, **fields},
        "database_name": "default_database",
        "embedding": {"dense": {"model": "s3sync-hash"}},
    }


def test_the_payload_of_the_contract_makes_a_source_that_is_shown_like_it(api, http):
    with web_site() as site:
        site.page("/docs/", "/docs/a")
        body = payload(
            f"{site.url}/docs/",
            max_depth=3,
            page_limit=50,
            include_path_regexes=["^/docs/"],
            exclude_path_regexes=None,
        )
        made = http.post(SOURCES, json=body)
        assert made.status_code == 201, made.text
        assert site.pages_asked() == [("/docs/", 200)]  # it is looked at, and not crawled
        name = made.json()["source_id"]
        shown = http.get(f"{SOURCES}/{name}").json()
        assert shown["web_scrape"]["starting_url"] == f"{site.url}/docs/"
        assert shown["web_scrape"]["max_depth"] == 3
        assert shown["web_scrape"]["page_limit"] == 50
        assert shown["web_scrape"]["include_path_regexes"] == ["^/docs/"]
        assert "s3" not in shown
        listed = http.get(SOURCES, params={"source_type": "web_scrape"}).json()
        assert name in [one["id"] for one in listed]
        twin = http.post(SOURCES, json=body)
        assert (twin.status_code, twin.json()["error"]) == (409, "source_exists")

        page = f"{site.url}/docs/a"
        asked = http.post(f"{SOURCES}/{name}/invocations", json={"object_key": page})
        assert asked.status_code == 201, asked.text
        job = http.get(f"/api/v1/invocations/{asked.json()['invocation_id']}").json()
        assert job["metadata"]["web_scrape"] == {"object_key": page}
        assert "s3" not in job["metadata"]
        jobs = http.get("/api/v1/invocations", params={"source_type": "web_scrape"}).json()
        assert job["id"] in [one["id"] for one in jobs]
        started = http.post(f"/s3sync/v1/sources/{name}/backfill")
        assert started.status_code in (200, 202), started.text
        route = f"{SOURCES}/{name}/invocations"
        other = http.post(route, json={"target_collection_name": "other"})
        assert (other.status_code, other.json()["error"]) == (400, "source_type_not_available")
        whole = http.post(route, json={})
        assert whole.status_code == 201, whole.text
        job = http.get(f"/api/v1/invocations/{whole.json()['invocation_id']}").json()
        assert job["metadata"]["web_scrape"] == {"object_key": None}
        branch = http.post(route, json={"ref_identifier": {"branch": "main"}})
        assert (branch.status_code, "GitHub" in branch.json()["message"]) == (400, True)


def test_a_page_is_sent_whole_in_whatever_encoding_it_came(api, http):
    with web_site() as site:
        site.page("/docs/", text="plain words")
        latin = "<html><body><p>caf\u00e9 words</p></body></html>".encode("latin-1")
        site.put("/docs/l", latin, headers={"Content-Type": "text/html; charset=iso-8859-1"})
        made = http.post(SOURCES, json=payload(f"{site.url}/docs/")).json()["source_id"]
        for path, words in (("/docs/", "plain words"), ("/docs/l", "caf\u00e9 words")):
            key = {"key": site.url + path}
            answer = http.get(f"/s3sync/v1/sources/{made}/content", params=key)
            assert answer.status_code == 200
            assert words in answer.content.decode("utf-8-sig")


def test_what_the_server_refuses_is_said_at_the_creation(api, http):
    with web_site() as site:
        site.page("/")
        site.put("/private", status=403)
        for url, fields, error in (
            ("ftp://h/", {}, "invalid_setting"),
            ("https://u:p@h/", {}, "invalid_setting"),
            (f"{site.url}/", {"include_path_regexes": ["(?=x)"]}, "invalid_setting"),
            (f"{site.url}/", {"other_hosts": ["http://x"]}, "invalid_setting"),
            (f"{site.url}/private", {}, "page_access_denied"),
            ("http://127.0.0.1:9/", {}, "site_unreachable"),
        ):
            refusal = http.post(SOURCES, json=payload(url, **fields))
            assert refusal.json()["error"] == error, refusal.text
            assert refusal.status_code in (400, 403, 500), refusal.text
            assert "u:p" not in refusal.text
        site.put("/robots.txt", "User-agent: *\nDisallow: /")
        refusal = http.post(SOURCES, json=payload(f"{site.url}/"))
        assert refusal.json()["error"] == "robots_disallowed", refusal.text


def test_a_tenant_that_nobody_trusts_reaches_no_address_of_the_network(
    tmp_path, chroma_server, aws_endpoint
):
    with (
        web_site() as site,
        running_api(
            tmp_path / "home",
            chroma=chroma_server,
            aws=aws_endpoint,
            environ={"S3SYNC_API_TRUSTED_TENANTS": "none"},
        ) as api,
        api.client() as http,
    ):
        site.page("/")
        refusal = http.post(SOURCES, json=payload(f"{site.url}/"))
        assert refusal.json()["error"] == "private_address", refusal.text
        # Which names are known inside is told by none of the answers.
        said = set()
        for host in ("localhost", "nobody-has-this.invalid"):
            refusal = http.post(SOURCES, json=payload(site.url.replace("127.0.0.1", host)))
            said.add((refusal.status_code, refusal.text.replace(host, "it")))
        assert [json.loads(text)["error"] for _, text in said] == ["site_unreachable"]
        assert site.hosts == []
