"""Sources of repositories whose settings are edited later."""

from s3sync_dagster.places.git import GitPlace
from s3sync_dagster_tests.engine_fixture import make_world
from s3sync_dagster_tests.places.test_git import opened, origin, server

__all__ = ["origin", "server"]


def test_what_was_left_alone_as_no_text_is_read_once_it_may_be(origin, server, tmp_path):
    origin.write("c.txt", b"words\0and more")
    origin.commit()
    world = make_world()

    def synced(text_only, **more):
        fields = {"repository": f"{server.url}/team/docs", "text_only": text_only}
        world.configure(place=GitPlace(**fields), collection_name="docs")
        with opened(server, tmp_path / "home", text_only=text_only) as world.store:
            return world.sync(**more)

    assert synced(True)["c.txt"] == "skipped"
    assert synced(True) == {}
    assert synced(False) == {"c.txt": "indexed"}
    assert synced(False) == {}
    assert "c.txt" in world.keys_indexed()
    assert synced(True) == {}  # what another configuration made is still served
    world.catalog.close()


def test_a_repository_of_text_alone_has_the_fingerprint_of_before():
    plain = make_world()
    source = plain.source.with_changes(place=GitPlace(repository="team/docs"))
    assert source.fingerprint() == plain.source.fingerprint()
    plain.catalog.close()
