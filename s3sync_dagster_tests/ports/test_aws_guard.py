"""Where a tenant that nobody trusts may send this server."""

import socket
import threading
from contextlib import closing, suppress
from ipaddress import ip_network

import pytest

from s3sync_dagster.model.errors import InvalidSetting, S3SyncError
from s3sync_dagster.model.place import CredentialsConfig
from s3sync_dagster.ports.addresses import Reach, reach_of
from s3sync_dagster.ports.aws_guard import AddressGuard, guard_for, names_service, trusted_tenants
from s3sync_dagster.ports.s3 import open_object_store
from s3sync_dagster.ports.sqs import open_queue
from s3sync_dagster_tests.sources import s3_source

QUEUE = "https://sqs.us-east-1.amazonaws.com/123456789012/events"


@pytest.mark.parametrize(
    "url",
    [
        "https://s3.amazonaws.com",
        "https://s3.eu-central-1.amazonaws.com/",
        "https://s3-eu-west-1.amazonaws.com:443",
        "https://s3.dualstack.us-gov-west-1.amazonaws.com",
        "https://s3-fips.dualstack.us-east-1.amazonaws.com",
        "https://s3-accesspoint.us-east-1.amazonaws.com",
        "https://s3.cn-north-1.amazonaws.com.cn",
    ],
)
def test_s3_itself_may_be_named(url):
    assert names_service("s3", url)


@pytest.mark.parametrize(
    "url",
    [
        "https://vpc-search.us-east-1.es.amazonaws.com",
        "https://internal-x-1.us-east-1.elb.amazonaws.com",
        "https://ec2-10-0-0-1.compute-1.amazonaws.com",
        "https://bucket.vpce-1.s3.us-east-1.vpce.amazonaws.com",
        "https://db.x.us-east-1.rds.amazonaws.com",
        "https://s3.us-east-1.elb.amazonaws.com",
        "https://x.s3.us-east-1.amazonaws.com.evil.example",
        "http://s3.us-east-1.amazonaws.com",
        "https://s3.us-east-1.amazonaws.com:9200",
        "https://s3.us-east-1.amazonaws.com/path",
        "https://s3.us-east-1.amazonaws.com?x",
        "https://s3.us-east-1.amazonaws.com#x",
        "https://user@s3.us-east-1.amazonaws.com",
        "https://s3.us-east-1.amazonaws.com@169.254.169.254",
        "https://169.254.169.254",
        "https://s3.us-east-1.amazonaws.com:x",
        "https://sqs.us-east-1.amazonaws.com",
        "https://s3.us-east-1.amazonaws.com\n.evil.example",
    ],
)
def test_nothing_else_may(url):
    assert not names_service("s3", url)
    assert not names_service("sqs", url.replace("sqs", "s3"))


def test_queues_of_sqs_may_be_named():
    assert names_service("sqs", QUEUE)
    assert names_service("sqs", "https://us-west-2.queue.amazonaws.com/1/q")
    assert not names_service("sqs", QUEUE.replace("https", "http"))


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1"),
        *("0.0.0.0", "224.0.0.1", "::1", "fe80::1%eth0", "fd00::1", "::ffff:10.0.0.1"),
        *("64:ff9b::a9fe:a9fe", "2002:7f00:1::", "::"),
        *("64:ff9b:1::10.0.0.1", "::10.0.0.1", "::ffff:0:10.0.0.1", "fec0::1", "4000::1"),
        *("168.63.129.16", "192.0.0.8", "192.0.0.9", "192.88.99.1", "64:ff9b::168.63.129.16"),
        *("2002:808:808::1", "2001:0:808:808::1", "2001:1::1", "3fff::1", "5f00::1"),
    ],
)
def test_addresses_that_are_not_of_the_internet(address):
    assert not AddressGuard().allows(address)


