r"""Globs over object keys, matched in time linear in the key whatever the pattern.

====== ===========================================================
``*``  any characters but ``/``
``**`` any characters, ``/`` too; ``**/`` also matches nothing
``?``  one character but ``/``
``[]`` one of a set: ``[abc]``, ``[a-z]``, ``[!a]``; never ``/``
====== ===========================================================

Case counts. To match a special character itself, put it in brackets: ``[*]``, ``[[]``.

Several patterns become one nondeterministic automaton. Its states are the bits of an integer, and
a step is a few operations on whole integers: what a character costs does not depend on how many
patterns are alive, and all the patterns of a source are walked at once. Steps are remembered, so
that usual keys cost one look-up a character.
"""

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import lru_cache

from s3sync_dagster.model.errors import InvalidSetting

MAX_GLOB_LENGTH = 1024
_BRACES = re.compile(r"(?<!\[)\{[^{}]*,[^{}]*\}")
_REMEMBERED_BYTES = 2_000_000
"""For steps of one automaton; a step is two integers with a bit for each position."""
_STEP_BYTES = 200


@dataclass(slots=True, eq=False)
class Glob:
    """One compiled pattern, or several of which one has to match.

    The bit of a position is set in the state when all that stands before it was matched.
    """

    patterns: tuple[str, ...]
    _literals: dict[str, int] = field(default_factory=dict[str, int])
    """Character -> positions that only it may leave."""
    _anything: int = 0
    """Positions that every character may leave, ..."""
    _not_slash: int = 0
    """... and those that every one but ``/`` may."""
    _borders: list[str] = field(default_factory=list[str])
    """First characters of the ranges within which all sets agree; sets never hold ``/``."""
    _in_range: list[int] = field(default_factory=lambda: [0])
    """For the characters before the first border, then for those from each border on: the
    positions whose sets have them."""
    _loops: int = 0
    """Positions that stay where they are when they consume, and may be passed for nothing."""
    _folders: int = 0
    """``**/``: positions passed for nothing, to the loop that follows or to what stands behind."""
    _start: int = 0
    _final: int = 0
    _steps: dict[tuple[int, str], int] = field(default_factory=dict[tuple[int, str], int])
    _most_steps: int = 0

    def matches(self, path: str) -> bool:
        """Tell whether the whole path matches one of the patterns."""
        steps = self._steps
        state = self._start
        for character in path:
            reached = steps.get((state, character))
            if reached is None:
                reached = self._step(state, character)
            state = reached
            if not state:
                return False
        return bool(state & self._final)

    def _step(self, state: int, character: str) -> int:
        leaving = self._anything | self._literals.get(character, 0)
        if character != "/":
            leaving |= self._not_slash | self._in_range[bisect_right(self._borders, character)]
        leaving &= state
        looping = leaving & self._loops
        reached = self._closure(looping | (leaving ^ looping) << 1)
        if len(self._steps) >= self._most_steps:
            self._steps.clear()
        self._steps[state, character] = reached
        return reached

    def _closure(self, state: int) -> int:
        """Add what is reached for nothing: behind ``**/`` may stand a star, never the reverse."""
        folders = state & self._folders
        state |= folders << 1 | folders << 3
        return state | (state & self._loops) << 1

    def __post_init__(self) -> None:
        position = start = 0
        sets: list[tuple[int, list[tuple[int, int]]]] = []
        for pattern in self.patterns:
            start |= 1 << position
            position = self._add(pattern, position, sets)
            self._final |= 1 << position
            position += 1  # nothing leaves the last one: patterns do not run into each other
        self._start = self._closure(start)
        self._most_steps = _REMEMBERED_BYTES // (_STEP_BYTES + position // 4)
        self._tell_ranges_apart(sets)

    def _add(
        self, pattern: str, position: int, sets: list[tuple[int, list[tuple[int, int]]]]
    ) -> int:
        """Add the positions of a pattern from ``position`` on; return the one behind them."""
        at = 0
        while at < len(pattern):
            bit = 1 << position
            character = pattern[at]
            if character == "*":
                stars = len(pattern[at:]) - len(pattern[at:].lstrip("*"))
                begins_folder = at == 0 or pattern[at - 1] == "/"
                at += stars
                if stars > 1 and begins_folder and pattern[at : at + 1] == "/":
                    while found := _MORE_FOLDERS.match(pattern, at):
                        at = found.end() - 1  # ``**/**/`` means ``**/``
                    self._folders |= bit
                    self._anything |= bit << 1
                    self._loops |= bit << 1
                    self._literals["/"] = self._literals.get("/", 0) | bit << 2
                    position += 3
                    at += 1
                    continue
                self._loops |= bit
                if stars > 1:
                    self._anything |= bit
                else:
                    self._not_slash |= bit
            elif character == "?":
                self._not_slash |= bit
                at += 1
            elif character == "[":
                ranges, at = _read_set(pattern, at)
                sets.append((bit, ranges))
            else:
                self._literals[character] = self._literals.get(character, 0) | bit
                at += 1
            position += 1
        return position

    def _tell_ranges_apart(self, sets: list[tuple[int, list[tuple[int, int]]]]) -> None:
        changes: dict[int, int] = {}
        for bit, ranges in sets:
            for first, behind in ranges:
                changes[first] = changes.get(first, 0) ^ bit
                changes[behind] = changes.get(behind, 0) ^ bit
        for border in sorted(changes):
            if border <= _LAST_CHARACTER:
                self._borders.append(chr(border))
                self._in_range.append(self._in_range[-1] ^ changes[border])


