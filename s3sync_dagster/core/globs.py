r"""Globs over object keys, matched in time linear in the key whatever the pattern.

====== ===========================================================
``*``  any characters but ``/``
``**`` any characters, ``/`` too; ``**/`` also matches nothing
``?``  one character but ``/``
``[]`` one of a set: ``[abc]``, ``[a-z]``, ``[!a]``; never ``/``
====== ===========================================================

Case counts. To match a special character itself, put it in brackets: ``[*]``, ``[[]``.

A pattern becomes a nondeterministic automaton whose states are the bits of an integer; the
deterministic one is built lazily, a transition when it is first met. So a key costs one look-up
a character, and no pattern can make it cost more than one step of the automaton.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from s3sync_dagster.model.errors import InvalidSetting

MAX_GLOB_LENGTH = 1024
_BRACES = re.compile(r"(?<!\[)\{[^{}]*,[^{}]*\}")
_MAX_TRANSITIONS = 20_000

_Accepts = Callable[[str], bool]


@dataclass(slots=True, eq=False)
class Glob:
    """A compiled pattern."""

    pattern: str
    _accepts: list[_Accepts] = field(default_factory=list[_Accepts])
    """For each position: may it be left by consuming this character?"""
    _loops: int = 0
    """Positions that stay where they are when they consume."""
    _free: dict[int, int] = field(default_factory=dict[int, int])
    """Position -> positions reached from it without consuming."""
    _start: int = 0
    _final: int = 0
    _transitions: dict[tuple[int, str], int] = field(default_factory=dict[tuple[int, str], int])

    def matches(self, path: str) -> bool:
        """Tell whether the whole path matches."""
        transitions = self._transitions
        state = self._start
        for character in path:
            reached = transitions.get((state, character))
            if reached is None:
                reached = self._step(state, character)
            state = reached
            if not state:
                return False
        return bool(state & self._final)

    def _step(self, state: int, character: str) -> int:
        reached = 0
        for position, accepts in enumerate(self._accepts):
            if state >> position & 1 and accepts(character):
                reached |= 1 << (position if self._loops >> position & 1 else position + 1)
        reached = self._closure(reached)
        if len(self._transitions) >= _MAX_TRANSITIONS:
            self._transitions.clear()
        self._transitions[state, character] = reached
        return reached

    def _closure(self, state: int) -> int:
        for position, reached in self._free.items():  # in order of position: one pass is enough
            if state >> position & 1:
                state |= reached
        return state

    def __post_init__(self) -> None:
        pattern = self.pattern
        at = 0
        while at < len(pattern):
            character = pattern[at]
            if character == "*":
                stars = len(pattern[at:]) - len(pattern[at:].lstrip("*"))
                at += stars
                at = self._add_star(at, crosses=stars > 1, begins=at - stars)
            elif character == "?":
                self._accepts.append(_not_slash)
                at += 1
            elif character == "[":
                at = self._add_set(at)
            else:
                self._accepts.append(character.__eq__)
                at += 1
        self._final = 1 << len(self._accepts)
        self._start = self._closure(1)

    def _add_star(self, at: int, *, crosses: bool, begins: int) -> int:
        position = len(self._accepts)
        folders = (
            crosses
            and self.pattern[at : at + 1] == "/"
            and (begins == 0 or self.pattern[begins - 1] == "/")
        )
        if folders:
            # ``**/``: an entry that may skip all three, the loop, and the slash
            self._accepts.extend((_never, _anything, "/".__eq__))
            self._free[position] = 1 << (position + 1) | 1 << (position + 3)
            position += 1
            at += 1
        else:
            self._accepts.append(_anything if crosses else _not_slash)
        self._loops |= 1 << position
        self._free[position] = 1 << (position + 1)
        return at

    def _add_set(self, at: int) -> int:
        pattern = self.pattern
        negated = pattern[at + 1 : at + 2] == "!"
        begins = at + 2 if negated else at + 1
        ends = pattern.find("]", begins + 1)  # a ] at once after the [ is a member
        if ends < 0:
            raise InvalidSetting(f"glob {pattern!r} opens a [ that it does not close; use [[]")
        members = _members(pattern[begins:ends], pattern=pattern)
        self._accepts.append(
            lambda character: (
                character != "/"
                and any(low <= character <= high for low, high in members) is not negated
            )
        )
        return ends + 1


@lru_cache(maxsize=4096)
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
    return Glob(pattern)


def _members(text: str, *, pattern: str) -> list[tuple[str, str]]:
    members: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        if text[at + 1 : at + 2] == "-" and at + 2 < len(text):
            low, high = text[at], text[at + 2]
            if low > high:
                raise InvalidSetting(f"glob {pattern!r} has the empty range {low}-{high}")
            members.append((low, high))
            at += 3
        else:
            members.append((text[at], text[at]))
            at += 1
    return members


def _anything(_character: str) -> bool:
    return True


def _not_slash(character: str) -> bool:
    return character != "/"


def _never(_character: str) -> bool:
    return False
