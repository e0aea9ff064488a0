"""A moved source of a web server's folders: what one faulty page lacks is not over."""

import contextlib

import sqlalchemy as sa

from s3sync_dagster.engine.moving import finish_move
from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.places.files import FilesPlace
from s3sync_dagster_tests.core.test_rules_restored import back_up, restore
from s3sync_dagster_tests.core.test_rules_verify import fix
from s3sync_dagster_tests.engine_fixture import make_world
from s3sync_dagster_tests.places.file_servers import open_place
from s3sync_dagster_tests.scripted_http import scripted_server
from s3sync_dagster_tests.sources import changed

HTML = {"content-type": "text/html"}
DATED = {"last-modified": "Sat, 01 Aug 2026 10:00:00 GMT"}


def test_what_the_first_listing_after_a_move_lacks_by_a_faulty_page_stays():
    names = [f"{number}.md" for number in range(3)]
    others = [f"o{number}.md" for number in range(40)]
    top = "".join(f'<a href="{one}">f</a>' for one in others) + '<a href="sub/">sub</a>'
    pages = {
        "/x/": (200, top, HTML),
        "/x/sub/": (200, "".join(f'<a href="{one}">f</a>' for one in names), HTML),
    }
    with scripted_server() as server:

        def answer(_):
            path = server.asked[-1][1]
            return pages.get(path) or pages.get(path + "/") or (200, f"text of {path}", DATED)

        server.decide = answer
        world = make_world()
        place = FilesPlace(store_url=f"index+http://127.0.0.1:{server.server_port}/x")
        world.configure(place=place)
        world.store = open_place(place, {})
        assert set(world.sync().values()) == {"indexed"}
        everything = {one["document_key"] for one in world.metadata().values()}
        assert len(everything) == 43

        with world.catalog.database.write() as tx:
            tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
        other = FilesPlace(store_url=f"index+http://localhost:{server.server_port}/x")
        world.catalog.sources.register(changed(world.source, id="of the code", place=other))
        world.source = world.catalog.moves.begin("docs")
        world.store = open_place(other, {})

        def sync():
            world.clock.seconds += 6 * 3600
            with contextlib.suppress(Unavailable):  # what the folders show is not believed
                world.sync()
            finish_move(
                world.source,
                catalog=world.catalog,
                collections=lambda: world.collections,
                clock=world.clock,
                log=print,
            )
            return {one["document_key"] for one in world.metadata().values()}

        whole, pages["/x/sub/"] = pages["/x/sub/"], (200, "<h1>Temporarily unavailable</h1>", HTML)
        assert sync() == everything
        pages["/x/sub/"] = (200, whole[1].replace("0.md", "new.md"), HTML)
        pages["/x/sub/0.md"] = (404, "", {})
        assert sync() == everything - {"sub/0.md"} | {"sub/new.md"}
        assert world.catalog.moves.left_by(world.source.id) == []
        world.store.close()


def test_what_a_restored_catalog_forgot_is_not_over_by_one_faulty_page():
    pages = {
        "/x/": (200, '<a href="a.md">a</a><a href="b.md">a</a>', HTML),
        "/x/sub/": (200, '<a href="new.md">f</a>', HTML),
    }
    with scripted_server() as server:

        def answer(_):
            path = server.asked[-1][1]
            return pages.get(path) or pages.get(path + "/") or (200, f"text of {path}", DATED)

        server.decide = answer
        world = make_world()
        place = FilesPlace(store_url=f"index+http://127.0.0.1:{server.server_port}/x")
        world.configure(place=place)
        world.store = open_place(place, {})
        world.sync()
        copy = back_up(world)
        pages["/x/"] = (200, pages["/x/"][1] + '<a href="sub/">sub</a>', HTML)
        world.sync()
        everything = {one["document_key"] for one in world.metadata().values()}
        assert everything == {"a.md", "b.md", "sub/new.md"}
        restore(world, copy)
        pages["/x/sub/"] = (200, "<h1>Temporarily unavailable</h1>", HTML)
        world.store = open_place(place, {})
        world.sync()
        found = fix(world)
        assert (found.stray, found.held_back) == ([], ["sub/new.md"])
        assert {one["document_key"] for one in world.metadata().values()} == everything
        pages["/x/sub/new.md"] = (404, "", {})
        assert len(fix(world).stray) == 1
        world.store.close()


def test_a_file_that_its_folder_names_and_that_is_answered_with_404_is_not_gone():
    names = [f"{number}.md" for number in range(12)]
    missing: set[str] = set()
    top = "".join(f'<a href="{one}">f</a>' for one in names)
    with scripted_server() as server:

        def answer(_):
            path = server.asked[-1][1]
            if path.rstrip("/") == "/x":
                return (200, top, HTML)
            return (404, "", {}) if path in missing else (200, f"text of {path}", DATED)

        server.decide = answer
        world = make_world()
        place = FilesPlace(store_url=f"index+http://127.0.0.1:{server.server_port}/x")
        world.configure(place=place)
        world.store = open_place(place, {})
        world.sync()
        missing.add("/x/3.md")  # as of a replica that has not got it yet, behind the same name
        with contextlib.suppress(Unavailable):
            world.sync()
        world.run_batches()
        assert {one["document_key"] for one in world.metadata().values()} == set(names)
        world.store.close()
