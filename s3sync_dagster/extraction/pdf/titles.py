"""What words may be a heading's, whatever letters they are set in."""

import re

MAX_WORDS = 12
_MAX_HEADING_WORDS = 20
"""Of what layout analysis calls a heading; more are an abstract in bold letters."""
_TITLE = re.compile(
    r"(?:[\d(]*[.\d]*\)?|[IVX]{1,5}\.|[A-Z]\.(?:\d+\.?)*)\s*[^\W\d_a-z](?:[^\W_]{2,}|[^\W_]?-[^\W_]{2,})"
    r"|(?:\d+(?:\.\d+)+\.?|\d+\.|[IVX]{1,5}\.|[A-Z]\.(?:\d+\.?)*)\s+[^\W\d_a-z]"
    r"|(?:\d{1,2}\s+)?[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]{2}"
)
NUMBERED = re.compile(r"(?:((?:\d+|[A-Z]\.\d+)(?:\.\d+)*)|[IVX]{1,5}|[A-Z])[.)]?\s+(?=[^\W\d_a-z])")
_CAPTION = re.compile(
    r"\([a-z]\)\s|(?:fig(?:ure|\.)?|table|tab\.|abb(?:ildung|\.)|tabelle|tableau|figura|tabla|tabella|listing"
    r"|algorithm|specification|scheme|exhibit|图|圖|表|그림)\s*[\dIVX]+[-.\d]*(?:[.:\s|]|$)",
    re.IGNORECASE,
)
COUNTED = re.compile(r"(?:\d{1,2}|[A-Z])(?:\.\d{1,2})+\.?\s+(?=[^\W\d_])")
"""The number of a section in a section, which no list has."""
SENTENCE_END = re.compile(r"[.,;:!?。，；：！？、]$")
_FORMULA = re.compile(r"(?:^|\s)[=¼]\s|\\in\b|[∑∫√∈]")
"""``¼`` is the sign of equality in fonts that name theirs after letters."""
_WIDE_ENDS = ("。", "；", "，")
_LETTER_RUNS = re.compile(r"[^\W\d_]+")
_LETTERS = re.compile(r"[^\W\d_]")
_WIDE = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


def is_title(text: str) -> bool:
    """Return whether a text begins as a heading does: a number perhaps, and a capital."""
    return _TITLE.match(text) is not None


def is_no_heading(text: str) -> bool:
    """Return whether a text is too long for a heading, a caption, a formula, or of few letters."""
    if count_words(text) > _MAX_HEADING_WORDS:
        return True  # most texts, and it costs least
    runs = _LETTER_RUNS.findall(text)
    longest = max(map(len, runs), default=0)
    if longest < 3 and not (longest and _WIDE.search(text)):
        return True  # labels of a figure, and no letters at all
    plain = text.strip("* ")
    if plain.endswith(_WIDE_ENDS) or _CAPTION.match(plain):
        return True
    return _FORMULA.search(plain) is not None


def count_words(text: str) -> int:
    """Return the number of words; of scripts without blanks, two letters count as one."""
    wide = 0 if text.isascii() else len(_WIDE.findall(text))
    return len(text.split()) + wide // 2


def is_capital(text: str) -> bool:
    """Return whether all letters of a text are capitals, and there are more than a few."""
    letters = _LETTERS.findall(text)
    return len(letters) > 3 and all(letter.isupper() for letter in letters)


def level_of(text: str) -> int:
    """Return the depth of a numbered heading, 3 of others of the body's size."""
    number = NUMBERED.match(text)
    return min(6, number[1].count(".") + 1) if number and number[1] else 3


def without_start(text: str, start: str) -> str | None:
    """Return text without the letters with which it begins, None if it does not.

    Blanks and emphasis do not count.
    """
    place = 0
    for letter in "".join(start.replace("*", "").split()):
        while place < len(text) and (text[place].isspace() or text[place] in "*\\"):
            place += 1
        if place == len(text) or text[place] != letter:
            return None
        place += 1
    rest = text[place:]
    return (rest.replace("**", "", 1) if rest.count("**") % 2 else rest).strip()


def around(text: str, line: str) -> tuple[str, str] | None:
    """Return what stands before and after a line in a text, None where it is not in it once.

    Emphasis around it goes with it, and tells it from the same words in a sentence.
    """
    words = r"[\s*]+".join(re.escape(word) for word in line.split())
    for pattern in (rf"\s*\*+{words}\*+\s*", rf"[\s*]*(?<!\w){words}(?!\w)[\s*]*"):
        found = list(re.finditer(pattern, text))
        if len(found) == 1:
            return text[: found[0].start()], text[found[0].end() :]
    return None
