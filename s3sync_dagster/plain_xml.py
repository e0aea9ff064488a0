"""What a parser of XML would make many times as large as it is, looked for before it is parsed."""

import re

_DECLARED = re.compile(rb"<!(?!--|\[CDATA\[)")
"""Begins what no answer of a service has, but web pages: a declaration, such as of attributes that
each element has."""
MARKS = (b"<", b'"', b"'")
"""Of tags and quotes: each takes far more memory than it has bytes."""


def declares(content: bytes) -> bool:
    """Return whether an answer declares anything, or may: UTF-16, with its NULs, hides that."""
    return b"\0" in content or _DECLARED.search(content) is not None


def has_more(content: bytes, most: int, marks: tuple[bytes, ...] = MARKS) -> bool:
    """Return whether any of these marks stands in an answer more than ``most`` times."""
    return any(content.count(one) > most for one in marks)
