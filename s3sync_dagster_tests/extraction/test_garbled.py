"""Which text layers are proven to be no text; letters of other scripts are no proof."""

import pytest

from s3sync_dagster.extraction.pdf.garbled import count_strange, is_garbled
from s3sync_dagster.extraction.pdf.text_layer import is_scan, plain

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
