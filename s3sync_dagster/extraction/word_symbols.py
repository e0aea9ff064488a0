"""Characters of fonts of signs as the Unicode characters that they show.

Word writes them by their place in the font, which says nothing without it: a dose of 5 μg was one
of 5 g. Signs of other fonts than these have no name.
"""

import re

_SYMBOLS = (
    "!∀#∃%&∋()∗+,−./0123456789:;<=>?≅ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ[∴]⊥_‾αβχδεφγηιϕκλμνοπθρστυϖωξψζ{|}∼",
    "€ϒ′≤⁄∞ƒ♣♦♥♠↔←↑→↓°±″≥×∝∂•÷≠≡≈…|⎯↵ℵℑℜ℘⊗⊕∅∩∪⊃⊇⊄⊂⊆∈∉∠∇®©™∏√⋅¬∧∨⇔⇐⇑⇒⇓◊〈®©™∑⎛⎜⎝⎡⎢⎣⎧⎨⎩⎪",
    "〉∫⌠⎮⌡⎞⎟⎠⎤⎥⎦⎫⎬⎭",
)
"""From 0x21, 0xA0 and 0xF1 of Symbol, in the order of Adobe's encoding of that name."""
_WINGDINGS = (
    "22✂ 28☎ 2A✉ 36⌛ 3F✍ 45☜ 46☞ 4A☺ 4B😐 4C☹ 52☼ 54❄ 6C● 6D❍ 6E■ 6F□ 70□ 71❑ 72❒ 73⬧ 74⧫ 75◆ 76❖ "
    "77⬥ 78☒ 7B❀ 7C✿ 80⓪ 81① 82② 83③ 84④ 85⑤ 86⑥ 87⑦ 88⑧ 89⑨ 8A⑩ 8B⓿ 8C❶ 8D❷ 8E❸ 8F❹ 90❺ 91❻ 92❼ "
    "93❽ 94❾ 95❿ 9E· 9F• A1○ A7▪ A8☐ AB★ D8➢ DC➲ DF← E0→ E1↑ E2↓ E8➔ EF⇦ F0⇨ F1⇧ F2⇩ F3⬄ FB✗ "
    "FC✓ FD☒ FE☑"
)
_WINGDINGS_2 = "4F✗ 50✓ 51☒ 52☑ 53☒ 54☒ A3☐"
_WINGDINGS_3 = "66← 67→ 68↑ 69↓ 75◀ 7D▶"


def _places(signs: str) -> dict[int, str]:
    return {int(sign[:2], 16): sign[2:] for sign in signs.split()}


_FONTS = {
    "symbol": {
        first + number: sign
        for first, signs in zip((0x21, 0xA0, 0xF1), _SYMBOLS, strict=True)
        for number, sign in enumerate(signs)
    },
    "wingdings": _places(_WINGDINGS),
    "wingdings 2": _places(_WINGDINGS_2),
    "wingdings 3": _places(_WINGDINGS_3),
}
_FIRST, _LAST = 0xF000, 0xF0FF
"""Where such characters stand in texts: Unicode's private use area."""
PRIVATE = re.compile(f"[{chr(_FIRST)}-{chr(_LAST)}]")


def sign_of(font: str, code: int) -> str:
    """Return the character that a font shows at a place, empty for one that is not known.

    A place outside of the fonts' area is a character of Unicode.
    """
    if _FIRST <= code <= _LAST or code <= _LAST - _FIRST:
        return _FONTS.get(font.strip().casefold(), {}).get(code & 0xFF, "")
    return chr(code) if code <= 0x10FFFF and not 0xD800 <= code < 0xE000 else ""


def with_signs(text: str, font: str) -> str:
    """Return a text in a font with its signs; characters that are not known stay."""
    return PRIVATE.sub(lambda found: sign_of(font, ord(found[0])) or found[0], text)
