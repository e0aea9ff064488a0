"""Text in the encodings that buckets really hold."""

import contextlib
import random
from pathlib import Path

import pytest

from s3sync_dagster.extraction.decoding import decode
from s3sync_dagster.model.errors import UnsupportedFile

SENTENCES = {
    "french": "Les élèves étaient très âgés, et l’hôtel coûtait 30 €. Ça va où ?\n",
    "german": "Größe über Äpfel, Straße und Öl „zitiert“.\n",
    "polish": "Zażółć gęślą jaźń, łódź pójdzie śmiało w świat.\n",
    "czech": "Příliš žluťoučký kůň úpěl ďábelské ódy.\n",
    "hungarian": "Árvíztűrő tükörfúrógép, ahol a két út elválik.\n",
    "turkish": "Pijamalı hasta yağız şoföre çabucak güvendi.\n",
    "lithuanian": "Įlinkdama fechtuotojo špaga sublykčiojusi pragręžė apvalų arbūzą.\n",
    "russian": "Съешь же ещё этих мягких французских булок, да выпей чаю.\n",
    "greek": "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία.\n",
    "hebrew": "דג סקרן שט בים מאוכזב ולפתע מצא לו חברה.\n",
    "japanese": "日本語の文章です。これは試験用のテキストで、文字コードを調べます。\n",
    "chinese": "这是一个测试文件,用于检测字符编码。中文内容应当正确。\n",
    "korean": "이것은 한국어 시험 문장입니다. 문자 인코딩을 확인합니다.\n",
    "english": "He said “it’s fine” – for 20 € — naïve café.\n",
}


@pytest.mark.parametrize("language", SENTENCES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_proven_encodings_are_not_guesses(language: str, encoding: str):
    text = SENTENCES[language]
    decoded = decode(text.encode(encoding))
    assert decoded.text == text
    assert not decoded.guessed


@pytest.mark.parametrize("repeat", [1, 3, 3000])
@pytest.mark.parametrize(
    ("language", "encoding"),
    [
        ("french", "cp1252"),
        ("german", "cp1252"),
        ("english", "cp1252"),
        ("polish", "cp1250"),
        ("polish", "iso8859-2"),
        ("hungarian", "cp1250"),
        ("turkish", "cp1254"),
        ("lithuanian", "cp1257"),
        ("czech", "cp1250"),
        ("russian", "cp1251"),
        ("russian", "koi8-r"),
        ("greek", "cp1253"),
        ("japanese", "shift_jis"),
        ("japanese", "euc_jp"),
        ("chinese", "gb18030"),
        ("chinese", "big5"),
        ("korean", "euc_kr"),
        ("english", "utf-16-le"),
        ("english", "utf-16-be"),
        ("japanese", "utf-16-le"),
        ("japanese", "iso2022_jp"),
        ("korean", "iso2022_kr"),
        ("russian", "utf-32-le"),
        ("russian", "utf-16-be"),
    ],
)
def test_guessed_encodings_are_right_and_recorded(language: str, encoding: str, repeat: int):
    content = (SENTENCES[language] * repeat).encode(encoding, "ignore")
    decoded = decode(content)
    assert decoded.text == content.decode(encoding)
    assert decoded.guessed


def test_latin_text_after_a_megabyte_of_ascii_is_guessed_by_its_own_bytes():
    text = "plain words\n" * 100_000 + SENTENCES["french"]
    decoded = decode(text.encode("cp1252"))
    assert decoded.text == text
    assert decoded.encoding == "cp1252"


def test_chinese_without_any_newline_is_not_cut_inside_a_character():
    text = SENTENCES["chinese"].strip() * 3000
    assert decode(text.encode("gb18030")).text == text


def test_newlines_stay_as_they_are():
    assert decode(b"a\r\nb\rc\n").text == "a\r\nb\rc\n"


def test_logs_with_colours_are_text():
    assert decode(b"\x1b[31mERROR\x1b[0m disk full\n" * 100).text.startswith("\x1b[31m")


@pytest.mark.parametrize(
    "content",
    [
        random.Random(1).randbytes(5000),
        b"\x7fELF\x02\x01\x01" + bytes(2000),
        b"abc\x00def\x00\x00",
        bytes(range(256)) * 20,
    ],
)
def test_binary_is_refused(content: bytes):
    with pytest.raises(UnsupportedFile) as caught:
        decode(content)
    assert caught.value.reason == "binary"


def test_a_program_on_this_machine_is_binary():
    with pytest.raises(UnsupportedFile):
        decode(Path("/bin/sh").read_bytes())


def test_every_byte_string_gives_text_or_a_refusal():
    chance = random.Random(7)
    texts = 0
    for _ in range(300):
        content = bytes(chance.choices(range(32, 256), k=chance.randrange(1, 200)))
        with contextlib.suppress(UnsupportedFile):
            assert decode(content).text
            texts += 1
    assert texts > 100


@pytest.mark.parametrize(
    ("head", "encoding"),
    [
        ('<?xml version="1.0" encoding="{0}"?>\n', "iso8859-5"),
        ('<html><head><meta charset="{0}">', "koi8-r"),
        ("#!/usr/bin/env python\n# -*- coding: {0} -*-\n", "cp866"),
    ],
)
def test_what_a_file_declares_goes_before_a_guess(head: str, encoding: str):
    text = head.format(encoding) + "Привет"
    decoded = decode(text.encode(encoding))
    assert decoded.text == text
    assert (decoded.encoding, decoded.guessed) == (encoding, False)


def test_wrong_declaration_is_not_believed():
    text = '<?xml version="1.0" encoding="ascii"?><a>' + SENTENCES["french"] + "</a>"
    assert decode(text.encode("cp1252")).text == text


@pytest.mark.parametrize(
    "text",
    ["name;preis\nä;1,5\nö;2,5\n", "élève;note\nRené;12\nZoé;15\n", "Käse;Brötchen\nä;ö\n"],
)
def test_letters_before_separators_are_no_asian_characters(text: str):
    assert decode(text.encode("cp1252")).text == text


@pytest.mark.parametrize("encoding", ["cp037", "cp500"])
@pytest.mark.parametrize("end", ["\x85", "\r\n", " " * 20])
def test_text_of_a_mainframe_is_read(encoding: str, end: str):
    lines = ["The harvest of 1973 was good.", "Rye: 12,000 bushels."] * 40
    found = decode(end.join(lines).encode(encoding))
    assert found.text == end.replace("\x85", "\n").join(lines)
    assert (found.encoding, found.guessed) == ("cp037", True)


def test_records_of_a_mainframe_with_packed_numbers_are_no_text():
    record = "SMITH     ".encode("cp037") + b"\x00\x12\x34\x5c\x01\x02\x03\x04"
    with pytest.raises(UnsupportedFile):
        decode(record * 100)
