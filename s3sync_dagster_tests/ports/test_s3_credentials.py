"""Whose credentials a request carries, seen from the wire."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from s3sync_dagster.engine.pages import open_pages
from s3sync_dagster.model.errors import AccessDenied, InvalidSetting, NotPossible, S3SyncError
from s3sync_dagster.model.place import CredentialsConfig
from s3sync_dagster.model.s3_place import S3Place
from s3sync_dagster.model.source import Source
from s3sync_dagster.ports.s3 import S3ObjectStore
from s3sync_dagster_tests.conftest_aws import AwsEndpoint
from s3sync_dagster_tests.opened import open_object_store
from s3sync_dagster_tests.wire_proxy import Fault, WireProxy, WireRequest, wire_proxy

ROLE = "arn:aws:iam::123456789012:role/reader"


@pytest.fixture
def proxy(aws_endpoint: AwsEndpoint) -> Iterator[WireProxy]:
    with wire_proxy(aws_endpoint.url) as running:
        yield running


@pytest.fixture
def bucket(aws_endpoint: AwsEndpoint) -> str:
    return aws_endpoint.make_bucket("credentials")


def source_of(endpoint: AwsEndpoint, bucket: str, proxy: WireProxy, **credentials: object):
    return endpoint.source(
        bucket,
        endpoint_url=proxy.url,
        credentials=CredentialsConfig(**credentials),  # type: ignore[arg-type]
    )


def opened(source: Source, environment: dict[str, str] | None = None) -> S3ObjectStore:
    return open_object_store(source.place, resolve_env=(environment or {}).get)


def signer(request: WireRequest) -> str:
    """Return the access key id that signed a request."""
    return request.headers["authorization"].partition("Credential=")[2].partition("/")[0]


def list_once(source: Source, proxy: WireProxy, environment: dict[str, str] | None = None):
    opened(source, environment).list_page("", start_after=None)
    return proxy.log()[-1]


def test_keys_by_the_names_of_their_variables(
    aws_endpoint: AwsEndpoint, bucket: str, proxy: WireProxy
) -> None:
    source = source_of(
        aws_endpoint,
        bucket,
        proxy,
        access_key_id_env="KEY",
        secret_access_key_env="SECRET",
        session_token_env="TOKEN",
    )
    environment = {"KEY": "AKIAMINE", "SECRET": "s", "TOKEN": "temporary"}
    request = list_once(source, proxy, environment)
    assert signer(request) == "AKIAMINE"
    assert request.headers["x-amz-security-token"] == "temporary"
    for missing in environment:
        fewer = {name: value for name, value in environment.items() if name != missing}
        with pytest.raises(AccessDenied, match=f"'{missing}'") as caught:
            opened(source, fewer)
        assert caught.value.reason == "no_credentials"


def test_half_a_pair_is_refused(aws_endpoint: AwsEndpoint, bucket: str, proxy: WireProxy) -> None:
    with pytest.raises(InvalidSetting, match="secret_access_key_env"):
        opened(source_of(aws_endpoint, bucket, proxy, access_key_id_env="KEY"), {"KEY": "x"})


def test_the_default_chain_reads_the_environment(
    aws_endpoint: AwsEndpoint,
    bucket: str,
    proxy: WireProxy,
    aws_environment: dict[str, str],
) -> None:
    request = list_once(source_of(aws_endpoint, bucket, proxy), proxy)
    assert signer(request) == aws_environment["AWS_ACCESS_KEY_ID"]


def test_no_credentials_at_all(
    aws_endpoint: AwsEndpoint,
    bucket: str,
    proxy: WireProxy,
    aws_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(AccessDenied) as caught:
        list_once(source_of(aws_endpoint, bucket, proxy), proxy)
    assert caught.value.reason == "no_credentials"
    assert proxy.log() == []


@pytest.mark.parametrize(
    "profile",
    [
        "credential_process = /nonexistent/program",
        "credential_process = /bin/false",
        "credential_process = /bin/echo none",
        f"role_arn = {ROLE}\nweb_identity_token_file = /nonexistent/token",
        f"role_arn = {ROLE}\nsource_profile = nobody",
        (
            "sso_session = s\nsso_account_id = 1\nsso_role_name = r\n[sso-session s]\n"
            "sso_start_url = https://x.example.org/start\nsso_region = us-east-1"
        ),
    ],
)
@pytest.mark.parametrize("role", [None, ROLE])
def test_a_way_to_credentials_that_gives_none_is_one_sentence(
    aws_endpoint: AwsEndpoint,
    bucket: str,
    proxy: WireProxy,
    aws_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    profile: str,
    role: str | None,
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    file = tmp_path / "config"
    file.write_text(f"[profile team]\nregion = us-east-1\n{profile}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    with pytest.raises(AccessDenied) as caught:
        list_once(source_of(aws_endpoint, bucket, proxy, profile="team", role_arn=role), proxy)
    assert caught.value.reason == "no_credentials"
    assert "the way to credentials that AWS's profile or variables name" in caught.value.message
    assert proxy.log() == []


def test_profiles(
    aws_endpoint: AwsEndpoint,
    bucket: str,
    proxy: WireProxy,
    aws_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    file = tmp_path / "credentials"
    file.write_text("[team]\naws_access_key_id = AKIATEAM\naws_secret_access_key = s\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    request = list_once(source_of(aws_endpoint, bucket, proxy, profile="team"), proxy)
    assert signer(request) == "AKIATEAM"
    with pytest.raises(AccessDenied) as caught:
        opened(source_of(aws_endpoint, bucket, proxy, profile="nobody"))
    assert caught.value.reason == "profile_not_found"
    assert "profile 'nobody'" in caught.value.message


def test_credentials_of_the_catalog(
    aws_endpoint: AwsEndpoint, bucket: str, proxy: WireProxy
) -> None:
    source = source_of(aws_endpoint, bucket, proxy, credential_id=7)
    rows = {7: ("AKIACATALOG", "s", None)}
    store = open_object_store(
        source.place, resolve_env=lambda _: None, resolve_credential=rows.__getitem__
    )
    store.list_page("", start_after=None)
    assert signer(proxy.log()[-1]) == "AKIACATALOG"
    with pytest.raises(InvalidSetting, match="credential_id"):
        opened(source)


def assume_role_answer(expires: datetime) -> Fault:
    xml = (
        "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIAROLE</AccessKeyId>"
        "<SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>"
        f"<Expiration>{expires:%Y-%m-%dT%H:%M:%SZ}</Expiration></Credentials>"
        "</AssumeRoleResult></AssumeRoleResponse>"
    )
    return Fault(status=200, body=xml.encode())


def test_a_role_is_assumed_once_and_renewed_before_it_ends(
    aws_endpoint: AwsEndpoint,
    bucket: str,
    proxy: WireProxy,
    aws_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", proxy.url)
    source = source_of(aws_endpoint, bucket, proxy, role_arn=ROLE, external_id="our-tenant")
    lifetimes = [timedelta(minutes=1), timedelta(hours=1)]

    def plan(request: WireRequest) -> Fault | None:
        if request.method != "POST":
            return None
        return assume_role_answer(datetime.now(UTC) + lifetimes.pop(0))

    proxy.plan = plan
    store = opened(source)
    for _ in range(4):
        store.list_page("", start_after=None)
    sts = [request for request in proxy.log() if request.method == "POST"]
    lists = [request for request in proxy.log() if request.kind == "LIST"]
    assert len(sts) == 2  # the first answer was about to end, the second lasts
    assert len(lists) == 4
    asked = parse_qs(sts[0].body.decode())
    assert asked["RoleArn"] == [ROLE]
    assert asked["ExternalId"] == ["our-tenant"]
    assert signer(sts[0]) == aws_environment["AWS_ACCESS_KEY_ID"]
    assert {signer(request) for request in lists} == {"ASIAROLE"}
    assert dict(store.requests())["LIST"] == 4


def test_a_role_works_at_moto_s_own_sts(
    aws_endpoint: AwsEndpoint,
    bucket: str,
    proxy: WireProxy,
    aws_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", aws_endpoint.url)
    aws_endpoint.put(bucket, "a")
    request = list_once(source_of(aws_endpoint, bucket, proxy, role_arn=ROLE), proxy)
    assert signer(request).startswith("ASIA")


def test_a_role_that_may_not_be_assumed(
    aws_endpoint: AwsEndpoint,
    bucket: str,
    proxy: WireProxy,
    aws_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", proxy.url)
    xml = b"<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"
    proxy.plan = lambda request: Fault(status=403, body=xml) if request.method == "POST" else None
    store = opened(source_of(aws_endpoint, bucket, proxy, role_arn=ROLE))
    for ask in (lambda: store.list_page("", start_after=None), lambda: store.head("a")):
        with pytest.raises(AccessDenied) as caught:
            ask()
        assert caught.value.reason == "assume_role_denied"


def test_requester_pays_and_the_expected_owner_stand_on_each_request(
    aws_endpoint: AwsEndpoint, bucket: str, proxy: WireProxy
) -> None:
    aws_endpoint.put(bucket, "a")
    source = aws_endpoint.source(
        bucket,
        endpoint_url=proxy.url,
        requester_pays=True,
        expected_bucket_owner="123456789012",
    )
    store = open_object_store(source.place, resolve_env=aws_endpoint.resolve_env)
    store.list_page("", start_after=None)
    store.head("a")
    store.read("a", max_size_bytes=10)
    assert len(proxy.log()) == 3
    for request in proxy.log():
        assert request.headers["x-amz-request-payer"] == "requester"
        assert request.headers["x-amz-expected-bucket-owner"] == "123456789012"


def test_a_region_that_nobody_named_is_found_and_used(
    aws_endpoint: AwsEndpoint,
    bucket: str,
    proxy: WireProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.url)  # stands for AWS's own address
    source = aws_endpoint.source(bucket, endpoint_url=None, region=None, addressing_style="auto")
    for status in (200, 403):
        proxy.reset()
        proxy.plan = lambda request, status=status: (
            Fault(status=status, headers=(("x-amz-bucket-region", "eu-central-1"),))
            if request.kind == "BUCKET"
            else None
        )
        store = open_object_store(source.place, resolve_env=aws_endpoint.resolve_env)
        store.list_page("", start_after=None)
        store.list_page("", start_after=None)
        log = proxy.log()
        assert [request.kind for request in log] == ["BUCKET", "LIST", "LIST"]
        assert all("/eu-central-1/" in request.headers["authorization"] for request in log[1:])
        assert dict(store.requests()) == {"LIST": 2, "GET": 0, "HEAD": 1}


def test_a_missing_bucket_of_unknown_region_is_no_missing_object(
    aws_endpoint: AwsEndpoint, proxy: WireProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.url)
    source = aws_endpoint.source("no-such-bucket-here", endpoint_url=None, region=None)
    store = open_object_store(source.place, resolve_env=aws_endpoint.resolve_env)
    for ask in (lambda: store.head("a"), lambda: store.read("a", max_size_bytes=1)):
        with pytest.raises(S3SyncError) as caught:
            ask()
        assert caught.value.reason == "bucket_not_found"


def test_a_directory_bucket_is_listed_whole_and_sorted(
    aws_endpoint: AwsEndpoint, proxy: WireProxy
) -> None:
    session = (
        b"<CreateSessionResult><Credentials><AccessKeyId>ASIAEXPRESS</AccessKeyId>"
        b"<SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>"
        b"<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></CreateSessionResult>"
    )

    def page(keys: str, *, more: bool) -> Fault:
        entries = "".join(f"<Contents><Key>d/{key}</Key><Size>1</Size></Contents>" for key in keys)
        token = "<NextContinuationToken>next</NextContinuationToken>" if more else ""
        xml = f"<R><IsTruncated>{str(more).lower()}</IsTruncated>{token}{entries}</R>"
        return Fault(status=200, body=xml.encode())

    def plan(request: WireRequest) -> Fault:
        if "session" in request.target.partition("?")[2].split("&"):
            return Fault(status=200, body=session)
        if "continuation-token=next" in request.target:
            return page("bf", more=False)
        return page("cae", more=True)

    proxy.plan = plan
    source = aws_endpoint.source(
        "express--use1-az4--x-s3", endpoint_url=proxy.url, addressing_style="auto"
    )
    store = open_object_store(source.place, resolve_env=aws_endpoint.resolve_env)
    assert store.ordered is False
    with pytest.raises(NotPossible):
        store.list_page("d/", start_after=None, limit=2)
    with pytest.raises(InvalidSetting, match="end in '/'"):
        store.list_unordered("d", token=None)
    first = store.list_unordered("d/", token=None)
    assert ([ref.key for ref in first.objects], first.token) == (["d/c", "d/a", "d/e"], "next")
    then = store.list_unordered("d/", token=first.token)
    assert ([ref.key for ref in then.objects], then.token) == (["d/b", "d/f"], None)
    assert dict(store.requests())["LIST"] == 2
    pages = open_pages(store, "d/")
    while (asked := pages.next(None, limit=10)) is None:
        pass
    assert [ref.key for ref in asked.page.objects] == ["d/a", "d/b", "d/c", "d/e", "d/f"]
    pages.close()
    assert not any("start-after" in request.target for request in proxy.log())


def test_a_directory_bucket_is_not_looked_for_in_other_regions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    store = open_object_store(
        S3Place(bucket_name="express--use1-az4--x-s3"), resolve_env=lambda _: None
    )
    with pytest.raises(InvalidSetting, match="set the source's region"):
        store.list_unordered("", token=None)
    assert store.requests()["HEAD"] == 0
