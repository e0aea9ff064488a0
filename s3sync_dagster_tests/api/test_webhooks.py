"""GitHub's webhooks of pushes: signed, or nothing."""

import hashlib
import hmac
import json
import logging
import re
import socket
import time
import uuid
from dataclasses import replace

import httpx
import pytest

from s3sync_dagster.api.guesses import BURST
from s3sync_dagster.api.webhooks import MAX_VALUES
from s3sync_dagster.catalog.cipher import open_cipher
from s3sync_dagster.catalog.credentials import AwsKeys, Credentials
from s3sync_dagster.model.errors import Conflict
from s3sync_dagster.model.source import AutoSync, EmbeddingConfig, Source
from s3sync_dagster.places.git import GitPlace
from s3sync_dagster_tests.places.git_server import Origin, git_server
from s3sync_dagster_tests.waiting import wait_for

SECRET = "what GitHub was told"


@pytest.fixture
def pushed(api, tmp_path):
    """A source of a repository on a server, with a secret; its own pushes are signed."""
    origin = Origin(tmp_path / "served" / "team" / "docs")
    origin.write("a.md", "# A")
    origin.commit()
    keys = AwsKeys(access_key_id="webhook", secret_access_key=SECRET)
    cipher = open_cipher(api.parts.settings)
    stored = api.parts.catalog.credentials.add(keys, tenant="default_tenant", cipher=cipher)
    with git_server(origin.folder.parents[1]) as server:
        source = Source(
            id=str(uuid.uuid4()),
            name=f"docs_{uuid.uuid4().hex[:8]}",
            place=GitPlace(
                repository=f"{server.url}/team/docs", ref="main", webhook_secret=stored.id
            ),
            collection_name=f"c-{uuid.uuid4().hex[:8]}",
            embedding=EmbeddingConfig(kind="hash"),
            auto_sync=AutoSync.NONE,
            list_interval_seconds=0,
        )
        api.parts.catalog.sources.add(source)
        yield source, f"{server.url}/team/docs"


def deliver(http, source_id, payload, *, secret=SECRET, event="push", signature=None):
    body = json.dumps(payload).encode() if isinstance(payload, dict) else payload
    told = signature or "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {
        "content-type": "application/json",
        "x-github-event": event,
        "x-github-delivery": "0b0ce5a4-6d3d-11ef-8a5e-6f1f7d3cd2b5",
        "x-hub-signature-256": told,
    }
    return http.post(f"/webhooks/github/{source_id}", content=body, headers=headers)


@pytest.mark.parametrize("key", ["", "no source has this secret"])
def test_a_source_whose_secret_is_empty_takes_no_delivery(api, http, pushed, key):
    source, url = pushed
    keys = AwsKeys(access_key_id="webhook", secret_access_key="")
    cipher = open_cipher(api.parts.settings)
    stored = api.parts.catalog.credentials.add(keys, tenant="default_tenant", cipher=cipher)
    place = replace(source.place, webhook_secret=stored.id)
    api.parts.catalog.sources.update(source.with_changes(place=place))
    assert deliver(http, source.id, push(url), secret=key).status_code == 404
    assert not listings(api, source)


def test_an_empty_secret_is_stored_by_no_door(api, http):
    before = len(api.parts.catalog.credentials.rows())
    pair = {"aws_access_key_id": "webhook", "aws_secret_access_key": ""}
    assert http.post("/s3sync/v1/credentials", json=pair).status_code == 400
    token = re.search(r'name="form_token" value="(\w+)"', http.get("/access").text).group(1)
    form = {"form_token": token, "key_id": "webhook", "secret": " "}
    answer = http.post("/access/credentials", data=form)
    assert (answer.status_code, "are both needed" in answer.text) == (400, True)
    assert len(api.parts.catalog.credentials.rows()) == before


def push(url, *, ref="refs/heads/main"):
    return {"ref": ref, "repository": {"full_name": "team/docs", "clone_url": f"{url}.git"}}


def listings(api, source):
    return api.parts.catalog.history.listings(source.id, limit=10)


def test_a_delivery_of_too_many_values_is_not_read(api, http, pushed):
    source, url = pushed
    answer = deliver(http, source.id, {**push(url), "commits": [[]] * (MAX_VALUES + 1)})
    assert answer.status_code == 400
    assert not listings(api, source)


