"""Large tables of cases: each value in the ordinary run, each combination in the long one.

Pairs of values find nearly all that all combinations find (Kuhn, Wallace and Gallo, "Software Fault
Interactions and Implications for Software Testing", 2004). Each pair for each test was still two
fifths of all cases; so each test has each of its values, in those combinations that no other test
of its file has had: what two values do together is seen by one test of the file or another.
"""

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations

import pytest

TABLES = ("test_rules_", "test_cuts_ahead")
"""How the names of files begin whose cases are combinations of values."""
Met = frozenset[tuple[tuple[str, str], ...]]


def beyond_pairs(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Return the cases of tables whose values are among those of others, too."""
    tests: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if item.get_closest_marker("long") or not hasattr(item, "callspec"):
            continue
        if item.path.name.startswith(TABLES):
            tests[item.nodeid.split("[")[0]].append(item)
    seen: dict[str, set[object]] = defaultdict(set)
    return [one for cases in tests.values() for one in _spare(cases, seen[cases[0].path.name])]


def _spare(cases: Sequence[pytest.Item], seen: set[object]) -> list[pytest.Item]:
    """Return the cases without which each value is still met; ``seen`` learns pairs of the rest."""
    values, pairs = ({one: _met(one, together) for one in cases} for together in (1, 2))
    missing, spare = set[object]().union(*values.values()), list(cases)
    while missing:
        best = max(spare, key=lambda one: (len(values[one] & missing), len(pairs[one] - seen)))
        missing -= values[best]
        seen |= pairs[best]
        spare.remove(best)
    return spare


def _met(case: pytest.Item, together: int) -> Met:
    values = [(name, _named(value)) for name, value in sorted(case.callspec.params.items())]
    return frozenset(combinations(values, together))


def _named(value: object) -> str:
    return str(getattr(value, "__qualname__", None) or repr(value))
