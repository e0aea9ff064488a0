"""Large tables of cases: each pair of values in the ordinary run, each combination in the long one.

Pairs of values find nearly all that all combinations find (Kuhn, Wallace and Gallo, "Software Fault
Interactions and Implications for Software Testing", 2004), at a part of the time. Where that is
still more than a few cases, the ordinary run has each value.
"""

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations

import pytest

ALL_BELOW = 4
"""So many cases of one test are all run."""
MOST_PAIRS = 6
"""Cases of one test, beyond which it is run with each value in place of each pair."""


def beyond_pairs(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Return the cases of rules whose pairs of values are among those of others, too."""
    tests: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if hasattr(item, "callspec") and item.path.name.startswith("test_rules_"):
            tests[item.nodeid.split("[")[0]].append(item)
    return [one for cases in tests.values() if len(cases) > ALL_BELOW for one in _spare(cases)]


def _spare(cases: Sequence[pytest.Item]) -> list[pytest.Item]:
    spare = _without(cases, together=2)
    return spare if len(cases) - len(spare) <= MOST_PAIRS else _without(cases, together=1)


def _without(cases: Sequence[pytest.Item], *, together: int) -> list[pytest.Item]:
    """Return the cases without which each so many values are still met together."""
    met = {one: _met(one, together) for one in cases}
    missing = set[tuple[object, ...]]().union(*met.values())
    spare = list(cases)
    while missing:
        best = max(spare, key=lambda one: len(met[one] & missing))
        missing -= met[best]
        spare.remove(best)
    return spare


def _met(case: pytest.Item, together: int) -> set[tuple[object, ...]]:
    values = [(name, _named(value)) for name, value in sorted(case.callspec.params.items())]
    return set(combinations(values, min(together, len(values))))


def _named(value: object) -> str:
    return str(getattr(value, "__qualname__", None) or repr(value))
