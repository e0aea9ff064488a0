"""What is said of a source before: how many of its documents go, and why others stay."""

from s3sync_dagster.core.moving import Standing, Succession, why_it_stays


def so_far(**standing):
    return Succession(
        listed=True, held=False, left_out=0, keeps=False, unguarded=0, records=9, had=9, went=0,
        unwritten=0, standing={Standing(name): number for name, number in standing.items()},
    )  # fmt: skip


def test_those_that_go_are_counted_apart_from_those_that_stay():
    assert why_it_stays("docs", so_far(followed=2, working=1)) == (
        "3 documents of before (9 records) stay: 1 until their keys are worked on, 2 go now"
    )
    assert why_it_stays("docs", so_far(followed=2)) == "2 documents of before (9 records) go now"
    assert why_it_stays("docs", so_far()) is None


def test_what_only_a_person_can_end_is_told_with_the_way():
    assert why_it_stays("docs", so_far(followed=1, failed=2)) == (
        "3 documents of before (9 records) stay: 2 whose keys have failed since, 1 go now; "
        "`s3sync source move docs --now` removes them all the same"
    )
