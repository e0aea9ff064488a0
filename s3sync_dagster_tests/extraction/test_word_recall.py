"""How the foreign benchmark counts words that two readers part or join otherwise."""

import pytest

from benchmarks.extraction.foreign.word_recall import recall_of, spaced_recall


@pytest.mark.parametrize(
    ("wanted", "found", "share"),
    [
        ("the D iscovery W orld of it", "the DiscoveryWorld of it", 1.0),
        ("two fiveshift words", "two five shift words", 1.0),
        ("a word twice, a word", "a word once", 2 / 5),
        ("in to the house into", "into the house", 3 / 5),  # one joined word proves one
        ("spee h is spee h", "speeh is", 3 / 5),
        ("lost words here", "here", 1 / 3),
        ("h spee", "speeh", 0.0),  # not in a row
        ("", "anything", 1.0),
    ],
)
def test_a_word_with_other_blanks_is_found_as_often_as_it_is_there(
    wanted: str, found: str, share: float
):
    assert spaced_recall(wanted, found) == pytest.approx(share)


def test_running_heads_are_counted_once_and_blanks_do_not_count():
    names = ("Barley", "Clover", "Millet", "Oats", "Rye", "Spelt", "Wheat", "Hemp")
    body = [[f"{name} is the grain of page p{n}" for name in names] for n in range(4)]
    pages = ["\n".join(["Weekly news", *lines]) for lines in body]
    text = "Weekly news " + " ".join(" ".join(lines) for lines in body)
    recall = recall_of(pages, text.replace("Clover is", "Cloveris"))
    assert recall is not None
    assert recall.every < recall.heads_once < recall.spaced == 1.0
