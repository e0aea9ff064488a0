"""docs/reasons.md has every reason word of the source, and no other."""

import re
from pathlib import Path

from s3sync_dagster_tests.core.reason_words import all_words

PAGE = Path(__file__).parents[2] / "docs" / "reasons.md"
ROW = re.compile(r"^\|(.*?)\|(.*?)\|(.*?)\|$", re.MULTILINE)


def rows() -> list[tuple[list[str], str, str]]:
    """Return the rows of the page's tables that begin with words: words, meaning, advice."""
    return [
        (re.findall(r"`([a-z_]+)`", words), meaning.strip(), advice.strip())
        for words, meaning, advice in ROW.findall(PAGE.read_text())
        if "`" in words
    ]


def test_every_reason_is_on_the_page_once():
    documented = [word for words, _, _ in rows() for word in words]
    given = all_words()
    assert {word: given[word] for word in sorted(given.keys() - set(documented))} == {}
    assert len(documented) == len(set(documented))


def test_no_word_on_the_page_is_dead():
    documented = {word for words, _, _ in rows() for word in words}
    assert sorted(documented - all_words().keys()) == []


def test_every_row_says_what_it_means_and_what_to_do():
    assert [words for words, meaning, advice in rows() if not meaning or not advice] == []


def test_words_are_found_in_every_form_of_the_source():
    given = all_words()
    places = {
        "excluded": "core/selection.py",  # Skip("...")
        "no_sidecar": "core/decision.py",  # replace(..., reason="...")
        "already_claimed": "engine/batch/sidecars.py",  # reason="..."
        "record_ids_busy": "core/patience.py",  # a constant
        "chroma_error": "ports/chroma_http.py",  # one of two
        "throttled": "model/errors.py",  # a class's own word
        "invalid_metadata": "core/sidecar.py",  # a table of checks
        "clock_skew": "ports/aws_errors.py",  # a table of codes
        "media": "extraction/choice.py",  # a table of kinds
        "superseded": "catalog/batch_end.py",  # a column's value
    }
    assert [word for word, module in places.items() if module not in given.get(word, ())] == []
