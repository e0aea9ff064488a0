"""Large tables of cases: each pair of values in the ordinary run, each combination in the long one.

Pairs of values find nearly all that all combinations find (Kuhn, Wallace and Gallo, "Software Fault
Interactions and Implications for Software Testing", 2004), at a part of the time.
"""

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations

import pytest

ALL_BELOW = 4
"""So many cases of one test are all run."""


def beyond_pairs(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Return the cases of rules whose pairs of values are among those of others, too."""
    tests: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if hasattr(item, "callspec") and item.path.name.startswith("test_rules_"):
            tests[item.nodeid.split("[")[0]].append(item)
    return [one for cases in tests.values() if len(cases) > ALL_BELOW for one in _spare(cases)]


def _spare(cases: Sequence[pytest.Item]) -> list[pytest.Item]:
    pairs = {one: _pairs(one) for one in cases}
    missing = set[tuple[object, ...]]().union(*pairs.values())
    spare = list(cases)
    while missing:
        best = max(spare, key=lambda one: len(pairs[one] & missing))
        missing -= pairs[best]
        spare.remove(best)
    return spare


def _pairs(case: pytest.Item) -> set[tuple[object, ...]]:
    values = [(name, _named(value)) for name, value in sorted(case.callspec.params.items())]
    return set(combinations(values, 2)) or set(values)


def _named(value: object) -> str:
    return str(getattr(value, "__qualname__", None) or repr(value))