def test_a_push_has_its_source_listed_now_and_one_that_comes_twice_changes_nothing(
    api, http, pushed
):
    source, url = pushed
    for _ in range(2):
        answer = deliver(http, source.id, push(url))
        assert (answer.status_code, answer.json()) == (202, {"listing": True})
    wait_for(lambda: not api.parts.catalog.sources.listing_asked(source.id))
    found = listings(api, source)
    assert found
    assert {one.state.value for one in found} == {"complete"}, found
    assert [one.object_key for one in api.parts.catalog.views.object_rows(source.id)] == ["a.md"]
    assert len(api.parts.catalog.invocations.rows(source_ids=[source.id])) == 1


def test_whoever_cannot_sign_learns_nothing(api, http, pushed):
    source, url = pushed
    body = json.dumps(push(url)).encode()
    right = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    refused = [
        deliver(http, source.id, push(url), secret="guessed"),
        deliver(http, source.id, push(url), signature="sha256="),
        deliver(http, source.id, push(url), signature=right[:-1] + "x"),
        deliver(http, source.id, push(url), signature="sha1=" + right),
        deliver(http, source.id, body + b" ", signature="sha256=" + right),
        deliver(http, source.id, b"{not json", secret="guessed"),
        deliver(http, uuid.uuid4(), push(url)),
        deliver(http, "no-id", push(url)),
        deliver(http, source.id, push("https://github.com/others/docs")),
        deliver(http, source.id, push(url), secret="no source has this secret"),
    ]
    assert {(one.status_code, one.text) for one in refused} == {(404, refused[0].text)}
    assert listings(api, source) == []


def test_as_much_is_looked_up_whatever_there_is(api, http, pushed, monkeypatch):
    """What a refusal takes would tell which ids are those of sources with a secret."""
    source, url = pushed
    own = uuid.uuid4().hex[:8]
    without = replace(source, id=str(uuid.uuid4()), name=f"docs_{own}", collection_name=f"c-{own}")
    without = replace(without, place=replace(source.place, webhook_secret=None))
    api.parts.catalog.sources.add(without)
    looked, keys = [], Credentials.keys
    monkeypatch.setattr(
        Credentials, "keys", lambda *found, **named: looked.append(found) or keys(*found, **named)
    )
    for number, source_id in enumerate((source.id, without.id, uuid.uuid4())):
        assert deliver(http, source_id, push(url), secret="guessed").status_code == 404
        assert len(looked) == number + 1


def test_what_is_no_push_to_the_branch_is_passed_over(api, http, pushed):
    source, url = pushed
    ping = deliver(http, source.id, {"zen": "Keep it logically awesome."}, event="ping")
    assert (ping.status_code, ping.json()) == (200, {"pong": True})
    for payload, event in (
        (push(url), "issues"),
        (push(url, ref="refs/heads/other"), "push"),
    ):
        passed = deliver(http, source.id, payload, event=event)
        assert (passed.status_code, list(passed.json())) == (202, ["ignored"])
    unreadable = deliver(http, source.id, b"payload=%7B%7D")
    assert unreadable.status_code == 400
    api.parts.catalog.sources.set_paused(source.id, paused=True)
    assert list(deliver(http, source.id, push(url)).json()) == ["ignored"]
    assert listings(api, source) == []


def test_a_secret_that_signs_webhooks_is_not_forgotten_while_it_does(api, pushed):
    source, _ = pushed
    with pytest.raises(Conflict, match="is used by the source 'docs_"):
        api.parts.catalog.credentials.delete(source.place.webhook_secret)


def test_guessed_signatures_are_slow_and_keep_nobody_out_who_can_sign(api, http, pushed):
    """The last test here: what is guessed counts for all that come from this address."""
    source, url = pushed
    said = [404]
    while said[-1] == 404:  # a slow machine gets a guess more every three seconds
        assert len(said) < 10 * BURST
        said.append(deliver(http, source.id, push(url), secret="guessed").status_code)
    assert said[-1] == 429
    assert deliver(http, source.id, {"zen": "Keep it."}, event="ping").status_code == 200
    audited = {one.outcome for _, one in api.parts.catalog.audit.rows(who="unknown")}
    assert audited == {"404"}


def test_a_client_that_leaves_in_the_midst_of_a_body_is_no_fault_of_the_server(api, caplog):
    caplog.set_level(logging.INFO, logger="s3sync_dagster.api")
    url = httpx.URL(api.url)
    with socket.create_connection((url.host, url.port), 10) as link:
        link.sendall(
            b"POST /webhooks/github/%s HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n{"
            % str(uuid.uuid4()).encode()
        )
        time.sleep(0.2)  # until it is waited for
    told = wait_for(lambda: [getattr(one, "request", None) for one in caplog.records])
    assert [one and one["status"] for one in told] == [499]
