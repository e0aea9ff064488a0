"""The engine over real S3 endpoints of two makes, by HTTP: each has its own habits."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from s3sync_dagster.core.keys import partition_key
from s3sync_dagster.core.state import ListingState
from s3sync_dagster.ports.s3 import open_object_store
from s3sync_dagster_tests.conftest_aws import AwsEndpoint
from s3sync_dagster_tests.contracts.object_worlds import AWKWARD_KEYS
from s3sync_dagster_tests.engine_fixture import make_world
from s3sync_dagster_tests.wire_proxy import Fault, wire_proxy


@dataclass
class EndpointBucket:
    """A bucket that tests fill with plain boto3, not with the code under test."""

    endpoint: AwsEndpoint
    name: str

    def put(self, key, text):
        return self.endpoint.put(self.name, key, text)

    def put_all(self, texts):
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda item: self.put(*item), texts.items()))

    def put_in_parts(self, key, *parts):
        place = {"Bucket": self.name, "Key": key}
        upload = self.endpoint.s3.create_multipart_upload(**place)["UploadId"]
        sent = [
            {
                "PartNumber": number,
                "ETag": self.endpoint.s3.upload_part(
                    **place, UploadId=upload, PartNumber=number, Body=body
                )["ETag"],
            }
            for number, body in enumerate(parts, start=1)
        ]
        self.endpoint.s3.complete_multipart_upload(
            **place, UploadId=upload, MultipartUpload={"Parts": sent}
        )

    def delete(self, key):
        self.endpoint.delete(self.name, key)


@pytest.fixture(params=["aws_endpoint", "second_endpoint"], ids=["moto", "rclone"])
def endpoint(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def world(endpoint, tmp_path):
    """The engine with the real S3 port; ``world.wire`` counts what went over the wire."""
    made = make_world()
    made.bucket = EndpointBucket(endpoint, endpoint.make_bucket())
    with wire_proxy(endpoint.url) as proxy:
        made.configure(place=endpoint.source(made.bucket.name, endpoint_url=proxy.url).place)
        made.store = open_object_store(
            made.source.place, resolve_env=endpoint.resolve_env, spool_dir=tmp_path
        )
        made.wire = proxy
        yield made
    made.catalog.close()


def requests(world):
    """Return the requests since the last call, without what is asked once a process."""
    counts = world.wire.counts()
    world.wire.reset()
    return {kind: number for kind, number in counts.items() if kind != "BUCKET"}


def test_first_sync_change_and_delete(world):
    world.bucket.put_all({f"{n}.txt": f"text {n}" for n in range(10)})
    assert set(world.sync().values()) == {"indexed"}
    assert requests(world) == {"LIST": 1, "GET": 10}
    assert world.sync() == {}
    assert requests(world) == {"LIST": 1}
    world.bucket.put("3.txt", "other words")
    world.bucket.delete("4.txt")
    assert world.sync() == {"3.txt": "updated", "4.txt": "removed"}
    assert requests(world) == {"LIST": 1, "GET": 1}
    wanted = {f"text {n}" for n in range(10) if n not in (3, 4)} | {"other words"}
    assert sorted(world.texts().values()) == sorted(wanted)
    world.bucket.put("4.txt", "text 4")
    assert world.sync() == {"4.txt": "indexed"}


def test_awkward_keys_are_indexed_removed_and_indexed_again(world, endpoint):
    keys = [key for key in AWKWARD_KEYS if key not in endpoint.refused_keys]
    world.bucket.put_all({key: f"text of {key!r}" for key in keys})
    assert world.sync() == dict.fromkeys(keys, "indexed")
    partitions = {report.key: report.partition_key for report in world.reports}
    assert partitions == {key: partition_key(key) for key in keys}
    assert len(set(partitions.values())) == len(keys)
    assert sorted(world.texts().values()) == sorted(f"text of {key!r}" for key in keys)
    requests(world)
    world.bucket.put_all({key: f"new text of {key!r}" for key in keys})
    assert world.sync() == dict.fromkeys(keys, "updated")
    assert requests(world) == {"LIST": 1, "GET": len(keys)}
    for key in keys[1:]:
        world.bucket.delete(key)
    assert world.listing(approve_deletes=True).done
    assert {r.key: r.state for r in world.run_batches()} == dict.fromkeys(keys[1:], "removed")
    assert list(world.texts().values()) == [f"new text of {keys[0]!r}"]
    world.bucket.put_all({key: f"text of {key!r}" for key in keys[1:]})
    assert world.sync() == dict.fromkeys(keys[1:], "indexed")
    assert world.keys_indexed() == set(keys)


def test_an_event_finds_each_awkward_key(world, endpoint):
    keys = [key for key in AWKWARD_KEYS if key not in endpoint.refused_keys]
    world.bucket.put_all({key: f"text of {key!r}" for key in keys})
    world.catalog.work.record_events(
        world.source.id, upserts=[], sync=keys, remove=[], sequencers={}
    )
    assert {r.key: r.state for r in world.run_batches()} == dict.fromkeys(keys, "indexed")
    for key in keys:
        world.bucket.delete(key)
    world.clock.seconds += 1
    world.catalog.work.record_events(
        world.source.id, upserts=[], sync=[], remove=keys, sequencers={}
    )
    assert {r.key: r.state for r in world.run_batches()} == dict.fromkeys(keys, "removed")
    assert world.texts() == {}


def test_more_than_a_page_of_keys(world):
    keys = [f"{n:04}.zip" for n in range(1100)]
    world.bucket.put_all(dict.fromkeys(keys, "x") | {"0000.txt": "first", "9999.txt": "last"})
    assert set(world.sync()) == {"0000.txt", "9999.txt"}
    assert requests(world) == {"LIST": 2, "GET": 2}
    counts = world.catalog.views.counts(world.source.id)
    assert (counts.objects, counts.indexed) == (1102, 2)
    assert counts.skipped == {"unsupported_type": 1100}


def test_an_object_in_parts(world):
    part = (b"word " * 2000 + b"\n\n") * 525  # 5 MiB: the least for a part that is not the last
    world.bucket.put_in_parts("a.txt", part, b"the end")
    etag = world.store.head("a.txt").etag  # rclone forgets that there were parts
    assert world.sync() == {"a.txt": "indexed"}
    assert "the end" in world.texts().values()
    assert {m["s3sync_etag"] for m in world.metadata().values()} == {etag}
    requests(world)
    assert world.sync() == {}
    assert requests(world) == {"LIST": 1}


def test_an_object_that_is_overwritten_before_it_is_read(world):
    world.bucket.put("a.txt", "old")
    world.listing()
    etag = world.bucket.put("a.txt", "new and longer")
    requests(world)
    assert {r.key: r.state for r in world.run_batches()} == {"a.txt": "indexed"}
    assert requests(world) == {"GET": 1}  # its own headers say which version was read
    assert list(world.texts().values()) == ["new and longer"]
    assert {m["s3sync_etag"] for m in world.metadata().values()} == {etag}
    assert world.sync() == {}


def test_an_object_that_is_overwritten_while_it_is_read(world):
    old = "\n\n".join(f"old {n}" + " word" * 100 for n in range(40))
    new = "\n\n".join(f"new {n}" + " word" * 100 for n in range(40))
    world.bucket.put("a.txt", old)
    world.listing()
    requests(world)
    gets, etags = [], []

    def cut_and_overwrite(request):
        if request.kind != "GET":
            return None
        gets.append(request)
        if len(gets) == 1:
            return Fault(cut_after_bytes=5000)
        etags.append(world.bucket.put("a.txt", new))
        return None

    world.wire.plan = cut_and_overwrite
    assert {r.key: r.state for r in world.run_batches()} == {"a.txt": "indexed"}
    assert requests(world) == {"GET": 2}
    assert sorted(world.texts().values()) == sorted(new.split("\n\n"))
    assert {m["s3sync_etag"] for m in world.metadata().values()} == set(etags)
    assert world.sync() == {}


def test_an_object_that_goes_before_it_is_read(world):
    world.bucket.put_all({f"{n}.txt": f"text {n}" for n in range(8)})
    world.sync()
    world.bucket.put("3.txt", "other words")
    world.listing()
    world.bucket.delete("3.txt")
    assert {r.key: r.state for r in world.run_batches()} == {"3.txt": "removed"}
    assert "3.txt" not in world.keys_indexed()


def test_the_guard_and_its_approval(world):
    world.bucket.put_all({f"{n}.txt": f"text {n}" for n in range(3)})
    world.sync()
    for n in range(3):
        world.bucket.delete(f"{n}.txt")
    assert world.listing().listing.state is ListingState.BLOCKED
    assert world.run_batches() == []
    assert len(world.keys_indexed()) == 3
    world.approve()
    assert {r.state for r in world.run_batches()} == {"removed"}
    assert world.texts() == {}


def test_a_prefix_is_a_plain_beginning_of_the_key(world):
    world.configure(path_prefix="docs/ü")
    texts = {"docs/ü.txt": "in", "docs/ü/a.txt": "in too", "docs/u.txt": "out", "a.txt": "out"}
    world.bucket.put_all(texts)
    assert set(world.sync()) == {"docs/ü.txt", "docs/ü/a.txt"}
