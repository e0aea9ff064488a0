"""Which text layers are proven to be no text; letters of other scripts are no proof."""

from collections.abc import Collection

import pytest

from s3sync_dagster.extraction.pdf import layout
from s3sync_dagster.extraction.pdf.engine import look_garbled
from s3sync_dagster.extraction.pdf.garbled import count_strange, is_garbled
from s3sync_dagster.extraction.pdf.text_layer import is_scan, plain
from s3sync_dagster.model.source import ExtractionConfig
from s3sync_dagster_tests.extraction.raw_pdf import pages_pdf, text_content

ENGLISH = (
    "The committee met on the second day of the month and heard three reports about the harbour, "
    "its buildings and the people who work there. Nobody voted against the new roof."
)
ARABIC = "تعتبر البرمجة من الأدوات القوية التي يمكن أن تعزز الإنتاجية وتساعد في إيجاد حلول" * 3
KOREAN = "미래 국가 정보보안 기술 발전 방향 블록체인 엣지컴퓨팅 웨어러블 인터페이스 차세대" * 3


def shifted(text: str, by: int) -> str:
    """Return text as a font shows it that counts its letters from another one."""
    return "".join(chr(ord(letter) + by) if letter.isalpha() else letter for letter in text)


def garbled(text: str) -> bool:
    return is_garbled(plain(text), strange=count_strange(text))


@pytest.mark.parametrize("text", [ENGLISH, ARABIC, KOREAN, "", "a b c", "12 % 34 %"])
def test_text_of_any_script_is_none_of_it(text: str):
    assert not garbled(text)


def test_private_characters_among_other_scripts_are_bullets():
    assert not garbled("\uf0b7 " + KOREAN.replace("기술", "\uf0b7"))


@pytest.mark.parametrize("by", [-1, -29])
def test_letters_that_a_font_counts_wrongly_are_garbled(by: int):
    assert garbled(shifted(ENGLISH, by))


def test_control_characters_among_words_are_garbled():
    assert garbled(ENGLISH.replace("e", "\x12"))


def test_control_characters_are_left_out_of_the_text():
    assert plain("a\x11b\x81c\td\r\ne") == "abc\td\ne"


def test_page_that_begins_with_blanks_is_no_scan():
    assert not is_scan(" " * 1200 + ENGLISH)
    assert is_scan(" " * 1200 + "7.")


@pytest.mark.parametrize(("odd", "proven"), [(9, False), (10, True)])
@pytest.mark.parametrize("at_end", [True, False])
def test_page_is_garbled_from_more_than_nine_odd_words_of_twenty_on(
    odd: int, proven: bool, at_end: bool
):
    words = ["bcd"] * odd
    words = ["word"] * (20 - odd) + words if at_end else words + ["word"] * (20 - odd)
    assert garbled(" ".join(words)) is proven
    assert not garbled(" ".join(words[1:] if at_end else words[:-1]))  # too few to prove it


def page(text: str) -> bytes:
    words = text.split()
    return text_content(*(" ".join(words[i : i + 8]) for i in range(0, len(words), 8)))


def test_layout_analysis_is_asked_only_about_pages_whose_letters_prove_it(
    monkeypatch: pytest.MonkeyPatch,
):
    asked: list[list[int]] = []

    def look(body: bytes, numbers: Collection[int], *, of: int) -> set[int]:
        asked.append(list(numbers))
        return look_garbled(body, numbers, of=of)

    monkeypatch.setattr(layout, "look_garbled", look)
    by_one, by_five, none = (page(shifted(ENGLISH, by)) for by in (-1, 5, 0))
    body = pages_pdf([none, by_one, by_five, text_content("7.")])
    assert look_garbled(body, range(4), of=4) == {1, 2}
    found = layout.read_with_liteparse(body, name="a.pdf", config=ExtractionConfig())
    assert asked == [[1]]
    assert found.scans == (1, 3)
    assert found.pictures == {3}


def test_nothing_is_asked_about_pages_that_layout_analysis_alone_suspects():
    body = pages_pdf([page(shifted(ENGLISH, 5))])
    assert look_garbled(body, [0], of=1) == {0}
    assert layout.read_with_liteparse(body, name="a.pdf", config=ExtractionConfig()).scans == ()


def test_pages_proven_by_their_letters_alone_are_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(layout, "look_garbled", lambda *_, **__: set[int]())
    body = pages_pdf([page(shifted(ENGLISH, -1))])
    assert layout.read_with_liteparse(body, name="a.pdf", config=ExtractionConfig()).scans == ()
