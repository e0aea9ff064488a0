"""What a change of the readers does to the words of files, whether a truth is known or not.

A score that rises is no proof: a rule that brings cells to their rows may lose a column of files of
which nobody has the truth. So the words of two versions' answers are counted against each other.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.extraction.foreign.cases import Case
from s3sync_dagster.extraction.words import words_of

_MAX_WORDS = 12
"""Of a file, that are shown."""


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one file's words."""

    case: Case
    lost: Counter[str]
    gained: Counter[str]
    before: str
    after: str
    """Reason for which the file was, and is, refused; empty where it is read."""


def changes_of(
    cases: Sequence[Case],
    before: Sequence[Mapping[str, Any]],
    after: Sequence[Mapping[str, Any]],
) -> list[Change]:
    """Return the files of which words came or went, those that lost most first."""
    found: list[Change] = []
    for case, old, new in zip(cases, before, after, strict=True):
        had, has = (words_of(answer.get("text", "")) for answer in (old, new))
        reasons = (old.get("reason", ""), new.get("reason", ""))
        if had != has or reasons[0] != reasons[1]:
            found.append(Change(case, had - has, has - had, *reasons))
    return sorted(found, key=lambda one: (-one.lost.total(), -one.gained.total()))


def print_changes(found: Sequence[Change], *, files: int, shown: int) -> None:
    """Print sums by format, then the files that changed most."""
    by_group: dict[str, list[Change]] = {}
    for change in found:
        by_group.setdefault(change.case.group, []).append(change)
    print(f"{files} files, {len(found)} with other words")
    print("| format | changed | words lost | words gained | refused now | read now |")
    print("|-|-|-|-|-|-|")
    for group, changed in sorted(by_group.items()):
        lost, gained = (sum(one.total() for one in side) for side in _sides(changed))
        refused = sum(bool(one.after) and not one.before for one in changed)
        read = sum(bool(one.before) and not one.after for one in changed)
        print(f"| {group} | {len(changed)} | {lost} | {gained} | {refused} | {read} |")
    for change in found[:shown]:
        print(f"{change.case.repository} {change.case.path}")
        for sign, words in (("-", change.lost), ("+", change.gained)):
            if words:
                some = " ".join(word for word, _ in words.most_common(_MAX_WORDS))
                print(f"    {sign}{words.total()}: {some}")
        if change.before != change.after:
            print(f"    {change.before or 'read'} -> {change.after or 'read'}")


def _sides(changed: Sequence[Change]) -> tuple[list[Counter[str]], list[Counter[str]]]:
    return [one.lost for one in changed], [one.gained for one in changed]
