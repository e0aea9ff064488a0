"""A page of a listing is compared in parts where too much of the known has vanished."""

from s3sync_dagster.core.page import PageWindow
from s3sync_dagster.engine.listing import next_stretch
from s3sync_dagster.engine.store_ports import ListPage
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster_tests.sources import s3_source

SOURCE = s3_source(id="i", name="docs", bucket_name="b", collection_name="texts")
PAGE = ListPage(objects=tuple(ObjectRef(key=k, etag="e", size=1) for k in "adf"), last=True)


class Known:
    """As much of the catalog's listings as a stretch asks."""

    def __init__(self, until):
        self.until, self.asked = until, []

    def window(self, source_id, *, after, until, limit):
        self.asked.append((after, until))
        return PageWindow(objects={}, until=self.until)


def test_a_stretch_ends_with_the_last_known_key_and_takes_that_along():
    stretch = next_stretch(SOURCE, PAGE, None, listings=Known("d"))
    assert [ref.key for ref in stretch.refs] == ["a", "d"]
    assert (stretch.cursor, stretch.last) == ("d", False)


def test_a_last_page_is_held_against_all_that_follows():
    known = Known(None)
    stretch = next_stretch(SOURCE, PAGE, "A", listings=known)
    assert known.asked == [("A", None)]
    assert [ref.key for ref in stretch.refs] == ["a", "d", "f"]
    assert (stretch.cursor, stretch.last) == ("f", True)


def test_a_page_in_between_is_held_against_its_own_keys():
    known = Known(None)
    page = ListPage(objects=PAGE.objects, last=False)
    stretch = next_stretch(SOURCE, page, "A", listings=known)
    assert known.asked == [("A", "f")]
    assert not stretch.last
