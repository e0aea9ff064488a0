"""Which shard a key gets: the lowest with room, and never one that is full."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3sync_dagster.core.naming import asset_path, partitions_name, shard_node_name, shard_of
from s3sync_dagster.core.shards import spread
from s3sync_dagster_tests.sources import s3_source


@pytest.mark.parametrize(
    ("partitions", "given_shards"),
    [
        ({}, {1: ["a", "b", "c"], 2: ["d"]}),
        ({1: 2}, {1: ["a"], 2: ["b", "c", "d"]}),
        ({1: 3, 2: 3}, {3: ["a", "b", "c"], 4: ["d"]}),
        ({1: 9, 2: 1}, {2: ["a", "b"], 3: ["c", "d"]}),  # of before there was a limit
        ({1: 3, 2: 0, 3: 2}, {2: ["a", "b", "c"], 3: ["d"]}),  # room that was given back
    ],
)
def test_keys_go_where_there_is_room(partitions, given_shards):
    assert spread(["a", "b", "c", "d"], partitions, most=3) == given_shards


@given(
    keys=st.lists(st.text(max_size=3), unique=True, max_size=30),
    partitions=st.dictionaries(st.integers(1, 6), st.integers(0, 9)),
    most=st.integers(1, 7),
)
def test_each_key_gets_one_shard_and_no_shard_more_than_it_may_have(keys, partitions, most):
    given_shards = spread(keys, partitions, most=most)
    assert [key for shard in sorted(given_shards) for key in given_shards[shard]] == keys
    for shard, some in given_shards.items():
        assert some
        assert partitions.get(shard, 0) + len(some) <= most


def test_names_of_shards_are_no_names_of_other_sources():
    docs, rival = (
        s3_source(id=name, name=name, bucket_name="b", collection_name="ccc")
        for name in ("docs", "docs__2")
    )
    assert (asset_path(docs), partitions_name(docs)) == (["s3", "docs"], "s3_docs")
    assert (asset_path(docs, 2), partitions_name(docs, 2)) == (["s3", "docs", "2"], "s3_docs/2")
    assert [shard_of(docs, asset_path(docs, shard)) for shard in (1, 2, 17)] == [1, 2, 17]
    assert shard_of(docs, ["s3", "other"]) == 1
    assert shard_node_name(docs, 2) != "__".join(asset_path(rival))
    assert partitions_name(docs, 2) != partitions_name(rival)
