"""Cuts in code that no grammar reads: blank lines and indentation tell what belongs together."""

import re

from s3sync_dagster.chunking.outline import Outline

_STEP_COST = 0.6
_MAX_COST = 3.0
_AFTER_BLANK = 0.0
_NO_BLANK = 1.0
_CLOSER_COST = 3.0
_COMMENT_COST = 3.0
_LINE = re.compile(rb"([ \t]*)([^\r\n]*)(?:\r\n?|\n|$)")
_CLOSERS = b"})]"
_COMMENTS = (b"#", b"//", b"--", b";", b"%", b"*", b"/*", b"@", b'"""')


def outline_indented(data: bytes) -> Outline:
    """Return cuts before lines: cheap before unindented ones that follow a blank line."""
    outline = Outline(inner_cost=_MAX_COST)
    blank = comment = False
    position = 0
    for match in _LINE.finditer(data):
        content = match.group(2)
        if not content:
            blank = True
            continue
        position = match.start()
        if position:
            columns = len(match.group(1).expandtabs(4))
            cost = min(columns / 4 * _STEP_COST, _MAX_COST)
            cost += _AFTER_BLANK if blank else _NO_BLANK
            if content[0] in _CLOSERS:
                cost += _CLOSER_COST
            if comment and not blank:
                cost += _COMMENT_COST
            outline.allow(position, cost)
        comment = content.startswith(_COMMENTS)
        blank = False
    return outline
