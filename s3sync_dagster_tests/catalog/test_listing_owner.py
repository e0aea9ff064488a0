"""Who has a listing that a data folder keeps between two ticks."""

from s3sync_dagster_tests.engine_fixture import make_world


def test_a_listing_that_a_data_folder_keeps_has_no_process():
    world = make_world()
    listings, source_id = world.catalog.listings, world.source.id
    begun = listings.begin(source_id, owner="home:process")
    assert listings.process_of(source_id) == listings.live_owner(source_id) == "home:process"
    listings.pause(begun, owner="home:process", stays_here=True)
    assert listings.live_owner(source_id) == "home:"
    assert listings.process_of(source_id) is None
