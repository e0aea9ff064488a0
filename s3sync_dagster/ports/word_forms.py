"""Texts and questions as the word index stores and asks them: names, languages, pieces of words.

SQLite splits at what is no letter and knows English stems. That leaves camelCase, scripts without
blanks, and languages that inflect or compound: there words share pieces where they are not equal.
"""

import re
import unicodedata

PIECE = 4
"""Characters of a piece: of 4 and 5, 4 finds more in German and Russian (docs/chroma.md)."""
MAX_WORDS, MAX_PIECES = 64, 512
"""Of a question that are looked up."""

_EMOJI_MARK = "\ue000"
"""Begins the word that stands for an emoji: for SQLite a letter, which signs are not."""
_WORD = re.compile("[\\w\ue000\u0900-\u0963\u0966-\u0dff\u0f71-\u0f84]+")
"""Of Indian scripts with their vowels, which are no letters: a word of them is its letters in a
row, not each of these wherever it stands."""
_LETTERS = re.compile(r"[^\W\d_]+")
_LONG = re.compile(rf"[^\W\d_]{{{PIECE},}}")
_ASCII_LETTERS = str.maketrans({code: " " for code in range(128) if not chr(code).islower()})
"""Leaves blanks between them: splitting there takes a fifth of a search for words."""
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_HAS_CAMEL = re.compile(r"[A-Z](?:(?<=[a-z0-9][A-Z])|(?=[A-Z][a-z]))")
"""The same, for a look at a whole text: it begins with a letter, which is found fast."""
# Thai, Lao, Burmese and Khmer; Hangul, since its words carry their particles; Chinese,
# Japanese, Yi.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1100-\u11ff\uac00-\ud7af"
    "\u3005-\u3007\u3040-\u31bf\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uf900-\ufaff"
    "\U00020000-\U0003ffff]+"
)
_FORMS = "\u017f\u2e80-\u2fdf\ufb00-\ufdff\ufe70-\ufefc\uff01-\uffef\U0001d400-\U0001d7ff"
"""Of letters. Not superscripts: those of footnotes are no part of a word."""
_POINTS = (
    "\u00ad\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0640\u064b-\u065f\u0670"
    "\u200b-\u200f\u2060\ufeff"
)
_EMOJI = re.compile(
    "[\U0001f1e6-\U0001f1ff]{2}|"
    "[\u231a\u231b\u23e9-\u23fa\u2600-\u27bf\u2b1b\u2b1c\u2b50\u2b55\U0001f000-\U0001faff]"
)
"""A flag is two letters. Arrows, lines and the like are none: tables are full of them."""
_SKIN = re.compile("[\U0001f3fb-\U0001f3ff]")
"""Of hands and faces: who asks for one means those of all colours."""
_GREEKS = "\u0370-\u03ff\u1f00-\u1fff"
_SAME = {
    "ß": "ss",
    "ẞ": "SS",
    "œ": "oe",
    "Œ": "OE",
    "ς": "σ",
    "ё": "е",
    "Ё": "Е",
    "ł": "l",
    "Ł": "L",
    "đ": "d",
    "Đ": "D",
    "ı": "i",
}
_OTHERWISE = re.compile(f"[{_FORMS}{_POINTS}{_GREEKS}{''.join(_SAME)}]")
"""Most texts have none of these: one look, not four."""
_WIDE = re.compile(f"[{_FORMS}]+")
_UNREAD = re.compile(f"[{_POINTS}]+")
_GREEK = re.compile(f"[{_GREEKS}]+")
"""Capitals are written without its accents, which SQLite leaves."""
_ACCENTS = re.compile("[\u0300-\u036f]+")
_LATIN = re.compile("(?<=[a-z])[\u0300-\u036f]+")
_ALIKE = re.compile(f"[{''.join(_SAME)}]")
_ENGLISH = frozenset(
    _WORD.findall(
        """a an and are as at be but by can do does for from has have how i if in into is it its no
        not of on or so such that the their then there these they this to was were what when where
        which who why will with you your"""
    )
)
"""Left out of questions that have other words: +0.02 MRR, and half the time."""
_OTHERS = frozenset(
    _WORD.findall(
        """aus auch auf bei darf das dem den der des ein eine einem einen einer für ich im ist kann
        mit muss nach nicht oder sich sind über und von welche welcher wer werden wie wird wo zu
        zum zur
        au aux avec ce cette combien comment dans du elle est et le les leur ne nous où par pas peut
        pour quand que quel quelle qui quoi sa sont sur un une
        al como cómo cuál cuándo cuántos del donde dónde el es ha hay las lo los más para pero por
        qué quién su sus una
        che chi come della delle di gli il nel nella non per perché più quando una
        ao aos da das dos em foi mais não onde os ou pela pelo quem são uma
        aan bij een en het hoe naar niet ook op te van voor waar wat wie zijn
        att av den det för hur inte och på som till vad vem är
        czy dla gdzie jak jest kto na nie się
        в для за и из или к как кто куда ли на не о от по с сколько у что это"""
    )
)
"""Short words of German, French, Spanish, Italian, Portuguese, Dutch, Swedish, Polish, Russian."""
_TELLS_ENGLISH = _ENGLISH.difference(
    _WORD.findall("a an as at by do for has i in is no on so was will")
)
"""Without those that other languages have too."""
_STOP_WORDS = _ENGLISH | (_OTHERS - {"come", "dos", "den", "per", "te"})
"""Without those that say something in English."""


def searchable(text: str) -> str:
    """Return the text with camelCase names taken apart too, and unspaced scripts in pairs."""
    text = folded(text)
    paired = text if text.isascii() else _UNSPACED.sub(_pairs_and_last, text)
    return _with_inner_words(text, paired)


