"""What docling's reader stumbles over in the formulas of Office files, mended before it sees it.

Properties that may be missing (ECMA-376, part 1, 22.1) end its reading of the whole file; it reads
the last one alone of what stands side by side in brackets, and nothing in a frame, before a
base, or in a tracked change.
"""

from typing import Any

from s3sync_dagster.extraction.office_shapes import replace

MATH = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_NEED_PROPERTIES = ("acc", "bar", "d", "groupChr")
_VALUE = f"{MATH}val"
_OFF = ("0", "false", "off")


def mend_formulas(root: Any) -> None:
    """Change the formulas in a tree so that docling reads them."""
    for name in _NEED_PROPERTIES:
        for element in root.iter(f"{MATH}{name}"):
            if element.find(f"{MATH}{name}Pr") is None:
                element.insert(0, element.makeelement(f"{MATH}{name}Pr"))
    for brackets in root.iter(f"{MATH}d"):
        _join(brackets)
    for element in [*root.iter(f"{MATH}borderBox", f"{MATH}phant")]:
        shown = element.find(f"{MATH}phantPr/{MATH}show")
        if shown is None or shown.get(_VALUE, "1") not in _OFF:
            base = element.find(f"{MATH}e")
            replace(element, [] if base is None else [*base])
    for element in [*root.iter(f"{MATH}sPre")]:
        _put_before_base(element)
    for change in [*root.iter(f"{_WORD}ins")]:
        if change.getparent() is not None and change.getparent().tag.startswith(MATH):
            replace(change, [*change])
    for run in root.iter(f"{MATH}r"):
        texts: list[Any] = run.findall(f"{MATH}t")
        for text in texts[1:]:
            texts[0].text = (texts[0].text or "") + (text.text or "")
            run.remove(text)


def _join(brackets: Any) -> None:
    """Make one of what stands side by side in brackets, with the sign between (``P(A|B)``)."""
    parts: list[Any] = brackets.findall(f"{MATH}e")
    sign = brackets.find(f"{MATH}dPr/{MATH}sepChr")
    between = "|" if sign is None else sign.get(_VALUE, "")
    for element in parts[1:]:
        run = brackets.makeelement(f"{MATH}r")
        text = brackets.makeelement(f"{MATH}t")
        text.text = between
        run.append(text)
        parts[0].extend([run, *element])
        brackets.remove(element)


def _put_before_base(scripts: Any) -> None:
    """Make marks below and above of nothing of those before a base, which stands behind them."""
    base = scripts.find(f"{MATH}e")
    scripts.tag = f"{MATH}sSubSup"
    if base is None:
        return
    for child in reversed([*base]):
        scripts.addnext(child)