# IANA: IPv4 and IPv6 Special-Purpose Address Registries, all that is not "Globally Reachable".
@pytest.mark.parametrize(
    "network",
    [
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        *("::/128", "::1/128", "::ffff:0:0:0/96", "64:ff9b:1::/48", "100::/64"),
        *("100:0:0:1::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
        *("5f00::/16", "fc00::/7", "fe80::/10", "ff00::/8"),
    ],
)
def test_no_edge_of_a_special_network_is_of_the_internet(network):
    found = ip_network(network)
    for edge in (found[0], found[-1]):
        assert reach_of(str(edge)) is not Reach.INTERNET
    for near in (int(found[0]) - 1, int(found[-1]) + 1):  # what we let through Python does, too
        with suppress(ValueError):
            address = type(found[0])(near)
            assert reach_of(str(address)) is not Reach.INTERNET or address.is_global


@pytest.mark.parametrize(
    "address",
    [
        *("169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200", "192.0.0.192"),
        *("fd00:ec2::254", "fe80::a9fe:a9fe", "::ffff:169.254.169.254", "::169.254.169.254"),
        *("64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe", "2002:a9fe:a9fe::1"),
        *("2001:0:1:2:3:4:5601:5601", "::ffff:0:169.254.169.254"),
    ],
)
def test_where_clouds_keep_credentials_is_never_allowed_in_whatever_form(address):
    everything = (ip_network("0.0.0.0/0"), ip_network("::/0"))
    assert reach_of(address) is Reach.CLOUD
    assert not AddressGuard(everything).allows(address)


def test_addresses_of_the_internet_and_of_networks_that_are_allowed():
    assert all(map(AddressGuard().allows, ("52.218.0.1", "2600:1f60::1", "64:ff9b::34da:1")))
    environment = {"S3SYNC_AWS_PRIVATE_NETWORKS": "10.0.4.0/24, fd00::/8"}
    guard = guard_for(tenant="t", url=None, environment=environment)
    assert guard is not None
    assert guard.allows("10.0.4.7")
    assert guard.allows("fd00::7")
    assert not guard.allows("10.0.5.7")
    with pytest.raises(InvalidSetting, match="S3SYNC_AWS_PRIVATE_NETWORKS"):
        guard_for(tenant="t", url=None, environment={"S3SYNC_AWS_PRIVATE_NETWORKS": "10.0.4.7/24"})


def test_who_is_trusted():
    named = {"S3SYNC_API_TRUSTED_TENANTS": "ops, data"}
    assert trusted_tenants({}) == {"default_tenant"}
    assert trusted_tenants(named) == {"ops", "data"}
    assert trusted_tenants({"S3SYNC_API_TRUSTED_TENANTS": "none"}) == frozenset()
    assert guard_for(tenant="ops", url=None, environment=named) is None
    assert guard_for(tenant="x", url="http://minio:9000", environment=named) is None  # declared
    for url in (None, QUEUE, "https://vpc-x.us-east-1.es.amazonaws.com"):
        assert guard_for(tenant="default_tenant", url=url, environment=named) is not None


@pytest.fixture
def inside(monkeypatch):
    """What every name leads to: a server of the private network; the bytes that it was sent."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def serve():
            while True:
                try:
                    link = listening.accept()[0]
                except OSError:
                    return
                with link:
                    heard.append(link.recv(1000))

        thread = threading.Thread(target=serve)
        thread.start()
        where = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: where)
        yield heard
        listening.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_a_name_that_leads_inside_is_sent_nothing(inside):
    source = s3_source(
        id="s",
        name="s",
        bucket_name="some-bucket",
        collection_name="c",
        region="us-east-1",
        credentials=CredentialsConfig(credential_id=1),
    )
    keys = {"resolve_env": {}.get, "resolve_credential": lambda _: ("AKIA", "secret", None)}
    place, guard = source.place, AddressGuard()
    store = open_object_store(place, **keys, guard=guard)
    with closing(store), pytest.raises(InvalidSetting) as caught:
        store.list_page("", start_after=None)
    assert caught.value.reason == "private_address"
    queue = open_queue(QUEUE, place=place, **keys, guard=guard)
    with closing(queue), pytest.raises(InvalidSetting) as caught:
        queue.receive(wait_seconds=0)
    assert caught.value.reason == "private_address"
    assert set(inside) <= {b""}
    with closing(open_object_store(place, **keys)) as store, pytest.raises(S3SyncError):
        store.list_page("", start_after=None)  # without the guard the server inside is spoken to
    assert any(inside)