def _with_inner_words(text: str, paired: str) -> str:
    if _HAS_CAMEL.search(text) is None:
        return paired
    inner = [
        _CAMEL.sub(" ", word)
        for word in _WORD.findall(text)
        if not word.islower() and _CAMEL.search(word) is not None
    ]
    return f"{paired}\n{' '.join(inner)}" if inner else paired


def folded(text: str) -> str:
    """Return the text with letters that differ in their writing alone written in one way.

    Accents are part of their letters (NFC), since SQLite splits before others. Ligatures, full and
    half width and the like are plain letters, and what is not read (soft hyphens, vowel points of
    Arabic and Hebrew) is left out.
    """
    if text.isascii():
        return text
    text = unicodedata.normalize("NFC", text)
    if _EMOJI.search(text) is not None:
        text = _EMOJI.sub(_emoji_word, _SKIN.sub("", text))
    if _OTHERWISE.search(text) is None:
        return text
    plain = unicodedata.normalize("NFC", _UNREAD.sub("", _WIDE.sub(_plain, text)))
    return _ALIKE.sub(_as_alike, _GREEK.sub(_bare, plain))


def long_words_of(text: str) -> str:
    """Return the words of a text that is not English, those that have pieces; else nothing."""
    text = folded(text)
    return _with_pieces([text]) if _is_foreign(text) else ""


def words_of(question: str) -> list[str]:
    """Return the different words of a question, also those behind ``MAX_WORDS``."""
    text = folded(question)
    return _telling(_with_inner_words(text, _UNSPACED.sub(_pairs, text)))


def match_words(question: str) -> list[str]:
    """Return the FTS5 query of each word of a question that is looked up."""
    words = words_of(question)[:MAX_WORDS]
    # One character of them is asked for as what a pair begins with.
    return [
        f"{quoted} *" if len(word) == 1 and _UNSPACED.match(word) else quoted
        for word, quoted in zip(words, _quoted(words), strict=True)
    ]


def asked_by_pieces(question: str) -> tuple[str, float]:
    """Return the words of a question that have pieces; how many words a piece counts.

    Those of each of them count together what a word does. An English question has none: its texts
    have none either, and others would come first by what their words share with its words.
    """
    words: list[str] = []
    counted, left = 0, MAX_PIECES
    for word in _telling(folded(question))[:MAX_WORDS] if not _is_english(question) else ():
        long = _with_pieces([word])
        taken = sum(len(run) - PIECE + 1 for run in long.split())
        if 0 < taken <= left:  # one that is too long by itself hides none behind it
            words.append(long)
            counted, left = counted + 1, left - taken
    runs = " ".join(words)
    pieces = {word[at : at + PIECE] for word in runs.split() for at in range(len(word) - PIECE + 1)}
    return runs, counted / max(1, len(pieces))


def voters(question: str) -> list[str]:
    """Return the FTS5 query of each word of a question that has pieces."""
    words = _telling(folded(question))[:MAX_WORDS]
    return _quoted([word for word in words if _with_pieces([word])])


def is_pair(expression: str) -> bool:
    """Tell whether a query of ``match_words`` asks for two characters of an unspaced script."""
    return len(expression) == len('""') + 2 and _UNSPACED.fullmatch(expression[1:-1]) is not None


def _with_pieces(texts: list[str]) -> str:
    """Return the words that are long enough, with blanks between, accents of Latin letters off."""
    words = _LONG.findall(" ".join(texts).casefold())
    found = " ".join(words)
    if found.isascii():
        return found
    found = " ".join(word for word in words if _UNSPACED.match(word) is None)
    return unicodedata.normalize("NFC", _LATIN.sub("", unicodedata.normalize("NFD", found)))


def _telling(text: str) -> list[str]:
    words = list(dict.fromkeys(word.casefold() for word in _WORD.findall(text)))
    return [word for word in words if word not in _STOP_WORDS] or words


def _quoted(words: list[str]) -> list[str]:
    return [f'"{word}"' for word in words]


def _is_foreign(text: str) -> bool:
    """Tell whether a text has more short words of other languages than of English."""
    text = text.lower()
    if text.isascii():
        words = text.translate(_ASCII_LETTERS).split()
        if _OTHERS.isdisjoint(words):  # most are English: what is counted is half of a look
            return False
        others = sum(map(_OTHERS.__contains__, words))
    else:
        words = _LETTERS.findall(text)
        others = sum(map(_is_other, words))
    return others > sum(map(_TELLS_ENGLISH.__contains__, words))


def _is_english(question: str) -> bool:
    """Tell whether a question has more short words of English than of other languages."""
    words = _LETTERS.findall(question.lower())
    return sum(map(_TELLS_ENGLISH.__contains__, words)) > sum(map(_is_other, words))


def _is_other(word: str) -> bool:
    return word in _OTHERS or not word.isascii()


def _plain(run: re.Match[str]) -> str:
    return unicodedata.normalize("NFKC", run[0])


def _bare(run: re.Match[str]) -> str:
    return _ACCENTS.sub("", unicodedata.normalize("NFD", run[0]))


def _as_alike(letter: re.Match[str]) -> str:
    return _SAME[letter[0]]


def _emoji_word(sign: re.Match[str]) -> str:
    return f" {_EMOJI_MARK}{''.join(str(ord(one)) for one in sign[0])} "


def _pairs(run: re.Match[str]) -> str:
    word = run[0]
    pairs = [word[at : at + 2] for at in range(len(word) - 1)] or [word]
    return f" {' '.join(pairs)} "


def _pairs_and_last(run: re.Match[str]) -> str:
    """Return the pairs, and alone the character that begins none, for who asks for one."""
    return _pairs(run) + (f"{run[0][-1]} " if len(run[0]) > 1 else "")
