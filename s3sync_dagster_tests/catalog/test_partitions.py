"""Shards in the catalog: given once, kept as long as the partition stands, counted as they go."""

import threading
from contextlib import closing

import pytest
import sqlalchemy as sa

from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.tables import objects, shards
from s3sync_dagster_tests.catalog.scenes import list_all, ref, source
from s3sync_dagster_tests.catalog.test_schema import bring_to, take_back
from s3sync_dagster_tests.conftest_catalog import HandClock

DOCS = source()
MOST = 3


def opened(url, most=MOST):
    return closing(open_catalog(url, clock=HandClock(), partitions_per_asset=most))


@pytest.fixture
def catalog(catalog_url):
    with opened(catalog_url) as one:
        one.sources.add(DOCS)
        yield one


def tell(catalog, keys, src=DOCS, **options):
    """Do what dispatch does before a run; returns the shard of each key."""
    placement = catalog.partitions.place(src.id, keys, **options)
    for shard, names in placement.untold.items():
        catalog.partitions.added(src.id, names, shard=shard)
    return dict(placement.shards)


def counts(catalog, source_id=DOCS.id):
    """Return what is kept, once it is held against the rows."""
    with catalog.database.read() as tx:
        kept = tx.execute(
            sa.select(shards.c.shard, shards.c.partitions).where(shards.c.source_id == source_id)
        ).all()
        there = tx.execute(
            sa.select(objects.c.shard, sa.func.count())
            .where(objects.c.source_id == source_id, objects.c.shard.is_not(None))
            .group_by(objects.c.shard)
        ).all()
    assert {shard: number for shard, number in kept if number} == dict(map(tuple, there))
    return dict(map(tuple, kept))


def names(count, first=0):
    return [f"k{number:02}" for number in range(first, first + count)]


def listed(catalog, keys, src=DOCS):
    list_all(catalog, src, [ref(key) for key in keys])


def test_a_source_grows_from_shard_to_shard_and_no_key_moves(catalog):
    listed(catalog, names(8))
    first = tell(catalog, names(4))
    assert first == {"k00": 1, "k01": 1, "k02": 1, "k03": 2}
    second = tell(catalog, names(8))
    assert second == first | {"k04": 2, "k05": 2, "k06": 3, "k07": 3}
    assert catalog.partitions.place(DOCS.id, names(8)).untold == {}, "each is told once"
    assert counts(catalog) == {1: 3, 2: 3, 3: 2}
    assert catalog.partitions.shards(DOCS.id) == 3
    assert catalog.partitions.shards_by_name() == {"docs": 3}


def test_who_dies_before_dagster_is_told_tells_the_same_the_next_time(catalog):
    listed(catalog, names(4))
    planned = catalog.partitions.place(DOCS.id, names(4))
    again = catalog.partitions.place(DOCS.id, ["k03", "k00"])
    assert planned.untold == {1: names(3), 2: ["k03"]}
    assert again.untold == {1: ["k00"], 2: ["k03"]}
    assert counts(catalog) == {1: 3, 2: 1}


def test_keys_that_nobody_knows_or_that_are_gone_take_no_room(catalog):
    listed(catalog, ["k00", "k01"])
    listed(catalog, ["k00"])
    with catalog.database.write() as tx:
        tx.execute(objects.update().where(objects.c.object_key == "k01").values(gone=True))
    assert tell(catalog, ["k00", "k01", "unknown"]) == {"k00": 1}
    assert counts(catalog) == {1: 1}


