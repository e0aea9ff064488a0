"""Which 8-bit code page a text of Latin letters is in: by the alphabets of its possible languages.

Detectors confuse these pages with each other, since most bytes are letters in all of them. A
reading is believed when one language has all of its letters.
"""

import unicodedata

CANDIDATES = ("cp1252", "cp1250", "iso8859-2", "cp1254", "cp1257")
"""In order of frequency: an earlier one wins where a later one is not clearly better."""
_CLEARLY = 0.02
_LAST_LATIN = "\u024f"
_ALPHABETS = tuple(
    frozenset(letters)
    for letters in (
        "àâæçéèêëîïôœùûüÿ",  # French
        "äöüßé",  # German
        "áéíñóúü",  # Spanish
        "áâãàçéêíóôõúü",  # Portuguese
        "àèéìíîòóù",  # Italian
        "àçèéíïòóúü",  # Catalan
        "åäöé",  # Swedish, Finnish
        "æøåéòô",  # Danish, Norwegian
        "áðéíóúýþæö",  # Icelandic
        "áéèêëíïóöúü",  # Dutch
        "áčďéěíňóřšťúůýž",  # Czech
        "áäčďéíĺľňóôŕšťúýž",  # Slovak
        "ąćęłńóśźż",  # Polish
        "áéíóöőúüű",  # Hungarian
        "čćđšž",  # Croatian, Slovene
        "ăâîşţșț",  # Romanian
        "çğıöşüâîû",  # Turkish
        "ąčęėįšųūž",  # Lithuanian
        "āčēģīķļņšūž",  # Latvian
        "äõöüšž",  # Estonian
    )
)


def best_code_page(sample: bytes, found: str | None) -> str:
    """Return the most plausible of the usual code pages and the one that a detector found."""
    names = [*CANDIDATES, found] if found else list(CANDIDATES)
    best, best_score = "cp1252", -1.0
    for name in dict.fromkeys(names):
        score = _score(sample, name)
        if score > best_score + _CLEARLY:
            best, best_score = name, score
    return best


def foreign_share(sample: bytes, encoding: str) -> float:
    """Return the share of letters that are not Latin ones."""
    letters = [c for c in sample.decode(encoding, "replace") if c.isalpha()]
    return sum(c > _LAST_LATIN for c in letters) / max(1, len(letters))


def _score(sample: bytes, encoding: str) -> float:
    """Return the share of letters that the best fitting language has, 1.0 where there are none.

    A symbol inside a word, and a capital after a small letter, count as letters of no language.
    """
    text = sample.decode(encoding, "replace")
    letters: list[str] = []
    for i, character in enumerate(text):
        if character.isascii():
            continue
        if _is_odd(text, i):
            letters.append("")
        elif character.isalpha():
            letters.append(character.lower())
    if not letters:
        return 1.0
    return max(sum(c in alphabet for c in letters) for alphabet in _ALPHABETS) / len(letters)


def _is_odd(text: str, i: int) -> bool:
    character = text[i]
    before = text[i - 1] if i else " "
    after = text[i + 1] if i + 1 < len(text) else " "
    if character.isalpha():
        return character.isupper() and before.islower()
    if character in "¿¡\ufffd" or "\x7f" <= character <= "\x9f":
        return before.isalpha()
    inside = before.isalpha() and after.isalpha()
    return inside and unicodedata.category(character)[0] in "SNC" and character != "\u00ad"
