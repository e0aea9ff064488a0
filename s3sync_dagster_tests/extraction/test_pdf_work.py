"""What reading a PDF does once, and what it leaves out where a cheaper look tells enough."""

from collections import Counter
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from s3sync_dagster.extraction.pdf import bodies, layout, lost_lines, text_layer
from s3sync_dagster.extraction.pdf.text_layer import open_pdf
from s3sync_dagster.extraction.pdf.titles import is_no_heading
from s3sync_dagster.extraction.words import in_order, words_of
from s3sync_dagster.model.source import ExtractionConfig
from s3sync_dagster_tests.extraction.raw_pdf import pages_pdf, text_content


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[ModuleType, str], list[Any]]:
    """Return what makes a list of the first arguments that a module's name is called with."""

    def count(module: ModuleType, name: str) -> list[Any]:
        asked: list[Any] = []
        function = getattr(module, name)

        def called(first: Any, *args: Any, **kwargs: Any) -> Any:
            asked.append(first)
            return function(first, *args, **kwargs)

        monkeypatch.setattr(module, name, called)
        return asked

    return count


def read(*pages: str):
    content = [text_content(*page.split("/")) for page in pages]
    return layout.read_with_liteparse(
        pages_pdf(content), name="a.pdf", config=ExtractionConfig()
    ).texts


def test_page_that_lacks_no_word_has_its_words_counted_once_on_each_side(
    counted: Callable[[ModuleType, str], list[Any]],
):
    asked = counted(layout, "words_of")
    assert read("the harbour has a new roof") == ("the harbour has a new roof",)
    assert len(asked) == 2


def test_pages_whose_heads_are_all_left_out_are_put_together_once(
    counted: Callable[[ModuleType, str], list[Any]],
):
    asked = counted(bodies, "without_heads")
    nouns = ("harvest", "winter", "thaw", "sowing")
    texts = read(*(f"the {noun} of the year was long" for noun in nouns))
    assert texts == tuple(f"the {noun} of the year was long" for noun in nouns)
    assert len(asked) == len(nouns)


def test_words_of_a_line_are_counted_once_though_it_is_looked_at_twice(
    counted: Callable[[ModuleType, str], list[Any]],
):
    pdf = open_pdf(pages_pdf([text_content("Lassa Fever in Leone", "Ward findings of May")]))
    page, layer = pdf[0], pdf[0].get_textpage()
    asked = counted(lost_lines, "words_of")
    found = lost_lines.find_lost_lines(page, layer, Counter(["fever", "leone", "may"]))
    assert [line.text for line in found] == ["Lassa Fever in Leone"]
    assert asked == ["Lassa Fever in Leone", "Ward findings of May"]
    layer.close()
    pdf.close()


def test_text_without_marks_is_the_same_text():
    text = "Preis – 12 €, «schön»"
    assert text_layer.plain(text) is text
    for mark in ("\x02", "\x7f", "\x9f", "\ufeff", "\ufffe", "\uffff", "\x00"):
        assert text_layer.plain(f"a{mark}b") == "ab"
    assert text_layer.plain("a\r\nb") == "a\nb"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The ﬁrst, Œuvre_2", ["the", "first", "œuvre", "2"]),
        ("日本 data", ["日", "本", "data"]),
        ("ｶﾀ ab", ["カ", "タ", "ab"]),
        ("안녕 x", ["안", "녕", "x"]),
    ],
)
def test_words_are_alike_for_texts_with_and_without_scripts_that_part_none(
    text: str, words: list[str]
):
    assert words_of(text) == Counter(words)
    assert in_order(text) == " ".join(words)


@pytest.mark.parametrize(
    ("text", "is_none"),
    [
        ("Results", False),
        ("a b c d", True),
        ("", True),
        ("・", True),
        ("結果", False),
        ("果", False),
        ("word " * 21, True),
        ("Figure 3: Rates", True),
        ("以下の通り。", True),
        ("Rates = two", True),
    ],
)
def test_what_may_be_no_heading(text: str, is_none: bool):
    assert is_no_heading(text) is is_none