def test_a_key_whose_partition_was_taken_back_takes_whatever_room_there_is(catalog):
    keys = names(6)
    listed(catalog, keys)
    tell(catalog, keys)
    with catalog.database.write() as tx:
        gone = objects.c.object_key.in_(["k00", "k04"])
        tx.execute(objects.update().where(gone).values(gone=True))
        tx.execute(sa.text("DELETE FROM invocations"))
    assert catalog.partitions.to_drop(DOCS.id) == {1: ["k00"], 2: ["k04"]}
    catalog.partitions.dropped(DOCS.id, ["k00", "k04"])
    assert catalog.partitions.to_drop(DOCS.id) == {}
    assert counts(catalog) == {1: 2, 2: 2}
    listed(catalog, [*keys, "new"])
    assert tell(catalog, ["k04", "new"]) == {"k04": 1, "new": 2}, "no shard after the other opens"
    with catalog.database.write() as tx:
        tx.execute(objects.update().values(gone=False))
    assert tell(catalog, ["k00"]) == {"k00": 3}
    assert counts(catalog) == {1: 3, 2: 3, 3: 1}


def test_what_comes_back_while_its_partition_is_taken_back_keeps_its_place_and_is_told_again(
    catalog,
):
    listed(catalog, names(5))
    first = tell(catalog, names(5))
    with catalog.database.write() as tx:
        tx.execute(objects.update().where(objects.c.object_key > "k02").values(gone=True))
        tx.execute(sa.text("DELETE FROM invocations"))
    catalog.partitions.dropping(DOCS.id, ["k03", "k04"])  # and the process dies, or is still at it
    assert catalog.partitions.to_drop(DOCS.id) == {2: ["k03", "k04"]}
    with catalog.database.write() as tx:
        tx.execute(objects.update().where(objects.c.object_key == "k03").values(gone=False))
    assert catalog.partitions.place(DOCS.id, names(5)).untold == {2: ["k03"]}
    assert tell(catalog, names(4)) == {key: first[key] for key in names(4)}
    catalog.partitions.dropped(DOCS.id, ["k03", "k04"])
    assert catalog.partitions.place(DOCS.id, names(5)).untold == {2: ["k03"]}
    assert counts(catalog) == {1: 3, 2: 1}


def test_what_was_taken_back_since_it_was_planned_has_no_place_that_nobody_counted(catalog):
    listed(catalog, names(5))
    tell(catalog, names(3))
    late = catalog.partitions.place(DOCS.id, ["k03", "k04"]).untold
    with catalog.database.write() as tx:
        tx.execute(objects.update().where(objects.c.object_key == "k04").values(gone=True))
        tx.execute(sa.text("DELETE FROM invocations"))
    assert drop_all_gone(catalog, DOCS) == {2: ["k04"]}
    for shard, planned in late.items():
        catalog.partitions.added(DOCS.id, planned, shard=shard)
    assert catalog.partitions.to_drop(DOCS.id) == {}
    assert catalog.partitions.place(DOCS.id, ["k03", "k04"]).shards == {"k03": 2}
    assert counts(catalog) == {1: 3, 2: 1}


def test_room_that_was_kept_for_a_key_or_left_by_a_program_of_before_is_given_back(catalog):
    listed(catalog, names(5))
    catalog.partitions.place(DOCS.id, ["k00"])  # and the run dies before Dagster is told
    tell(catalog, names(5, first=1)[:4])
    assert counts(catalog) == {1: 3, 2: 2}
    with catalog.database.write() as tx:
        gone = objects.update().where(objects.c.object_key.in_(["k00", "k04"]))
        tx.execute(gone.values(gone=True))
        late = objects.update().where(objects.c.object_key == "k04")
        tx.execute(late.values(partition_added=False))  # it knows no other set than the first
        tx.execute(sa.text("DELETE FROM invocations"))
    assert catalog.work.untidy_sources() == {DOCS.id}
    assert catalog.partitions.to_drop(DOCS.id) == {1: ["k00"], 2: ["k04"]}
    catalog.partitions.dropped(DOCS.id, ["k00", "k04"])
    assert counts(catalog) == {1: 2, 2: 1}
    assert catalog.work.untidy_sources() == set()