@lru_cache(maxsize=64)
def compile_globs(patterns: tuple[str, ...]) -> Glob:
    """Return one matcher for all patterns, which are valid. None of no pattern matches."""
    return Glob(patterns)


@lru_cache(maxsize=256)
def compile_glob(pattern: str) -> Glob:
    """Return the compiled form, made once per pattern. Raises ``InvalidSetting``."""
    if not pattern:
        raise InvalidSetting("a glob is empty; use ** for all keys")
    if len(pattern) > MAX_GLOB_LENGTH:
        raise InvalidSetting(
            f"a glob has {len(pattern)} characters; at most {MAX_GLOB_LENGTH} are allowed"
        )
    if _BRACES.search(pattern):
        raise InvalidSetting(
            f"glob {pattern!r} has alternatives in braces, which are not known; "
            "give one glob for each, or [{] for the character itself"
        )
    return Glob((pattern,))


_MORE_FOLDERS = re.compile(r"/\*{2,}/")
_LAST_CHARACTER = 0x10FFFF


def _read_set(pattern: str, at: int) -> tuple[list[tuple[int, int]], int]:
    """Return the characters of the set at ``at`` as ranges (first, behind), and what follows."""
    negated = pattern[at + 1 : at + 2] == "!"
    begins = at + 2 if negated else at + 1
    ends = pattern.find("]", begins + 1)  # a ] at once after the [ is a member
    if ends < 0:
        raise InvalidSetting(f"glob {pattern!r} opens a [ that it does not close; use [[]")
    ranges = _members(pattern[begins:ends], pattern=pattern)
    if not negated:
        return ranges, ends + 1
    edges = [0, *(edge for pair in ranges for edge in pair), _LAST_CHARACTER + 1]
    return list(zip(edges[::2], edges[1::2], strict=True)), ends + 1


def _members(text: str, *, pattern: str) -> list[tuple[int, int]]:
    """Return the members as ranges (first, behind) that neither overlap nor touch."""
    members: list[tuple[int, int]] = []
    at = 0
    while at < len(text):
        low = high = text[at]
        if text[at + 1 : at + 2] == "-" and at + 2 < len(text):
            high = text[at + 2]
            at += 2
        if low > high:
            raise InvalidSetting(f"glob {pattern!r} has the empty range {low}-{high}")
        members.append((ord(low), ord(high) + 1))
        at += 1
    merged: list[tuple[int, int]] = []
    for first, behind in sorted(members):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(behind, merged[-1][1]))
        else:
            merged.append((first, behind))
    return merged
