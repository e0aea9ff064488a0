"""How the foreign benchmark counts words: of two readers, and of two versions of one."""

import pytest

from benchmarks.extraction.foreign.cases import Case
from benchmarks.extraction.foreign.changed_words import changes_of, print_changes
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


def test_a_word_that_a_version_loses_or_doubles_is_told_whatever_the_others_gain(capsys):
    cases = [Case("o/r", f"{name}.docx", b"", "") for name in ("same", "lost", "twice", "refused")]
    before = [{"text": "one two"}, {"text": "debit credit"}, {"text": "one"}, {"text": "one"}]
    after = [{"text": "two one"}, {"text": "debit more"}, {"text": "one one"}, {"reason": "broken"}]
    found = changes_of(cases, before, after)
    assert [(one.case.path, dict(one.lost), dict(one.gained)) for one in found] == [
        ("lost.docx", {"credit": 1}, {"more": 1}),
        ("refused.docx", {"one": 1}, {}),
        ("twice.docx", {}, {"one": 1}),
    ]
    print_changes(found, files=4, shown=1)
    said = capsys.readouterr().out
    assert "4 files, 3 with other words" in said
    assert "| docx | 3 | 2 | 2 | 1 | 0 |" in said
    assert "-1: credit" in said