def test_a_partition_that_somebody_has_added_stays_where_he_did(catalog):
    listed(catalog, names(6))
    tell(catalog, names(4))
    assert tell(catalog, ["k05"], asked_in=1) == {"k05": 1}, "however full"
    assert tell(catalog, ["k03"], asked_in=1) == {"k03": 2}, "one that has its place keeps it"
    assert counts(catalog) == {1: 4, 2: 1}


def test_two_who_tell_at_once_give_each_key_one_shard(catalog):
    listed(catalog, names(40))
    told, start = [], threading.Barrier(4)

    def work(mine):
        start.wait()
        for first in range(0, 40, 4):
            told.append(tell(catalog, [names(40)[(first + n + mine) % 40] for n in range(8)]))

    threads = [threading.Thread(target=work, args=(mine,)) for mine in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 40
    settled = tell(catalog, names(40))
    assert all(settled[key] == shard for one in told for key, shard in one.items())
    assert counts(catalog) == dict.fromkeys(range(1, 14), 3) | {14: 1}


def test_what_stands_in_an_older_catalog_is_in_the_first_shard_however_much_it_is(catalog_url):
    keys = names(7)
    with opened(catalog_url) as catalog:
        catalog.sources.add(DOCS)
        listed(catalog, keys)
    take_back(catalog_url, "0037")
    with closing(Database(catalog_url)) as database, database.write() as tx:
        told = sa.text("UPDATE objects SET partition_added = :yes WHERE partition_key < 'k06'")
        tx.execute(told, {"yes": True})
    bring_to(catalog_url, "head")
    with opened(catalog_url) as catalog:
        with catalog.database.read() as tx:
            assert tx.execute(sa.select(sa.func.count(objects.c.shard))).scalar_one() == 0
            assert tx.execute(sa.select(shards.c.partitions)).scalar_one() == 6
        assert tell(catalog, keys) == dict.fromkeys(keys[:6], 1) | {"k06": 2}
        with catalog.database.write() as tx:
            tx.execute(objects.update().where(objects.c.object_key < "k04").values(gone=True))
            tx.execute(sa.text("DELETE FROM invocations"))
        assert catalog.partitions.to_drop(DOCS.id) == {1: names(4)}
        catalog.partitions.dropped(DOCS.id, names(4))
        listed(catalog, [*keys, "new"])
        assert tell(catalog, ["new"]) == {"new": 1}


def test_what_a_program_of_before_tells_is_in_the_first_shard(catalog):
    listed(catalog, names(5))
    tell(catalog, names(4))
    with catalog.database.write() as tx:
        late = objects.update().where(objects.c.object_key == "k04")
        tx.execute(late.values(partition_added=True))
    assert tell(catalog, ["k04"]) == {"k04": 1}
    with catalog.database.write() as tx:
        tx.execute(late.values(gone=True))
        tx.execute(sa.text("DELETE FROM invocations"))
    assert catalog.partitions.to_drop(DOCS.id) == {1: ["k04"]}


def test_a_limit_that_is_raised_or_lowered_moves_nothing(catalog_url):
    with opened(catalog_url) as catalog:
        catalog.sources.add(DOCS)
        listed(catalog, names(9))
        before = tell(catalog, names(5))
    with opened(catalog_url, most=1) as catalog:
        assert tell(catalog, names(6)) == before | {"k05": 3}
    with opened(catalog_url, most=100) as catalog:
        assert tell(catalog, names(9)) == before | {"k05": 3, "k06": 1, "k07": 1, "k08": 1}
        assert counts(catalog) == {1: 6, 2: 2, 3: 1}


def test_the_sources_have_changed_when_one_gets_a_shard(catalog):
    listed(catalog, names(4))
    version = catalog.sources.version()
    tell(catalog, names(3))
    assert catalog.sources.version() == version
    tell(catalog, names(4))
    assert catalog.sources.version() != version


def moved(catalog):
    """Let the code of the source name another collection; returns what stands in its place."""
    with catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
    catalog.sources.register(DOCS.with_changes(collection_name="other"))
    return catalog.moves.begin(DOCS.name)


def untold(catalog, *keys):
    """Do what a death between Dagster's telling and its commit leaves."""
    with catalog.database.write() as tx:
        late = objects.update().where(objects.c.object_key.in_(keys))
        tx.execute(late.values(partition_added=False))


def end_move(catalog, after):
    assert catalog.moves.hand_over(DOCS.id, after)
    catalog.documents.drop_source(DOCS.id)
    with catalog.database.write() as tx:
        tx.execute(sa.text("DELETE FROM invocations"))


def drop_all_gone(catalog, src):
    """Do what housekeeping does; returns what was taken back, by shard."""
    gone = catalog.partitions.to_drop(src.id)
    catalog.partitions.dropped(src.id, [name for part in gone.values() for name in part])
    return {shard: sorted(part) for shard, part in gone.items()}


def test_what_dagster_may_not_have_heard_of_yet_keeps_its_place_in_a_source_that_is_moved(catalog):
    listed(catalog, names(8))
    first = tell(catalog, names(8))
    untold(catalog, "k03", "k06", "k07")
    after = moved(catalog)
    with catalog.database.write() as tx:  # room below, which nobody may take for a second place
        tx.execute(shards.update().where(shards.c.shard == 1).values(partitions=2))
    listed(catalog, names(7), src=after)  # k07 is not there
    assert tell(catalog, names(7), src=after) == {key: first[key] for key in names(7)}
    with catalog.database.write() as tx:
        tx.execute(shards.update().where(shards.c.shard == 1).values(partitions=3))
    end_move(catalog, after)
    assert counts(catalog, after.id) == {1: 3, 2: 3, 3: 2}
    assert drop_all_gone(catalog, after) == {3: ["k07"]}
    assert counts(catalog, after.id) == {1: 3, 2: 3, 3: 1}


def test_a_place_that_the_source_before_has_and_the_new_one_never_asked_for_is_handed_over(catalog):
    listed(catalog, names(4))
    tell(catalog, names(4))
    after = moved(catalog)
    listed(catalog, names(4), src=after)
    tell(catalog, names(2), src=after)  # nobody works on the others, as where a rule leaves them
    end_move(catalog, after)
    assert counts(catalog, after.id) == {1: 3, 2: 1}
    assert catalog.partitions.place(after.id, names(4)).untold == {}, "Dagster knows them"


def test_a_place_that_was_given_back_during_a_move_is_nobodys(catalog):
    listed(catalog, names(3))
    tell(catalog, names(3))
    after = moved(catalog)
    listed(catalog, names(3), src=after)
    tell(catalog, names(3), src=after)
    with catalog.database.write() as tx:
        mine = objects.c.source_id == after.id, objects.c.object_key == "k01"
        tx.execute(objects.update().where(*mine).values(gone=True))
        tx.execute(sa.text("DELETE FROM invocations"))
    assert drop_all_gone(catalog, after) == {1: ["k01"]}
    listed(catalog, [*names(3), "new"], src=after)
    assert tell(catalog, ["new"], src=after) == {"new": 1}
    with catalog.database.write() as tx:
        tx.execute(objects.update().where(*mine).values(gone=False))
    assert tell(catalog, ["k01"], src=after) == {"k01": 2}, "another has its room"
    end_move(catalog, after)
    assert counts(catalog, after.id) == {1: 3, 2: 1}


def test_shards_are_forgotten_with_their_source(catalog):
    listed(catalog, names(4))
    tell(catalog, names(4))
    catalog.sources.mark_deleting(DOCS.id, keep_records=True)
    catalog.documents.drop_source(DOCS.id)
    with catalog.database.read() as tx:
        assert tx.execute(sa.select(shards)).all() == []
    catalog.sources.add(DOCS)
    assert catalog.partitions.shards(DOCS.id) == 1
