"""What a question is asked by: how much pieces of words count beside words, and of whose texts."""

import pytest

from s3sync_dagster.core.fusion import words_share
from s3sync_dagster.ports.word_forms import MAX_PIECES, asked_by_pieces
from s3sync_dagster.ports.word_index import FtsWordIndex
from s3sync_dagster_tests.ports.test_word_index import make_collection, names, version, write
from s3sync_dagster_tests.ports.test_word_readers import SALES, collection_of, versions

INVOICES = (
    "Die Rechnung ist mit der nächsten Rechnung zu verrechnen, und Rechnungen sind zu prüfen.",
    "Jede Rechnung wird von der Rechnungsstelle geprüft und ist nicht zu bezahlen, wenn sie fehlt.",
    *(f"Die Lieferung {n} kam mit der Post und ist nicht bezahlt." for n in range(40)),
)


@pytest.fixture
def index(tmp_path):
    made = FtsWordIndex(tmp_path / "docs.db")
    yield made
    made.close()


def fill(index, *texts):
    collection = make_collection()
    write(collection, "a", *texts)
    index.follow(collection, [version("a", len(texts))])


def test_words_without_pieces_add_nothing_to_what_the_pieces_of_others_count(index):
    """Numbers have none: pieces of the one word beside them counted for all of the question."""
    fill(index, "Invoice 20244711 of 26 November", *INVOICES)
    assert names(index, "Rechnung 20244711 vom 2024-11-26 4711000")[0] == "a-0"
    plain, weight = asked_by_pieces("Rechnung")
    assert (plain, weight) == ("rechnung", pytest.approx(1 / 5))
    assert asked_by_pieces("Rechnung 20244711 vom 2024-11-26 err_4711") == (plain, weight)
    assert asked_by_pieces("Rechnung 東京都庁舎") == (plain, weight)


def test_a_word_of_too_many_pieces_lends_its_weight_to_none_and_hides_none():
    long = "x" * (MAX_PIECES + 10)
    assert asked_by_pieces(f"Rechnung {long} Lieferung") == asked_by_pieces("Rechnung Lieferung")
    many = " ".join(f"lieferschein{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(64))
    found, weight = asked_by_pieces(many)
    kept = found.split()
    pieces = {word[at : at + 4] for word in kept for at in range(len(word) - 3)}
    assert 0 < len(kept) < 64
    assert weight == len(kept) / len(pieces)


def test_an_english_question_is_not_asked_by_pieces_of_texts_of_other_languages(index):
    """They share pieces with its words and have scores for them; English texts have none."""
    german = [
        "Die Immunologie und die immunologischen Studien der Immunologen.",
        "Das Studium der Immunität und die Studenten nicht.",
    ]
    fill(index, "What the immune system is, and how doctors study it.", *german)
    assert names(index, "what do people study about immunology in the body")[0] == "a-0"
    assert asked_by_pieces("what is the immunology") == ("", 0.0)
    # Without a word that tells, or with those of another language, it may be any.
    assert asked_by_pieces("immunology")[0] == "immunology"
    assert asked_by_pieces("was in der Immunologie")[0] == "immunologie"


@pytest.mark.parametrize("question", ["was war an so viel", "in Berlin a Roma", "do no has as"])
def test_words_that_other_languages_have_too_do_not_tell_english(question):
    assert asked_by_pieces(f"{question} Lieferung")[0].endswith("lieferung")


def test_a_text_that_has_all_of_a_chinese_question_is_near_the_ceiling(index):
    """Half of the pairs of characters stand between words: no text has these of a question."""
    others = [f"第{n}号文件说明仓库中货物的数量。" for n in range(60)]
    fill(index, "公共果园的苹果对所有居民开放采摘，每人每天最多十公斤。", *others)
    question = "谁可以采摘公共果园的苹果"
    found = index.search(question, limit=5)
    assert found[0][0] == "a-0"
    assert words_share(found, index.ceiling(question)) > 0.7


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("Ship it 🚀🚀 today", "🚀"), ("done ✅", "what is ✅"), ("by 👩\u200d💻", "👩"),
        ("flag 🇩🇪", "🇩🇪"), ("yes 👍🏽", "👍"), ("yes 👍", "👍🏿"),
        ("I ❤\ufe0f it", "❤"), ("fünf ⭐⭐", "⭐"),
    ],
)  # fmt: skip
def test_an_emoji_is_a_word(index, text, question):
    fill(index, "Nothing 🙂 of that kind 🇫🇷", text, "another ➜ page ← of │ lines ☂")
    assert names(index, question) == ["a-1"]
    assert index.ceiling(question) > 0
    assert names(index, "→ │ ©") == []


GERMAN = (
    "Die Immunologie und die immunologischen Studien der Immunologen in der Universität.",
    "Das Studium der Immunität, das Immunsystem und die Studenten der Immunologie nicht.",
    *(f"Der Hafen, das Krankenhaus und die Studie Nummer {n} der Stadt." for n in range(20)),
)
ENGLISH = (
    "The immune system: a study of immunology that is on the long list of what they teach there.",
    *(
        f"This is of the study number {n}, and that of a hospital in the harbour."
        for n in range(20)
    ),
)


def test_words_alone_are_of_the_language_of_the_texts_that_have_them(index):
    """Most questions have no short word that tells. Those that no text has speak for pieces."""
    fill(index, *ENGLISH, *GERMAN)
    found = names(index, "immunology study")
    assert found[0] == "a-0"
    assert not {f"a-{len(ENGLISH)}", f"a-{len(ENGLISH) + 1}"} & set(found)
    assert names(index, "Immunologen")[0] == f"a-{len(ENGLISH)}"
    assert f"a-{len(ENGLISH) + 1}" in names(index, "Immunologin")
    assert f"a-{len(ENGLISH) + 1}" in names(index, "Immunologin study")


def test_texts_that_a_reader_may_not_see_have_no_vote(tmp_path):
    asked = []
    for kept in ([], [(f"e{n}", text, "hr") for n, text in enumerate(ENGLISH * 3)]):
        texts = [
            (f"g{n}", f"{text} Study, hospital, harbour.", "sales") for n, text in enumerate(GERMAN)
        ]
        index = FtsWordIndex(tmp_path / f"{len(kept)}.db")
        index.follow(collection_of([*texts, *kept]), versions([*texts, *kept]))
        asked.append(index.seen_by(SALES).search("Immunologin study hospital harbour", limit=9))
        index.close()
    assert asked[0] == asked[1]
    assert asked[0][0][0] in ("g0-0", "g1-0")
